"""operators/performance.md shows what the benchmarks measure: same rows and goals, verdicts that fit the figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.support.goals import (
    ADOPTING_GOALS,
    ANSWERING_GOALS,
    ENCODING_GOALS,
    GOALS,
    HEAD,
    PUSH,
    RECORD_GOALS,
    Goal,
    Measured,
    markdown,
)
from benchmarks.support.turns import in_turn, percentile

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "operators" / "performance.md").read_text()
WAITING = (DOCS / "pipelines" / "waiting.md").read_text()
SENTENCES = (DOCS / "engineers" / "sentences.md").read_text()
ADOPTING = (DOCS / "operators" / "adopt.md").read_text()
RECORD = (DOCS / "operators" / "record.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("| ").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
TABLE = {row[0]: dict(zip(HEAD, row, strict=True)) for row in ROWS if len(row) == len(HEAD)}


def test_the_page_has_a_row_for_each_goal_and_says_it_as_the_benchmark_does() -> None:
    assert [name for name in TABLE if name not in (HEAD[0], "---")] == [goal.name for goal in GOALS]
    for goal in GOALS:
        assert TABLE[goal.name]["goal"] == goal.shown()
        assert TABLE[goal.name]["measured beside it"] == goal.against


def test_the_page_says_reached_where_the_median_reaches_the_goal_and_nowhere_else() -> None:
    for goal in GOALS:
        said = TABLE[goal.name]
        median = float(said["median"].split()[0])
        assert said["reached"] == ("yes" if goal.reached(median) else "no"), goal.name


def test_the_page_gives_a_reason_for_each_goal_that_is_not_reached() -> None:
    explained = set(re.findall(r"^\*\*(.+?)\.\*\*", PAGE, re.MULTILINE))
    missed = {name for name in TABLE if TABLE[name]["reached"] == "no"}
    assert {re.split(r"[,:]", name)[0] for name in missed} <= {re.split(r"[,:]", name)[0] for name in explained}


@pytest.mark.parametrize(
    ("page", "goals"),
    [(WAITING, ANSWERING_GOALS), (ADOPTING, ADOPTING_GOALS), (SENTENCES, ENCODING_GOALS), (RECORD, RECORD_GOALS)],
    ids=["wait", "adopt", "encode", "record"],
)
def test_the_pages_of_their_own_have_their_goals(page: str, goals: Sequence[Goal]) -> None:
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in page.splitlines()]
    table = {row[0]: dict(zip(HEAD, row, strict=True)) for row in rows if len(row) == len(HEAD)}
    for goal in goals:
        said = table[goal.name]
        assert (said["goal"], said["measured beside it"]) == (goal.shown(), goal.against)
        assert said["reached"] == ("yes" if goal.reached(float(said["median"].split()[0])) else "no")


def test_every_benchmark_is_named_on_the_page() -> None:
    for name in BENCHMARKS:
        assert f"`{name}`" in PAGE


def test_the_median_decides_and_the_table_shows_the_range() -> None:
    table = markdown([Measured(PUSH, [1.0, 1.1, 3.0], "")])
    assert "| 1.100 x | 1.00 x to 3.00 x | at most 1.2 x | yes |" in table


def test_each_side_goes_first_as_often_as_the_other() -> None:
    order: list[str] = []
    ours, bare = in_turn(4, lambda: order.append("ours"), lambda: order.append("bare"))
    assert order == ["bare", "ours", "ours", "bare"] * 2
    assert len(ours) == len(bare) == 4


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile(range(100), 0.99) == 99
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
