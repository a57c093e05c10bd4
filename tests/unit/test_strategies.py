"""Query strategies, held to modAL's measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from modAL.uncertainty import classifier_entropy, classifier_margin, classifier_uncertainty

from labelloop import strategies
from labelloop.errors import UsageError
from labelloop.strategies import Array, utilities


class Given:
    """A classifier whose probabilities are its input."""

    def predict_proba(self, proba: Array) -> Array:
        return proba


@st.composite
def probas(draw: st.DrawFn) -> Array:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(2, 6)))
    weights = draw(arrays(np.float64, shape, elements=st.floats(0, 1, allow_subnormal=False)))
    weights[:, 0] += weights.sum(axis=1) == 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@given(probas())
def test_equal_to_modal_up_to_the_documented_scale(proba: Array) -> None:
    k = proba.shape[1]
    same = {
        "least_confidence": classifier_uncertainty(Given(), proba),
        "margin": 1 - np.abs(classifier_margin(Given(), proba)),
        "entropy": classifier_entropy(Given(), proba) / np.log(k),
    }
    for name, expected in same.items():
        np.testing.assert_allclose(utilities(name, proba), expected, rtol=0, atol=1e-12)


@given(probas(), st.randoms(use_true_random=False))
def test_the_order_of_rows_makes_no_difference(proba: Array, random: object) -> None:
    order = np.random.default_rng(0).permutation(len(proba))
    for name in strategies.STRATEGIES:
        found = utilities(name, proba)
        assert np.array_equal(utilities(name, proba[order]), found[order])
        assert found.min() >= 0
        assert found.max() <= 1


def test_small_numbers_by_hand() -> None:
    proba = np.array([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]])
    np.testing.assert_allclose(utilities("least_confidence", proba), [0.5, 0, 0.1])
    np.testing.assert_allclose(utilities("margin", proba), [1, 0, 0.2])
    np.testing.assert_allclose(utilities("entropy", proba), [1, 0, 0.468996], atol=1e-6)


def test_one_class_leaves_nothing_to_ask() -> None:
    for name in strategies.STRATEGIES:
        assert utilities(name, np.ones((2, 1))).tolist() == [0, 0]


def test_random_depends_on_the_generator_alone() -> None:
    proba = np.full((5, 3), 1 / 3)
    first = utilities("random", proba, np.random.default_rng(7))
    assert np.array_equal(first, utilities("random", proba[::-1], np.random.default_rng(7)))
    assert len(set(first)) == 5


def test_an_unknown_strategy_is_named_beside_those_there_are() -> None:
    with pytest.raises(UsageError, match="'magin'; there are: least_confidence, margin, entropy, random"):
        utilities("magin", np.ones((1, 2)))
