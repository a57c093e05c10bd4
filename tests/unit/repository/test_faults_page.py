"""The page about faults: each row of the matrix is there, and the test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operators/faults.md").read_text()
ROWS = re.findall(r"^\| ([\d, ]+) \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
WITHOUT_A_TEST = {"8", "38"}
"""Failover, which is not promised, and a change that Label Studio refuses."""


def test_every_fault_of_the_matrix_has_a_row() -> None:
    assert [int(number) for numbers, *_ in ROWS for number in numbers.split(", ")] == [*range(1, 57)]


def test_every_row_names_a_test_that_exists() -> None:
    assert {numbers for numbers, *_, test in ROWS if test == "-"} == WITHOUT_A_TEST
    for numbers, *_, test in ROWS:
        if test != "-":
            path, _, name = test.strip("`").partition("::")
            assert f"\ndef {name}(" in (ROOT / "tests" / path).read_text(), f"row {numbers} names no test: {test}"
