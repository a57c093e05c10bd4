"""Examples and progress that annotators read: from the loop's own answers, and never from the hold-out set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labelloop.outputs.output import Output, OutputState
from labelloop.queue import lanes
from labelloop.queue.lanes import Lane
from labelloop.spec.folder import parse
from labelloop.store.database import Conn, Database
from labelloop.store.privacy import proofs
from labelloop.store.questions import guidance
from labelloop.store.tables import loops, projects
from labelloop.store.tables import outputs as output_store
from sync.project import examples as examples_of
from sync.project.signposts import words
from sync.project.texts import texts_of
from tests.support.judged_loop import JudgedLoop
from tests.support.rows import move_outputs

SPEC = parse(
    "tickets",
    """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [billing, delivery, other]
  holdout: 0.5
  audit: 0.0
  queue: {audit: 0.0}
""",
)


def given(conn: Conn, key: str, text: str, answer: str | None, **fields: Any) -> Lane:
    """Store an output and, unless people are still asked, their answer; return its lane."""
    agreement = fields.pop("agreement", 1.0)
    output = Output(**{"key": key, "data": {"text": text}, "label": "other", "confidence": 0.4, **fields})
    placed = lanes.place(output, SPEC)
    output_store.insert(conn, SPEC.name, [output_store.Row.of(output, placed)])
    row = conn.execute("select id from outputs where key = %s", (key,)).fetchone()
    assert row is not None
    if answer is not None:
        for state in (OutputState.PUSHING, OutputState.IN_REVIEW, OutputState.ANSWERED):
            move_outputs(conn, [row["id"]], state)
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers) values (%s, %s, %s, %s, 1)",
            (row["id"], SPEC.name, answer, agreement),
        )
    return placed.lane


def key_in(lane: Lane, name: str) -> str:
    """A key that chance puts into this lane."""
    return next(
        key
        for key in (f"{name}-{i}" for i in range(200))
        if lanes.place(Output(key=key, data={"text": ""}, label="other", confidence=0.4), SPEC).lane == lane
    )


@pytest.fixture
def conn_of_loop(database: Database) -> Database:
    with database.transaction() as conn:
        loops.register(conn, SPEC)
    return database


def examples(database: Database) -> dict[str, list[str]]:
    with database.transaction() as conn:
        return guidance.of_labels(conn, SPEC.name, "text", 2)


def test_two_answered_texts_of_each_label_are_examples_and_the_oldest_stay(conn_of_loop: Database) -> None:
    with conn_of_loop.transaction() as conn:
        for i in range(4):
            given(conn, key_in(Lane.RULE, f"b{i}"), f"an invoice {i}", "billing")
        given(conn, key_in(Lane.RULE, "d"), "where is it", "delivery")
        given(conn, key_in(Lane.RULE, "tie"), "nobody agrees", "delivery", agreement=0.5)
        given(conn, key_in(Lane.RULE, "open"), "not yet answered", None)
    before = examples(conn_of_loop)
    assert before["delivery"] == ["where is it"]
    assert len(before["billing"]) == 2
    with conn_of_loop.transaction() as conn:
        given(conn, key_in(Lane.RULE, "later"), "an invoice that came later", "billing")
    assert examples(conn_of_loop) == before, "a new answer changes no text in Label Studio"


def test_the_hold_out_set_is_never_an_example_not_by_its_group_nor_by_its_text(conn_of_loop: Database) -> None:
    held = key_in(Lane.HOLDOUT, "h")
    with conn_of_loop.transaction() as conn:
        assert given(conn, held, "held out", "billing") == Lane.HOLDOUT
        assert given(conn, key_in(Lane.RULE, "twin"), "held out", "billing") == Lane.RULE
        # Gold is gold whatever its group: its neighbours may be held out.
        assert given(conn, "g-1", "of a held-out group", "billing", group=held, gold="billing") == Lane.GOLD
        assert given(conn, "g-2", "gold, but people say otherwise", "billing", gold="other") == Lane.GOLD
    assert examples(conn_of_loop) == {}
    with conn_of_loop.transaction() as conn:
        assert given(conn, "g-3", "known and answered", "billing", gold="billing") == Lane.GOLD
    assert examples(conn_of_loop) == {"billing": ["known and answered"]}
    with conn_of_loop.transaction() as conn:
        given(conn, key_in(Lane.RULE, "asked"), "known and answered", None)
    assert examples(conn_of_loop) == {}, "people are still asked about this text"


def test_the_description_says_what_answers_brought_as_soon_as_models_were_measured_twice(
    judged_loop_copy: JudgedLoop,
) -> None:
    with Database(judged_loop_copy.url) as database, database.transaction() as conn:
        found = guidance.progress(conn, "digits")
        rows = conn.execute("select scores from retrain_runs order by finished_at").fetchall()
        spec = loops.get(conn, "digits")
        n = conn.execute("select count(*) as n from feedback").fetchone()
    was, now = (row["scores"]["champion"]["accuracy"] for row in rows)
    assert spec is not None
    assert n is not None
    assert [one.accuracy for one in found.measured] == [was, now]
    assert found.answers == n["n"]
    assert found.since(None) == (was, now)
    assert (
        f"answers so far: the model's accuracy went from {100 * was:.0f} to {100 * now:.0f} %. "
        in (words(spec, "mark", 0, found)["description"])
    )
    assert found.since(datetime.now(UTC)) == (was, now), "one who began after the first run"
    assert found.since(found.measured[0].at - timedelta(days=1)) == (was, now)
    assert guidance.Progress(3, found.measured[:1]).since(None) is None
    assert "answers so far" not in words(spec, "mark", 0, guidance.Progress(3, found.measured[:1]))["description"]


def test_among_very_many_outputs_the_instruction_keeps_its_examples_until_something_is_forgotten(
    conn_of_loop: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with conn_of_loop.transaction() as conn:
        given(conn, key_in(Lane.RULE, "a"), "an invoice", "billing")
        projects.intend(conn, SPEC.name, "http://127.0.0.1:1", b"k" * 32)
    first = texts_of(conn_of_loop, SPEC, "mark").wanted
    assert "an invoice" in first["expert_instruction"]
    with conn_of_loop.transaction() as conn:
        projects.set_words(conn, SPEC.name, first)

    def slow(conn: Conn, *_: object) -> dict[str, list[str]]:
        conn.execute("select pg_sleep(60)")
        return {}

    monkeypatch.setattr(guidance, "of_labels", slow)
    monkeypatch.setattr(examples_of, "EXAMPLES_MS", 50)
    again = texts_of(conn_of_loop, SPEC, "mark")
    assert again.wanted == again.written == first
    changed = SPEC.model_copy(update={"instruction": "Read it twice."})
    now = texts_of(conn_of_loop, changed, "mark").wanted
    assert "Read it twice." in now["expert_instruction"], "a changed instruction is written all the same"
    with conn_of_loop.transaction() as conn:
        proofs.begin(conn, "key", SPEC.name, ["another"], "ada", None)
    after = texts_of(conn_of_loop, SPEC, "mark")
    assert ("an invoice" in after.wanted["expert_instruction"], after.removals.unfinished) == (False, 1)
