"""The reason that annotators read names the values that the query strategy used."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop import strategies
from labelloop.queue.why import REASONS_BY_STRATEGY, of_evidence, why, whys


@pytest.mark.parametrize(
    ("strategy", "row", "words"),
    [
        ("margin", [0.48, 0.44, 0.08], "The model's two most likely answers are 4 points apart"),
        ("margin", [0.2, 0.3, 0.5], "The model's two most likely answers are 20 points apart"),
        ("margin", [0.4, 0.4, 0.2], "The model's two most likely answers are 0 points apart"),
        ("least_confidence", [0.1, 0.5, 0.4], "The model is 50 % confident in its answer"),
        ("ratio", [0.5, 0.4, 0.1], "The model's second answer is 80 % as likely as its first"),
        ("entropy", [1 / 3, 1 / 3, 1 / 3], "The model is undecided among 3 answers: 100 % of the most it can be"),
        ("random", [0.5, 0.4, 0.1], "Drawn at random"),
        ("vote_entropy", [0.5, 0.4, 0.1], ""),
    ],
)
def test_each_strategy_says_what_it_saw(strategy: str, row: list[float], words: str) -> None:
    assert why(strategy, row) == words


def test_every_strategy_that_reads_probabilities_has_words() -> None:
    assert {*REASONS_BY_STRATEGY, strategies.RANDOM} == {
        name for name in strategies.names() if strategies.reads_probabilities(name)
    }
    for strategy in REASONS_BY_STRATEGY:
        assert why(strategy, [1.0]) == "The model knows only one answer"
        assert whys(strategy, np.empty((0, 3))) == []


def test_no_words_for_people_name_a_label_or_another_library() -> None:
    """People read the item before they read what a model thinks of it."""
    for name in strategies.names():
        evidence = {"labels": {"cat": 0.4, "dog": 0.9}, "tokens": [{"cat": 0.6, "dog": 0.4}]}
        words = why(name, [0.5, 0.4, 0.1]) or of_evidence(name, evidence)
        assert words
        assert not re.search("cat|dog|modAL", words)


def test_a_table_of_probabilities_is_wanted() -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 1, 3\)"):
        whys("margin", [[[0.2, 0.3, 0.5]]])


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
def test_the_margin_that_is_told_is_the_utility_that_is_stored(weights: list[float]) -> None:
    row = np.array(weights) / sum(weights)
    told = float(re.findall(r"\d+", why("margin", row))[0]) / 100
    assert told == pytest.approx(1 - strategies.utilities("margin", row[None, :])[0], abs=0.0051)
