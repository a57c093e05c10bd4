"""Drift since the champion was judged, on the real Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from backend.train.drifted import confidence_shift, drifted, label_shift, watch
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.questions import drift as drift_store
from labelloop.store.questions import falls as falls_store
from labelloop.store.tables import loops, runs, versions
from tests.support.backend_factory import answer, texts_spec

MONDAY = datetime(2026, 11, 2, 8, tzinfo=UTC)
LEVEL = 0.25


def stored(
    conn: Conn,
    spec: LoopSpec,
    labels: Sequence[str],
    *,
    lane: str = "holdout",
    start: int = 0,
    at: datetime = MONDAY,
    seconds: float = 1.0,
    groups_of: int = 1,
    triggered: bool | None = None,
) -> list[UUID]:
    """Store outputs that arrive one after the other; return their ids in this order."""
    rows = conn.execute(
        """
        insert into outputs (loop, key, body_sha256, group_key, data, label, confidence, model_version, lane,
            holdout, triggered, state, received_at)
        select %(loop)s, 'item/' || %(start)s + i, '', 'group/' || (%(start)s + i - 1) / %(groups_of)s, '{}', label,
            0.7, 'm', %(lane)s::lane, %(lane)s = 'holdout', %(triggered)s, 'waiting',
            %(at)s + i * make_interval(secs => %(seconds)s)
        from unnest(%(labels)s::text[]) with ordinality as one (label, i) returning id, key
        """,
        {
            "loop": spec.name, "labels": list(labels), "lane": lane, "start": start, "at": at, "seconds": seconds,
            "groups_of": groups_of, "triggered": triggered,
        },
    ).fetchall()  # fmt: skip
    return [row["id"] for row in sorted(rows, key=lambda row: int(row["key"].split("/")[1]))]


def judged(conn: Conn, loop: str, ids: Sequence[UUID], version: str | None = None) -> UUID:
    """A run that judged a version against the pipeline on these answers; all of this moment are in its cut."""
    runs.request(conn, loop, "a test")
    run = runs.claim(conn, loop, None)
    assert run is not None
    conn.execute(
        """
        insert into run_items (run_id, output_id, part, holdout, answer_seq, label, champion_label, challenger_label)
        select %(run)s, o.id, 'holdout', true, a.seq, a.label, o.label, o.label
        from outputs o join answers a on a.output_id = o.id where o.id = any(%(ids)s)
        """,
        {"run": run.id, "ids": list(ids)},
    )
    if version is not None:
        versions.insert(conn, loop, version, learner="text", classes=["ham", "spam"], size_bytes=1, trained_on=1)
    assert runs.finish(conn, run.id, "refused", scores={"holdout": len(ids)}, version_id=version)
    return run.id


def judged_loop(conn: Conn, correct: int, n: int) -> LoopSpec:
    """A loop whose pipeline was correct on so many of `n` held-out answers when it was judged."""
    spec = texts_spec(("ham", "spam"), holdout=0.5)
    loops.register(conn, spec)
    ids = stored(conn, spec, ["spam"] * n)
    answer(conn, spec.name, {one: "spam" if i < correct else "ham" for i, one in enumerate(ids)})
    judged(conn, spec.name, ids)
    return spec


def test_a_run_starts_when_accuracy_falls_and_not_by_chance(database: Database) -> None:
    with database.transaction() as conn:
        spec = judged_loop(conn, 180, 200)
        ids = stored(conn, spec, ["spam"] * 80, start=1_000)
        answer(conn, spec.name, {one: "ham" if i % 10 == 0 else "spam" for i, one in enumerate(ids[:40])})
        assert drifted(conn, spec, LEVEL) is None
        answer(conn, spec.name, {one: "ham" if i % 2 else "spam" for i, one in enumerate(ids[40:])})
        why = drifted(conn, spec, LEVEL)
    assert why == (
        "drift: the pipeline's outputs were correct on 15 of the last 30 answers that chance chose, "
        "before on 221 of 250 (chance alone would do this in less than 1 of 100 loops)"
    )


def test_answers_that_change_or_are_withdrawn_count_as_they_are_now(database: Database) -> None:
    with database.transaction() as conn:
        spec = judged_loop(conn, 180, 200)
        ids = stored(conn, spec, ["spam"] * 60, start=1_000)
        answer(conn, spec.name, dict.fromkeys(ids, "ham"))
        assert drifted(conn, spec, LEVEL) is not None
        answer(conn, spec.name, {**dict.fromkeys(ids[:30], "spam"), **dict.fromkeys(ids[30:], None)})
        assert drifted(conn, spec, LEVEL) is None
        since = falls_store.answers_since(conn, spec.name, None, 200)
        assert [row.output_id for row in since] == ids[:30], "in the order of their first answers"


def test_an_answer_from_before_the_verdict_is_never_new(database: Database) -> None:
    with database.transaction() as conn:
        spec = judged_loop(conn, 180, 200)
        rows = conn.execute("select id from outputs limit 100").fetchall()
        answer(conn, spec.name, dict.fromkeys([row["id"] for row in rows], "ham"))
        assert drifted(conn, spec, LEVEL) is None


def test_answers_that_rank_chose_do_not_count_and_other_strata_count_for_themselves(database: Database) -> None:
    with database.transaction() as conn:
        spec = judged_loop(conn, 190, 200)
        answer(conn, spec.name, dict.fromkeys(stored(conn, spec, ["spam"] * 100, lane="rule", start=1_000), "ham"))
        assert falls_store.answers_since(conn, spec.name, None, 200) == []
        hard = stored(conn, spec, ["spam"] * 300, lane="control", start=2_000, triggered=True)
        answer(conn, spec.name, {one: "ham" if i % 2 else "spam" for i, one in enumerate(hard)})
        assert drifted(conn, spec, LEVEL) is None, "half correct, as they were all the time"
        assert {row.triggered for row in falls_store.answers_since(conn, spec.name, None, 200)} == {True}


def test_held_out_answers_are_compared_within_the_trigger_s_decision(database: Database) -> None:
    """The trigger sends more of the outputs than before; it sends the hard ones, and neither kind became harder."""
    with database.transaction() as conn:
        spec = texts_spec(("ham", "spam"), holdout=0.5)
        loops.register(conn, spec)
        easy = stored(conn, spec, ["spam"] * 200, triggered=False)
        hard = stored(conn, spec, ["spam"] * 100, start=1_000, triggered=True)
        answer(conn, spec.name, {one: "ham" if i % 20 == 0 else "spam" for i, one in enumerate(easy)})
        answer(conn, spec.name, {one: "ham" if i % 2 else "spam" for i, one in enumerate(hard)})
        judged(conn, spec.name, [*easy, *hard])
        more = stored(conn, spec, ["spam"] * 200, start=2_000, triggered=True)
        answer(conn, spec.name, {one: "ham" if i % 2 else "spam" for i, one in enumerate(more)})
        assert drifted(conn, spec, LEVEL) is None
        worse = stored(conn, spec, ["spam"] * 100, start=3_000, triggered=False)
        answer(conn, spec.name, {one: "ham" if i % 3 else "spam" for i, one in enumerate(worse)})
        assert drifted(conn, spec, LEVEL) is not None


def test_answers_of_one_group_are_one_answer(database: Database) -> None:
    with database.transaction() as conn:
        spec = judged_loop(conn, 180, 200)
        ids = stored(conn, spec, ["spam"] * 100, start=1_000, groups_of=50)
        answer(conn, spec.name, dict.fromkeys(ids, "ham"))
        assert drifted(conn, spec, LEVEL) is None, "two documents, however long"


def test_later_runs_do_not_make_the_fallen_accuracy_the_standard(database: Database) -> None:
    with database.transaction() as conn:
        spec = judged_loop(conn, 180, 200)
        ids = stored(conn, spec, ["spam"] * 60, start=1_000)
        answer(conn, spec.name, dict.fromkeys(ids, "ham"))
        judged(conn, spec.name, ids)
        watched = watch(conn, spec)
        assert watched is not None
        assert (watched.cut, len(watched.before)) == (200, 200)
        assert drifted(conn, spec, LEVEL) is not None
        found = watched.findable
        assert found is not None
        assert found.points == 0.2, "200 answers are too few for a fall by 10 points"


def test_a_version_that_is_promoted_late_was_chosen_among_all_that_were_judged_by_then(database: Database) -> None:
    with database.transaction() as conn:
        spec = texts_spec(("ham", "spam"), holdout=0.5)
        loops.register(conn, spec)
        ids = stored(conn, spec, ["spam"] * 60)
        made: list[UUID] = []
        for i in range(6):
            answer(conn, spec.name, dict.fromkeys(ids[10 * i : 10 * i + 10], "spam"))
            if i == 4:
                runs.request_again(conn, spec.name, made[0], "more answers", seed=0)
            made.append(judged(conn, spec.name, ids[: 10 * i + 10], version=f"{0 if i == 4 else i:064x}"))
        first, second, again = (run for i in (0, 1, 4) if (run := runs.get(conn, made[i])) is not None)
        assert (again.judges, again.cut) == (first.id, first.cut)
        counted = [falls_store.versions_judged(conn, run) for run in (first, second, again)]
    assert counted == [1, 2, 4]


def test_a_loop_without_a_verdict_or_with_an_empty_one_has_no_drift(database: Database) -> None:
    spec = texts_spec(("ham", "spam"), holdout=0.5)
    with database.transaction() as conn:
        loops.register(conn, spec)
        assert watch(conn, spec) is None
        assert drifted(conn, spec, LEVEL) is None
        judged(conn, spec.name, [])
        watched = watch(conn, spec)
        assert watched is not None
        assert (watched.before, watched.findable) == ([], None)
        assert drifted(conn, spec, LEVEL) is None


def test_every_output_is_counted_once_by_time_and_once_by_group(database: Database) -> None:
    spec = texts_spec(("ham", "spam"))
    with database.transaction() as conn:
        loops.register(conn, spec)
        stored(conn, spec, ["ham", "spam", "spam"] * 100, lane="pass", seconds=600.0, groups_of=3)
        stored(conn, spec, ["ham"] * 50, lane="pass", start=1_000, at=MONDAY + timedelta(days=4))
        rows = drift_store.arrivals(conn, spec.name, MONDAY + timedelta(days=3), MONDAY + timedelta(days=3))
    for recent, n, spam in ((False, 300, 200), (True, 50, 0)):
        side = [row for row in rows if row.recent is recent]
        for by in ("began", "bucket"):
            counted = [row for row in side if getattr(row, by) is not None]
            assert sum(row.n for row in counted if row.label is not None) == n
            assert sum(row.n for row in counted if row.label == "spam") == spam
            assert sum(row.n for row in counted if row.tenth == 7) == n
    pieces = {row.began for row in rows if row.began is not None and not row.recent}
    assert datetime(2026, 11, 3, tzinfo=UTC) in pieces, "no piece spans midnight"


def test_bursts_are_told_from_drift(database: Database) -> None:
    """Batches of one label each, as a pipeline sends them: one request, one time."""
    spec, rng = texts_spec(("ham", "spam")), np.random.default_rng(0)
    with database.transaction() as conn:
        loops.register(conn, spec)
        for i in range(60):
            label, at = ("ham", "spam")[int(rng.random() < 0.5)], MONDAY + timedelta(minutes=i)
            stored(conn, spec, [label] * 50, lane="pass", start=100 * i, at=at, seconds=0.0)
        early, late = MONDAY + timedelta(minutes=39), MONDAY + timedelta(minutes=53)
        rows = drift_store.arrivals(conn, spec.name, early, late)
        moved = label_shift(spec, rows)
        assert moved is None or not moved.beyond_chance
        assert confidence_shift(rows) is None, "one cell cannot move"
