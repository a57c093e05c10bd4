"""The choice of outputs for the window, on the real Postgres: near-duplicates, embeddings, stale scores."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.queue.order import choose
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import batches, loops, outputs
from sync.push.window import prepare

YAML = (
    "feedback_loop: {{trigger: model_confidence < 0.9, labels: [cat, dog], holdout: 0, audit: 0, "
    "queue: {{{queue}}}{more}}}"
)


def loop(database: Database, queue: str, made: list[Output], more: str = "") -> LoopSpec:
    spec = parse("pets", YAML.format(queue=queue, more=more))
    with database.transaction() as conn:
        loops.register(conn, spec)
        outputs.insert(conn, spec.name, [outputs.Row.of(one, lanes.place(one, spec)) for one in made])
    return spec


def output(key: str, confidence: float, text: str = "", embedding: list[float] | None = None) -> Output:
    shares = {"cat": confidence, "dog": 1 - confidence}
    return Output(key, {"text": text or f"{key} {key} {key}"}, probabilities=shares, embedding=embedding)


def picked(database: Database, spec: LoopSpec) -> list[str]:
    window, picks = prepare(database, spec)
    key_of = {item.output_id: item.key for item in window.queues["rule"]}
    return [key_of[pick.output_id] for pick in picks]


def test_many_copies_do_not_hide_the_waiting_outputs_behind_them(database: Database) -> None:
    order = "please cancel the order number {} that I placed on your site last week, and send me my money back"
    copies = [output(f"copy-{i}", 0.5, order.format(100 + i)) for i in range(60)]
    others = [output("lions sleep in the sun".replace(" ", "-"), 0.6), output("trains-are-late-in-winter", 0.61)]
    spec = loop(database, "window: 3", [*copies, *others])
    assert picked(database, spec) == ["copy-0", others[0].key, others[1].key]
    plain = spec.model_copy(update={"queue": spec.queue.model_copy(update={"diversity": 0.0})})
    assert picked(database, plain) == ["copy-0", "copy-1", "copy-10"], "the most useful, equals by key"


@pytest.mark.parametrize("width", [2, 3])
def test_embeddings_say_what_is_alike_and_those_of_another_width_say_nothing(database: Database, width: int) -> None:
    """The loop said 2 when they came. Where it says 3 now, none can be compared, and the window is filled."""
    angles = [[1.0, 0.0], [0.999, 0.01], [0.998, 0.02], [0.0, 1.0]]
    made = [output(f"item-{i}", 0.5 + i / 100, embedding=angle) for i, angle in enumerate(angles)]
    spec = loop(database, "window: 2, embedding: 2", made)
    spec = spec.model_copy(update={"queue": spec.queue.model_copy(update={"embedding": width})})
    assert picked(database, spec) == (["item-0", "item-3"] if width == 2 else ["item-0", "item-1"])


def test_what_the_version_in_force_has_not_seen_comes_where_the_others_do_not_suffice(database: Database) -> None:
    texts = "lions sleep all day|trains are late|my soup is cold|bees make honey|glass breaks".split("|")
    spec = loop(database, "window: 3", [output(f"item-{i}", 0.5 + i / 50, text) for i, text in enumerate(texts)])
    with database.transaction() as conn:
        conn.execute("update pool set ranker = 'other' where key in ('item-0', 'item-1', 'item-2')")
    first = picked(database, spec)
    assert set(first[:2]) == {"item-3", "item-4"}
    assert len(first) == 3


def test_if_all_that_waits_fits_it_comes_by_utility_and_nothing_is_compared(database: Database) -> None:
    spec = loop(database, "window: 3", [output(f"copy-{i}", 0.5 + i / 100, "the same text") for i in range(3)])
    assert picked(database, spec) == ["copy-0", "copy-1", "copy-2"]
    assert {pick.why_also for pick in prepare(database, spec)[1]} == {""}, "nobody chose between them"


def test_a_random_queue_is_not_made_varied(database: Database) -> None:
    spec = loop(database, "window: 3, strategy: random", [output(f"copy-{i}", 0.5, "the same text") for i in range(9)])
    window, picks = prepare(database, spec)
    assert [pick.output_id for pick in picks] == [item.output_id for item in window.queues["rule"][:3]]


def test_near_duplicates_of_new_answers_are_not_asked_again(database: Database) -> None:
    """Two kinds of items. One was just answered: the other kind comes first, although the model is surer of it."""
    near = [output(f"near-{i}", 0.5 + i / 100, embedding=[1.0, i / 100]) for i in range(6)]
    far = [output(f"far-{i}", 0.6 + i / 100, embedding=[i / 100, 1.0]) for i in range(5)]
    spec = loop(database, "window: 1, embedding: 2, diversity: 1", [*near, *far])
    assert picked(database, spec) == ["near-0"]
    with database.transaction() as conn:
        conn.execute("delete from pool where key = 'near-0'")
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers) "
            "select id, loop, 'cat', 1, 1 from outputs where key = 'near-0'"
        )
    assert picked(database, spec) == ["far-0"], "the most useful of its kind: each covers the others nearly as well"


def test_pictures_are_compared_without_holding_them_all(database: Database) -> None:
    pictures = [f"data:image/png;base64,{i:04d}{'A' * 100_000}" for i in range(300)]
    made = [
        Output(f"item-{i:03d}", {"image": one}, probabilities={"cat": 0.5, "dog": 0.5})
        for i, one in enumerate(pictures)
    ]
    spec = loop(database, "window: 40", made, ', learner: {name: images}, show: {image: "$image"}')
    del made, pictures
    tracemalloc.start()
    try:
        assert len(picked(database, spec)) == 40
        assert tracemalloc.get_traced_memory()[1] < 20_000_000, "of 30 MB"
    finally:
        tracemalloc.stop()


def test_a_lane_that_is_new_to_an_old_loop_does_not_flood_the_window(database: Database) -> None:
    old = [output(f"old-{i}", 0.5) for i in range(400)]
    spec = loop(database, "window: 20, gold: 0.1, diversity: 0", old)
    with database.transaction() as conn:
        batch = batches.intend(conn, spec.name, "pipeline", len(old))
        conn.execute(
            """
            with gone as (delete from pool returning *)
            insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, champion,
                               ranker, shown_version, pushed_at)
            select output_id, loop, %s, gen_random_uuid(), row_number() over (), lane, utility, utility, champion,
                ranker, '', now() - row_number() over () * interval '1 s'
            from gone
            """,
            [batch],
        )
        new = [output(f"new-{i}", 0.5) for i in range(20)]
        new += [replace(output(f"gold-{i}", 0.5), gold="cat") for i in range(300)]
        outputs.insert(conn, spec.name, [outputs.Row.of(one, lanes.place(one, spec)) for one in new])
    window, _ = prepare(database, spec)
    assert window.pushed == {"rule": 200}
    coming = [item.lane for item in choose(window.queues, 40, shares=window.shares, pushed=window.pushed)]
    assert 0 < coming.index("rule") <= 30, "gold has not had its tenth of the last 200; then the rule has its turn"
