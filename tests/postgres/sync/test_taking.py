"""Taking in, on a real Postgres: all lines of a batch are stored, or none is."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops
from sync.intake.taking import Line, Rejected, Taken, read, store, take

SPEC = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], audit: 0, holdout: 0}")


@pytest.fixture(autouse=True)
def _loop(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, SPEC)


def line(number: int, key: str, cat: float = 0.6) -> Line:
    shares = {"cat": cat, "dog": 1 - cat}
    return number, json.dumps({"key": key, "data": {"text": "x"}, "probabilities": shares}).encode()


def taken(database: Database, lines: Iterable[Line]) -> Taken:
    with database.transaction() as conn:
        return take(conn, SPEC, lines)


def stored(database: Database) -> list[str]:
    with database.transaction() as conn:
        return [row["key"] for row in conn.execute("select key from outputs order by key")]


def test_new_known_and_repeated_lines_are_counted_apart(database: Database) -> None:
    taken(database, [line(1, "a")])
    again = taken(database, [line(1, "b"), line(2, "a"), line(3, "b")])
    assert (again.new, again.known, again.repeated) == (1, 1, 1)
    assert [(output.key, output.is_new) for output in again.outputs] == [("b", True), ("a", False)]
    with database.transaction() as conn:
        asked = [row["task_name"] for row in conn.execute("select task_name from procrastinate_jobs")]
    assert asked == [jobs.PUSH]


def test_one_bad_line_rejects_all(database: Database) -> None:
    taken(database, [line(1, "a")])
    with pytest.raises(Rejected) as invalid:
        taken(database, [line(1, "b"), (2, b"{"), line(3, "b", 0.7)])
    assert [(problem.line, problem.field) for problem in invalid.value.invalid] == [(2, "")]
    with pytest.raises(Rejected) as conflict:
        taken(database, [line(1, "b"), line(2, "a", 0.7)])
    assert [(problem.line, problem.key, problem.field) for problem in conflict.value.conflicts] == [(2, "a", "key")]
    assert stored(database) == ["a"]


def test_a_caller_may_store_the_valid_lines_only(database: Database) -> None:
    taken(database, [line(1, "a")])
    with database.transaction() as conn:
        batch = read(SPEC, [line(1, "a", 0.7), (2, b"{"), line(3, "b")])
        part = store(conn, SPEC, batch)
    assert [problem.line for problem in (*batch.invalid, *part.conflicts)] == [2, 1]
    assert [output.key for output in part.outputs] == ["b"] == stored(database)[1:]


def test_no_lines_store_nothing(database: Database) -> None:
    assert taken(database, []) == Taken([], 0, 0, 0, [])
