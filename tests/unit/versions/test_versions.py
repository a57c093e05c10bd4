"""Names of versions, and the way back through the champions; which dead run is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import UsageError
from labelloop.versions.runs import try_again
from labelloop.versions.version import VersionPair, find, left_by_going_back, previous

A, B, C = "a" * 64, "b" * 64, "ab" * 32


def test_a_prefix_finds_the_one_version_that_it_begins() -> None:
    assert find("AA", [A, B, C]) == A
    assert find(B, [A, B, C]) == B


@pytest.mark.parametrize(
    ("prefix", "message"), [("a", "matches 2 versions"), ("c", "no version begins"), ("", "no ver")]
)
def test_an_unknown_or_ambiguous_prefix_is_refused(prefix: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find(prefix, [A, B, C])


def test_the_name_shown_says_who_labels_and_who_ranks() -> None:
    assert VersionPair.of(None, None).name == "pipeline"
    assert VersionPair.of(A, A).name == "a" * 12
    assert VersionPair.of(A, B).name == "aaaaaaaaaaaa+bbbbbbbb"
    assert VersionPair.of(None, B).name == "pipeline+bbbbbbbb"


@pytest.mark.parametrize(
    ("history", "before"),
    [([A], None), ([A, B], A), ([A, B, C], B), ([A, B, C, B], A), ([A, B, C, B, A], None), ([A, None, B], None)],
)
def test_one_rollback_after_another_leads_further_back(history: list[str | None], before: str | None) -> None:
    assert previous(history) == before


@pytest.mark.parametrize("history", [[], [A, None], [A, B, A, None]])
def test_behind_the_pipeline_there_is_nothing(history: list[str | None]) -> None:
    with pytest.raises(UsageError, match="nothing to go back to"):
        previous(history)


@given(st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=8))
def test_rolling_back_always_ends_at_the_pipeline(history: list[str]) -> None:
    line: list[str | None] = list(history)
    for _ in range(len(history)):
        line.append(previous(line))
        if line[-1] is None:
            return
    pytest.fail("it never ends")


@pytest.mark.parametrize(
    ("history", "target", "left"),
    [
        ([A], None, [A]),
        ([A, B], A, [B]),
        ([A, B, C], None, [A, B, C]),
        ([A, B, C, B], A, [B]),
        ([A, None, B], None, [B]),
        ([A, B, A], B, []),  # forward again
        ([A], B, []),  # a version that never served
        ([], None, []),
    ],
)
def test_a_return_leaves_the_champions_after_its_target(
    history: list[str | None], target: str | None, left: list[str]
) -> None:
    assert left_by_going_back(history, target) == left


def test_a_run_that_died_three_times_is_not_tried_again() -> None:
    assert try_again(["failed"])
    assert try_again(["failed", "failed", "refused"])
    assert not try_again(["failed", "failed", "failed", "promoted"])
