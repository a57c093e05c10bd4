"""Taking in: what lines become before anything is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from labelloop.spec.folder import parse
from sync.intake import taking
from sync.intake.taking import Line, read

SPEC = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], audit: 0, holdout: 0}")


def line(number: int, key: object = "a", cat: float = 0.6, **changes: Any) -> Line:
    shares = {"cat": cat, "dog": 1 - cat}
    return number, json.dumps({"key": key, "data": {"text": "x"}, "probabilities": shares, **changes}).encode()


def test_lines_become_rows_in_their_lanes_and_in_their_order() -> None:
    batch = read(SPEC, [line(1, "b"), line(4, "a", 0.9)])
    assert [(key, row.placement.lane) for key, row in batch.rows.items()] == [("b", "rule"), ("a", "pass")]
    assert batch.lines == {"b": 1, "a": 4}
    assert (batch.repeated, batch.invalid, batch.conflicts) == (0, [], [])


def test_an_invalid_line_is_a_problem_with_its_line_key_and_field() -> None:
    batch = read(SPEC, [line(1), line(2, "b", 1.5), (3, b"{nonsense"), line(5, 7), line(6, "c")])
    assert [(problem.line, problem.key, problem.field) for problem in batch.invalid] == [
        (2, "b", "probabilities.cat"),
        (3, None, ""),
        (5, None, "key"),
    ]
    assert all(problem.message.startswith(problem.field) for problem in batch.invalid)
    assert list(batch.rows) == ["a", "c"]


def test_a_repeated_line_counts_once_and_another_body_is_a_conflict() -> None:
    batch = read(SPEC, [line(1), line(2), line(3, "a", 0.7)])
    assert (len(batch.rows), batch.lines, batch.repeated) == (1, {"a": 1}, 2)
    assert [(problem.line, problem.key, problem.field) for problem in batch.conflicts] == [(3, "a", "key")]


@pytest.mark.parametrize("extra", [0, 50])
def test_reading_stops_after_enough_invalid_lines(extra: int) -> None:
    unread = iter([(number, b"[]") for number in range(taking.MAX_PROBLEMS + extra)])
    assert len(read(SPEC, unread).invalid) == taking.MAX_PROBLEMS
    assert len(list(unread)) == extra


def test_taking_in_loads_no_web_framework() -> None:
    script = "import sys, sync.intake.taking; print(sorted({'flask', 'werkzeug'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout.strip() == b"[]"
