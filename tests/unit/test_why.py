"""What annotators are told about an item says what the query strategy saw."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop import strategies
from labelloop.why import WORDS, why, whys

LABELS = ("cat", "dog", "eel")


@pytest.mark.parametrize(
    ("strategy", "row", "words"),
    [
        ("margin", [0.48, 0.44, 0.08], "margin 0.04 between cat and dog"),
        ("margin", [0.2, 0.3, 0.5], "margin 0.20 between eel and dog"),
        ("margin", [0.4, 0.4, 0.2], "margin 0.00 between cat and dog"),
        ("least_confidence", [0.1, 0.5, 0.4], "dog is likeliest, at 0.50"),
        ("ratio", [0.5, 0.4, 0.1], "dog is 0.80 times as likely as cat"),
        ("entropy", [1 / 3, 1 / 3, 1 / 3], "entropy 1.00 of 1 over 3 labels, cat is likeliest"),
        ("random", [0.5, 0.4, 0.1], "drawn at random"),
        ("vote_entropy", [0.5, 0.4, 0.1], ""),
    ],
)
def test_each_strategy_says_what_it_saw(strategy: str, row: list[float], words: str) -> None:
    assert why(strategy, LABELS, row) == words


def test_every_strategy_that_reads_probabilities_has_words() -> None:
    assert {*WORDS, strategies.RANDOM} == {name for name in strategies.names() if strategies.reads_probabilities(name)}
    for strategy in WORDS:
        assert why(strategy, ["only"], [1.0]), "a model that knows one label"
        assert whys(strategy, LABELS, np.empty((0, 3))) == []


def test_a_long_label_is_cut() -> None:
    assert why("margin", ["a" * 200, "b"], [0.6, 0.4]) == f"margin 0.20 between {'a' * 40}… and b"


def test_a_label_of_several_lines_is_said_in_one() -> None:
    assert (
        why("margin", ["first\nsecond\u2028third", "b"], [0.6, 0.4]) == "margin 0.20 between first second third and b"
    )


def test_as_many_labels_as_columns_are_wanted() -> None:
    with pytest.raises(ValueError, match=r"2 labels for probabilities of the shape \(1, 3\)"):
        why("margin", ["a", "b"], [0.2, 0.3, 0.5])


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
def test_the_margin_that_is_said_is_the_utility_that_is_stored(weights: list[float]) -> None:
    row = np.array(weights) / sum(weights)
    said = float(re.findall(r"[\d.]+", why("margin", LABELS, row))[0])
    assert said == pytest.approx(1 - strategies.utilities("margin", row[None, :])[0], abs=0.0051)
