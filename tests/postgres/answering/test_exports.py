"""Exports of feedback: the changes since a cursor add up to the full export, in any order of changes and commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelloop.answers import cursor as cursors
from labelloop.labelstudio.gateway import Gateway
from labelloop.store.database import Database
from labelloop.store.tables import projects
from sync.answering import exports
from sync.pull.take_in import Pull
from tests.support.hops.answering_desk import FEEDBACK, Desk, exported
from tests.support.intake_client import HEADERS
from tests.support.sync_loop import wait_until

Row = dict[str, Any]
LABELS = ("cat", "dog", "eel")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


class Copy:
    """A copy of a loop's feedback that a reader keeps, by output and reviewer."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.rows: dict[tuple[str, str], Row] = {}
        self.cursor: str | None = None

    def update(self) -> list[Row]:
        """Read what has changed, and return it."""
        changed, self.cursor = exported(self.desk, since=self.cursor)
        for row in changed:
            self.rows.pop((row["model_output_id"], row["reviewer_id"]), None)
            if not row["deleted"]:
                self.rows[row["model_output_id"], row["reviewer_id"]] = row
        return changed

    def in_order(self) -> list[Row]:
        return [self.rows[which] for which in sorted(self.rows)]


def test_a_row_has_the_feedback_and_the_answer_of_all_reviewers(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.give("a", "anna", False, correction="dog", comment='it "barks"')
    (row,), cursor = exported(desk)
    assert {name: row[name] for name in row if name not in ("reviewer_id", "created_at", "updated_at")} == {
        "loop": "pets", "key": "a", "model_output_id": str(one), "reviewer": "anna", "approval": False,
        "correction": "dog", "comment": 'it "barks"', "label": "dog", "model_label": "cat", "model_version": "7",
        "lane": "rule", "holdout": False, "answer": "dog", "agreement": 1.0, "deleted": False, "repeats": None,
    }  # fmt: skip
    assert exported(desk, since=cursor) == ([], cursor)


def test_an_answer_of_one_reviewer_changes_the_rows_of_the_others_too(desk: Desk) -> None:
    desk.submit("a")
    copy = Copy(desk)
    desk.give("a", "anna")
    copy.update()
    desk.give("a", "ben", False, correction="dog")
    changed = {row["reviewer"]: (row["answer"], row["agreement"]) for row in copy.update()}
    assert changed == {"anna": (None, None), "ben": (None, None)}  # a tie
    assert copy.in_order() == exported(desk)[0]


def test_changes_add_up_to_the_full_export_after_any_sequence_of_changes(desk: Desk) -> None:
    outputs = dict(zip("abc", desk.submit("a", "b", "c"), strict=True))
    for number, output_id in enumerate(outputs.values(), start=1):
        desk.open_task(output_id, number)

    def withdraw(key: str) -> None:
        with desk.database.transaction() as conn:
            project = projects.get(conn, "pets")
            assert project is not None
            projects.lock_hop(conn, "pets", "answers")
            Pull(desk.database, cast("Gateway", None), desk.spec, project).withdraw(conn, [outputs[key]])

    key = st.sampled_from(sorted(outputs))
    over_http = st.builds(
        lambda key, who, label, words: lambda: desk.give(
            key, who, label == "cat", correction=None if label == "cat" else label, comment=words
        ),
        key, st.sampled_from(["anna@x.org", "cleo"]), st.sampled_from([*LABELS, None]), st.sampled_from([None, "x"]),
    )  # fmt: skip
    in_label_studio = st.builds(
        lambda key, who, label: lambda: desk.annotate(outputs[key], who, label, task_id="abc".index(key) + 1),
        key, st.sampled_from([1, 2]), st.sampled_from([*LABELS, None]),
    )  # fmt: skip
    taken_back = st.builds(
        lambda key, who: lambda: desk.ask("DELETE", FEEDBACK, query_string={"key": key, "reviewer_id": who}),
        key, st.sampled_from(["anna@x.org", "cleo"]),
    )  # fmt: skip
    withdrawn = st.builds(lambda key: lambda: withdraw(key), key)
    change: st.SearchStrategy[Callable[[], object] | None] = st.one_of(
        over_http, in_label_studio, over_http, in_label_studio, taken_back, taken_back, withdrawn, st.none()
    )

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(st.lists(change, min_size=1, max_size=12))
    def any_sequence(changes: list[Callable[[], object] | None]) -> None:
        copy = Copy(desk)
        copy.update()
        for one in changes:
            if one is None:
                copy.update()
            else:
                one()
        copy.update()
        assert copy.in_order() == exported(desk)[0]

    any_sequence()
    kinds = desk.sql(
        "select count(*) filter (where reviewer_id is null) as answers, count(*) as n from feedback_changes"
    )
    assert kinds[0]["n"] > kinds[0]["answers"] > 10


def test_a_change_that_commits_later_than_one_with_a_higher_number_is_not_skipped(desk: Desk) -> None:
    desk.submit("a", "b")
    desk.give("a", "anna")
    desk.give("b", "anna")
    copy = Copy(desk)
    copy.update()
    slow_wrote, may_commit = threading.Event(), threading.Event()

    def write(key: str, wrote: threading.Event | None = None) -> None:
        with desk.database.transaction() as conn:
            conn.execute(
                "update feedback set comment = 'late' from outputs o where o.id = model_output_id and o.key = %s", [key]
            )
            if wrote is not None:
                wrote.set()
                assert may_commit.wait(30)

    slow = threading.Thread(target=write, args=("a", slow_wrote))
    fast = threading.Thread(target=write, args=("b",))
    slow.start()
    assert slow_wrote.wait(30)
    fast.start()
    time.sleep(0.5)  # without the lock, the fast one would be committed now
    copy.update()
    may_commit.set()
    slow.join()
    fast.join()
    copy.update()
    assert [row["comment"] for row in copy.in_order()] == ["late", "late"]


def test_a_reader_beside_many_writers_misses_nothing(desk: Desk) -> None:
    desk.submit(*"abcdef")
    copy = Copy(desk)

    def give(who: str) -> None:
        client = Desk.__new__(Desk)
        client.web = desk.web.application.test_client()
        for n in range(12):
            label = LABELS[n % 3]
            client.give("abcdef"[n % 6], who, label == "cat", correction=None if label == "cat" else label)

    writers = [threading.Thread(target=give, args=(who,)) for who in ("anna", "ben", "cleo")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        copy.update()
    copy.update()
    assert len(copy.rows) == 18
    assert copy.in_order() == exported(desk)[0]


def test_a_cursor_of_another_loop_or_database_is_gone_and_any_other_text_is_refused(desk: Desk) -> None:
    desk.submit("a")
    desk.give("a", "anna")
    _, cursor = exported(desk)
    known = cursors.read(cursor)
    assert known == cursors.read(str(known))

    def refused(since: str, **query: str) -> tuple[int, str]:
        said = desk.web.get(FEEDBACK, query_string={"since": since, **query}, headers=HEADERS)
        assert said.json is not None
        return said.status_code, said.json["path"]

    desk.sql("update feedback_changes set at = at - interval '1 day' returning seq")
    assert refused(cursor) == (410, "since")
    assert refused(str(cursors.start("cars"))) == (410, "since")
    for text in ("", "x", "17", "%00", "\ud7ff", cursor + "!", cursor[3:]):
        assert refused(text) == (422, "since")
    assert refused(cursor, format="sft") == (422, "since")
    assert desk.get(f"{FEEDBACK}?format=xml").json["path"] == "format"
    assert desk.get("/v1/loops/cars/feedback").status_code == 404
    assert desk.ask("GET", FEEDBACK, headers={}).status_code == 401


def test_a_request_that_ends_early_gives_its_connection_back(desk: Desk) -> None:
    desk.submit("a")
    desk.give("a", "anna")
    for _ in range(12):  # more than the pool has
        made = exports.begin(desk.database, desk.spec)
        del made
    idle = "select 1 from pg_stat_activity where state = 'idle in transaction' and datname = current_database()"
    wait_until(lambda: not desk.sql(idle))
    assert len(exported(desk)[0]) == 1


def test_output_ids_are_those_of_the_intake(desk: Desk) -> None:
    ids = desk.submit("a", "b")
    desk.give("a", "anna")
    desk.give("b", "anna")
    assert [UUID(row["model_output_id"]) for row in exported(desk)[0]] == sorted(ids)
