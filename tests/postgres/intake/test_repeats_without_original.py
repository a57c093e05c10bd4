"""A repeat whose original loses its answer, its task or its place in the queue: it is asked itself, or settled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labelloop.outputs.output import unit_hash
from labelloop.store.database import Database
from labelloop.store.tables import projects
from sync.recreate import _let_go
from tests.support.hops.repeating_desk import RepeatingDesk
from tests.support.sync_loop import wait_until


@pytest.fixture
def desk(database: Database) -> RepeatingDesk:
    return RepeatingDesk(database)


def facts(status: Any, *names: str) -> tuple[Any, ...]:
    return tuple(status[name] for name in names)


def test_a_tie_and_a_rejection_are_not_reused(database: Database) -> None:
    desk = RepeatingDesk(database, overlap=2)
    desk.send("a", "miaow")
    desk.send("b", "miaow")
    desk.give("a", "anna")
    desk.give("a", "ben", False, correction="dog")
    assert desk.status("a")["state"] == "answered"
    assert facts(desk.status("b"), "state", "repeats") == ("waiting", None), "it is asked itself"
    assert [row["key"] for row in desk.sql("select key from pool")] == ["b"]
    assert desk.send("c", "miaow")[0]["state"] == "waiting"
    assert desk.status("c")["repeats"]["key"] == "b"

    desk.send("r", "wuff")
    for who in ("anna", "ben"):
        desk.give("r", who, False)
    assert desk.status("r")["approval"] is False
    assert desk.send("s", "wuff")[0]["state"] == "waiting"
    assert desk.status("s")["repeats"] is None


def test_an_answer_that_becomes_a_tie_leaves_its_repeats(database: Database) -> None:
    desk = RepeatingDesk(database, overlap=2)
    desk.send("a", "miaow")
    for key, confidence in (("b", 0.99), ("c", 0.6), ("d", 0.6), ("e", 0.99)):
        desk.send(key, "miaow", confidence=confidence)
    desk.give("a", "anna")
    desk.give("a", "ben")
    assert {desk.status(key)["state"] for key in "abcde"} == {"answered"}
    desk.give("a", "ben", False, correction="dog")
    assert [desk.status(key)["state"] for key in "abcde"] == ["answered", "passed", "waiting", "waiting", "passed"]
    assert [row["key"] for row in desk.sql("select key from pool")] == ["c"]
    assert [desk.status(key)["repeats"]["key"] for key in "bde"] == ["c", "c", "c"]
    assert desk.status("c")["repeats"] is None
    for who in ("cleo", "dora"):
        desk.give("c", who)
    assert [desk.status(key)["state"] for key in "bcde"] == ["answered"] * 4


def test_a_task_that_is_deleted_leaves_the_question_to_the_next_output(desk: RepeatingDesk) -> None:
    for key in "abc":
        desk.send(key, "miaow")
    desk.open_task(desk.id("a"), 1)
    desk.annotate(desk.id("a"), 1, "eel")
    with desk.database.transaction() as conn:
        conn.execute("update outputs set state = 'withdrawn' where key = 'a'")
    assert [desk.status(key)["state"] for key in "abc"] == ["withdrawn", "waiting", "waiting"]
    assert [row["key"] for row in desk.sql("select key from pool")] == ["b"]
    events = desk.sql(
        "select was::text, became::text from output_events e join outputs o on o.id = e.output_id"
        " where o.key = 'b' order by seq"
    )
    assert [(row["was"], row["became"]) for row in events] == [("waiting", "answered"), ("answered", "waiting")]
    assert desk.send("d", "miaow")[0]["state"] == "waiting"
    assert desk.status("d")["repeats"]["key"] == "b"


def test_what_label_studio_refuses_settles_its_repeats(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.send("b", "miaow")
    desk.send("c", "miaow", confidence=0.99)
    with desk.database.transaction() as conn:
        for state in ("pushing", "quarantined"):
            conn.execute("update outputs set state = %s::output_state where key = 'a'", [state])
    assert [desk.status(key)["state"] for key in "abc"] == ["quarantined", "quarantined", "passed"]
    assert desk.send("d", "miaow")[0]["state"] == "waiting"
    assert desk.status("d")["repeats"] is None, "the form may have been repaired: it tries itself"


def test_outputs_over_the_budget_pass_with_their_repeats(desk: RepeatingDesk) -> None:
    desk.change(holdout=0.5)
    numbers = {f"k{i}": unit_hash("holdout", "pets", f"k{i}") for i in range(20)}
    keys = sorted(numbers, key=lambda key: -numbers[key])  # the first is not in the hold-out set
    for key in keys:
        desk.send(key, "miaow")
    lanes = {key: desk.status(key)["lane"] for key in keys}
    assert set(lanes.values()) == {"rule", "holdout"}
    (original,) = desk.sql("select output_id, key from pool")
    assert (original["key"], lanes[original["key"]]) == (keys[0], "rule")
    with desk.database.transaction() as conn:
        conn.execute("delete from pool")
        conn.execute("update outputs set state = 'passed', state_reason = 'over' where key = %s", [original["key"]])
    (heir,) = desk.sql("select key from pool")
    assert lanes[heir["key"]] == "holdout"
    assert {desk.status(key)["state"] for key in keys if key != original["key"]} == {"waiting"}


def test_outputs_over_the_budget_pass_together_if_only_the_rule_sends_them(desk: RepeatingDesk) -> None:
    for key in "abc":
        desk.send(key, "miaow")
    with desk.database.transaction() as conn:
        conn.execute("delete from pool")
        conn.execute("update outputs set state = 'passed', state_reason = 'over the budget' where key = 'a'")
    assert {desk.status(key)["state"] for key in "abc"} == {"passed"}
    assert desk.sql("select distinct state_reason from outputs") == [{"state_reason": "over the budget"}]
    desk.give("a", "anna")  # somebody answers it all the same
    assert {desk.status(key)["state"] for key in "abc"} == {"answered"}


def test_a_loop_that_gets_a_new_project_waits_for_an_intake_in_the_same_order_of_locks(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.open_task(desk.id("a"), 1)
    desk.send("b", "miaow")

    def let_go() -> int:
        with desk.database.transaction() as conn:
            return _let_go(conn, "pets")

    with ThreadPoolExecutor(1) as threads, desk.database.transaction() as intake:
        projects.lock_hop(intake, "pets", "answers")
        recreated = threads.submit(let_go)
        waiting = (
            "select count(*) as n from pg_locks l join pg_database d on d.oid = l.database"
            " where datname = current_database() and locktype = 'advisory' and not granted"
        )
        wait_until(lambda: desk.sql(waiting)[0]["n"] == 1, what="the other transaction to wait")
        projects.lock_hop(intake, "pets", "push")  # the other way round, Postgres would cancel one of them
        intake.commit()
        assert recreated.result(60) == 1
    assert [(desk.status(key)["state"], desk.status(key)["repeats"] is None) for key in "ab"] == [
        ("waiting", True), ("waiting", False),
    ]  # fmt: skip
    assert [row["key"] for row in desk.sql("select key from pool")] == ["a"]
