"""Taking in, on a real Postgres: all lines of a batch are stored, or none is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops
from sync.intake.taking import MAX_PROBLEMS, PART, Line, Rejected, Taken, read, store, take, take_valid

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
    assert asked == [jobs.EMBED, jobs.PUSH]


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


LONG = 3 * PART + 1
"""More lines than one part has."""


def shuffled(seed: int) -> list[Line]:
    keys = list(range(LONG))
    random.Random(seed).shuffle(keys)
    return [line(number, f"key-{key}", round(0.5 + key / 2_000, 4)) for number, key in enumerate(keys, start=1)]


def test_many_lines_are_stored_in_parts_and_reported_in_their_order(database: Database) -> None:
    lines = shuffled(0)
    first = taken(database, [*lines[:40], *lines[100:120]])
    whole = taken(database, lines)
    assert (first.new, whole.new, whole.known, whole.repeated) == (60, LONG - 60, 60, 0)
    keys = [json.loads(raw)["key"] for _, raw in lines]
    assert [output.key for output in whole.outputs] == keys
    assert [output.key for output in whole.outputs if not output.is_new] == [*keys[:40], *keys[100:120]]
    with database.transaction() as conn:
        rows = conn.execute("select o.id, o.key, o.state::text, p.key as pooled from outputs o left join pool p on "
                            "p.output_id = o.id").fetchall()  # fmt: skip
    assert {row["key"]: (row["id"], row["state"]) for row in rows} == {o.key: (o.id, o.state) for o in whole.outputs}
    assert all((row["state"] == "waiting") == (row["pooled"] == row["key"]) for row in rows)


def test_a_repeated_line_among_many_counts_once(database: Database) -> None:
    lines = shuffled(1)
    again = taken(database, [*lines, (LONG + 1, lines[5][1])])
    assert (again.new, again.known, again.repeated, len(again.outputs)) == (LONG, 0, 1, LONG)


def test_problems_in_any_part_are_those_of_the_first_lines_and_nothing_is_stored(database: Database) -> None:
    lines = shuffled(2)
    for number in (LONG - 3, 7, 200):  # two are read as the last part, one as the first
        key = "key-0" if number == 200 else "zzz"
        lines[number - 1] = line(number, f"{key}-{number}", 1.5)
    with pytest.raises(Rejected) as rejected:
        taken(database, lines)
    assert [problem.line for problem in rejected.value.invalid] == [7, 200, LONG - 3]
    lines = [(number, json.dumps({"key": f"key-{LONG - number}"}).encode()) for number in range(LONG)]
    with pytest.raises(Rejected) as rejected:
        taken(database, lines)
    assert [problem.line for problem in rejected.value.invalid] == list(range(MAX_PROBLEMS))
    assert stored(database) == []


def test_conflicts_among_many_lines_are_named_in_the_order_of_the_lines(database: Database) -> None:
    lines = shuffled(3)
    taken(database, [line(1, f"key-{key}", 0.99) for key in (LONG - 1, 0, 150)])
    with pytest.raises(Rejected) as rejected:
        taken(database, lines)
    keys = [json.loads(raw)["key"] for _, raw in lines]
    named = [problem.key for problem in rejected.value.conflicts]
    assert named == sorted((f"key-{key}" for key in (LONG - 1, 0, 150)), key=keys.index)
    assert len(stored(database)) == 3


def test_rows_are_written_in_the_order_of_their_keys_by_code_point(database: Database) -> None:
    """Two requests with the same keys in different orders then wait for each other, and never deadlock."""
    lines = [*shuffled(4), *(line(LONG + n, key) for n, key in enumerate(("é", "Z", "z", "\U0001f600", "\uffee")))]
    taken(database, lines)
    with database.transaction() as conn:
        written = [row["key"] for row in conn.execute("select key from outputs order by ctid")]
    assert written == sorted(json.loads(raw)["key"] for _, raw in lines)


def test_the_same_lines_in_different_orders_at_once_are_stored_once(database: Database) -> None:
    orders = [random.Random(seed).sample(shuffled(5), LONG) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda lines: taken(database, lines), orders))
    assert sum(one.new for one in found) == LONG
    assert [one.new + one.known for one in found] == [LONG] * 4


def test_the_valid_lines_among_many_are_stored_and_the_others_named_in_their_order(database: Database) -> None:
    lines = shuffled(6)
    taken(database, [line(1, "key-150", 0.99)])
    bad = {number: line(number, f"bad-{LONG - number}", 1.5) for number in (LONG - 3, 7, 200)}
    lines = [bad.get(number, (number, raw)) for number, raw in lines]
    with database.transaction() as conn:
        batch, part = take_valid(conn, SPEC, lines)
    assert [problem.line for problem in batch.invalid] == [7, 200, LONG - 3]
    assert [problem.key for problem in part.conflicts] == ["key-150"]
    wanted = [json.loads(raw)["key"] for number, raw in lines if number not in bad]
    assert [output.key for output in part.outputs] == [key for key in wanted if key != "key-150"]
    assert stored(database) == sorted(wanted)
