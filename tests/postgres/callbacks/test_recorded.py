"""Deliveries are recorded in the transaction of the fact: which facts, how often, and with which label."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from labelloop.spec.events import Event
from labelloop.store import removal
from labelloop.store.callbacks import deliveries, registered
from labelloop.store.database import Database
from labelloop.store.tables import loops, tasks, versions
from sync.callbacks import payload
from tests.support.backend_factory import texts_spec
from tests.support.hops.callbacks import EVERYTHING, Desk

LABELS = strategies.sampled_from(["cat", "dog", None])


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_five_submits_of_one_key_make_one_notification(desk: Desk) -> None:
    desk.callback("https://x.example/")
    ids = {desk.submit("a") for _ in range(5)}
    assert len(ids) == 1
    for _ in range(3):
        desk.answer(next(iter(ids)), "cat")
    assert desk.told() == [("output.answered", "cat")]


def test_an_edit_after_the_answer_tells_exactly_one_change(desk: Desk) -> None:
    desk.callback("https://x.example/")
    id_ = desk.submit("a")
    desk.answer(id_, "cat")
    desk.answer(id_, "dog")
    desk.answer(id_, "dog")
    assert desk.told() == [("output.answered", "cat"), ("answer.changed", "dog")]
    (row,) = desk.sql("select fact from deliveries where event = 'answer.changed'")
    assert row["fact"]["previous_label"] == "cat"


def test_an_answer_that_is_taken_back_is_a_change_and_so_is_the_next_one(desk: Desk) -> None:
    desk.callback("https://x.example/")
    id_ = desk.submit("a")
    for label in ("cat", None, "cat"):
        desk.answer(id_, label)
    assert desk.told() == [("output.answered", "cat"), ("answer.changed", None), ("answer.changed", "cat")]


def test_an_edit_before_the_commit_is_told_as_the_final_label_only(desk: Desk) -> None:
    desk.callback("https://x.example/")
    id_ = desk.submit("a")
    with desk.database.transaction() as conn:
        desk.say(conn, id_, "cat")
        desk.say(conn, id_, "dog")
    assert desk.told() == [("output.answered", "dog")]


def test_the_first_of_two_answers_tells_nothing_and_the_second_the_consensus(database: Database) -> None:
    both = Desk(database, Desk(database).spec.model_copy(update={"overlap": 2}))
    both.callback("https://x.example/")
    id_ = both.submit("a")
    both.answer(id_, "cat", who=1)
    assert both.told() == []
    both.answer(id_, "dog", who=2)
    assert both.told() == [("output.answered", None)], "a tie has no label"
    both.answer(id_, "cat", who=2)
    assert both.told()[1:] == [("answer.changed", "cat")]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commits=strategies.lists(strategies.lists(strategies.sampled_from(["cat", "dog", None]), max_size=3), max_size=6)
)
def test_any_sequence_of_edits_tells_each_change_of_the_committed_label_once(
    desk: Desk, commits: list[list[str | None]]
) -> None:
    if not desk.sql("select id from callbacks"):
        desk.callback("https://x.example/")
    desk.sql("delete from deliveries")
    id_ = desk.submit(uuid4().hex)
    wanted: list[tuple[str, str | None]] = []
    label: str | None = None
    for edits in commits:
        with desk.database.transaction() as conn:
            for label in edits:
                desk.say(conn, id_, label)
        if not wanted and label is not None:
            wanted.append(("output.answered", label))
        elif wanted and wanted[-1][1] != label:
            wanted.append(("answer.changed", label))
    assert desk.told() == wanted


def test_two_transactions_that_answer_at_once_tell_each_label_once(desk: Desk) -> None:
    desk.callback("https://x.example/")
    ids = [desk.submit(f"key {i}") for i in range(30)]

    def say(who: int) -> None:
        for id_ in ids:
            desk.answer(id_, "cat", who=who)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(say, [1, 2, 3]))
    assert desk.told() == [("output.answered", "cat")] * 30


def test_a_second_opinion_tells_nothing_unless_the_label_changes(desk: Desk) -> None:
    desk.callback("https://x.example/", EVERYTHING)
    kept, changed = desk.submit("a"), desk.submit("b")
    for id_ in (kept, changed):
        desk.answer(id_, "cat", who=1)
    with desk.database.transaction() as conn:
        assert tasks.ask_again(conn, [kept, changed]) == 2
    desk.answer(kept, "cat", who=2)
    desk.answer(changed, "dog", who=2)
    assert [one for one in desk.told() if one[0] != "task.completed"] == [
        ("output.answered", "cat"),
        ("output.answered", "cat"),
        ("answer.changed", None),
    ]
    assert [event for event, _ in desk.told()].count("task.completed") == 4


def test_a_fact_that_is_rolled_back_leaves_no_delivery(desk: Desk) -> None:
    desk.callback("https://x.example/", EVERYTHING)
    id_ = desk.submit("a")

    def fail() -> None:
        with desk.database.transaction() as conn:
            desk.say(conn, id_, "cat")
            conn.execute("set constraints all immediate")
            assert conn.execute("select from deliveries").rowcount == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert desk.told() == []
    desk.answer(id_, "cat")
    assert len(desk.told()) == 2


def test_a_callback_hears_of_its_events_and_its_loop_only(desk: Desk) -> None:
    with desk.database.transaction() as conn:
        loops.register(conn, texts_spec())
    desk.callback("https://every.example/", ["output.answered"], loop=None)
    desk.callback("https://other.example/", EVERYTHING, loop="texts")
    desk.callback("https://promotions.example/", ["version.promoted"])
    desk.answer(desk.submit("a"), "cat")
    with desk.database.transaction() as conn:
        versions.record_promotion(conn, "pets", epoch=1, version_id=None, previous_id=None, by="ada", why="a test")
    rows = desk.sql("select url, event from deliveries d join callbacks c on c.id = d.callback_id order by 1")
    assert [tuple(row.values()) for row in rows] == [
        ("https://every.example/", "output.answered"),
        ("https://promotions.example/", "version.promoted"),
    ]


def test_an_answer_from_before_the_callback_is_known_so_an_edit_is_a_change(desk: Desk) -> None:
    id_ = desk.submit("a")
    desk.answer(id_, "cat")
    desk.callback("https://late.example/")
    desk.answer(id_, "dog")
    assert desk.told() == [("answer.changed", "dog")]


def test_the_database_allows_exactly_the_events_that_the_code_names(desk: Desk) -> None:
    desk.callback("https://x.example/", [*Event])
    with pytest.raises(Exception, match="callback_events"):
        desk.callback("https://x.example/", ["output.deleted"])
    (row,) = desk.sql("select pg_get_constraintdef(oid) as said from pg_constraint where conname = 'callback_events'")
    assert row["said"].count("::text") == len(Event) + row["said"].count("::text[]")


def test_the_body_is_that_of_the_commit_whatever_changed_since(desk: Desk) -> None:
    from labelloop.store.callbacks import deliveries

    callback, _ = desk.callback("https://x.example/")
    id_ = desk.submit("a")
    desk.answer(id_, "dog")
    desk.answer(id_, "eel")
    with desk.database.transaction() as conn:
        one = deliveries.claim(conn, callback)
        assert one is not None
        assert '"label": "dog", "approval": false, "correction": "dog"' in payload.body(conn, one)


def test_a_removed_loop_leaves_no_callback_and_no_delivery(desk: Desk) -> None:
    desk.callback("https://x.example/", loop=None)
    desk.callback("https://x.example/")
    desk.answer(desk.submit("a"), "cat")
    with desk.database.transaction() as conn:
        loops.archive(conn, "pets", "ada")
        deleted = removal.remove(conn, "pets")
    assert deleted is not None
    assert (deleted["deliveries"], deleted["callbacks"], deleted["told_answers"]) == (2, 1, 1)


def test_a_callback_that_is_removed_meanwhile_does_not_fail_an_answer(desk: Desk) -> None:
    callback, _ = desk.callback("https://x.example/")
    id_ = desk.submit("a")
    with ThreadPoolExecutor(1) as pool, desk.database.transaction() as conn:
        registered.remove(conn, callback)
        answering = pool.submit(desk.answer, id_, "cat")
        with pytest.raises(TimeoutError):
            answering.result(1)
        conn.commit()
        answering.result(20)
    assert desk.told() == []


def test_a_backlog_does_not_make_the_next_delivery_slower_to_find(desk: Desk) -> None:
    callback, _ = desk.callback("https://x.example/")
    desk.sql(
        "insert into deliveries (callback_id, loop, event, fact)"
        " select %s, 'pets', 'output.answered', '{}' from generate_series(1, 10000)",
        callback,
    )
    desk.sql("analyze deliveries")
    with desk.database.transaction() as conn:
        assert deliveries.due(conn) == [callback]
        assert deliveries.claim(conn, callback) is not None
        row = conn.execute(
            "select seq_tup_read + idx_tup_fetch as n from pg_stat_xact_user_tables where relname = 'deliveries'"
        ).fetchone()
    assert row is not None
    assert row["n"] < 100
