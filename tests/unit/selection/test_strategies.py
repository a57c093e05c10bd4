"""Query strategies for classifiers, held to modAL's measures; and the best of many, held to a full sort."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from modAL.uncertainty import classifier_entropy, classifier_margin, classifier_uncertainty

from labelloop import strategies
from labelloop.errors import UsageError
from labelloop.strategies import Array, utilities
from labelloop.strategies.arrays import BLOCK, WIDE
from labelloop.strategies.single import of_row


class Given:
    """A classifier whose probabilities are its input."""

    def predict_proba(self, proba: Array) -> Array:
        return proba


FEW = st.integers(2, 6)


@st.composite
def probas(draw: st.DrawFn, widths: st.SearchStrategy[int] = FEW) -> Array:
    """Few rows of few classes, often with equal numbers; or so wide that rows are worked on as they lie."""
    shape = (draw(st.integers(1, 12)), draw(widths))
    weights = draw(arrays(np.float64, shape, elements=st.floats(0, 1, allow_subnormal=False)))
    weights[:, 0] += weights.sum(axis=1) == 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def random_rows(n: int, k: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.3), n)


def expected(proba: Array) -> dict[str, Array]:
    """modAL's measures on our scale; and the plain definition of what modAL does not have."""
    ordered = np.sort(proba, axis=1)
    return {
        "least_confidence": classifier_uncertainty(Given(), proba),
        "margin": 1 - np.abs(classifier_margin(Given(), proba)),
        "entropy": classifier_entropy(Given(), proba) / np.log(proba.shape[1]),
        "ratio": ordered[:, -2] / ordered[:, -1],
    }


@given(probas(st.one_of(st.integers(2, 20), st.integers(WIDE - 1, WIDE + 2))))
def test_equal_to_modal_up_to_the_documented_scale(proba: Array) -> None:
    for name, values in expected(proba).items():
        np.testing.assert_allclose(utilities(name, proba), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 7, 8, 9, 10, WIDE - 1, WIDE, 100])
def test_equal_to_modal_across_the_ends_of_blocks_and_however_the_array_lies(k: int) -> None:
    proba = random_rows(2 * (BLOCK // k) + 3, k)
    for name, values in expected(proba).items():
        for lies in (proba, np.asfortranarray(proba), np.repeat(proba, 2, axis=0)[::2], proba[::-1][::-1]):
            np.testing.assert_allclose(utilities(name, lies), values, rtol=0, atol=1e-12)


def test_float32_is_ranked_as_it_is() -> None:
    narrow = random_rows(1000, 10).astype(np.float32)
    for name in strategies.STRATEGIES:
        found = utilities(name, narrow)
        assert found.dtype == np.float64
        # Its rows sum to 1 within the rounding of float32; which is the largest is the same.
        np.testing.assert_allclose(found, utilities(name, narrow.astype(np.float64)), rtol=0, atol=1e-6)
    assert np.array_equal(utilities("margin", narrow), utilities("margin", narrow.astype(np.float64)))


@given(probas(), st.randoms(use_true_random=False))
def test_the_order_of_rows_makes_no_difference(proba: Array, random: object) -> None:
    order = np.random.default_rng(0).permutation(len(proba))
    for name in strategies.STRATEGIES:
        found = utilities(name, proba)
        assert np.array_equal(utilities(name, proba[order]), found[order])
        assert found.min() >= 0
        assert found.max() <= 1


def test_a_row_has_the_same_utility_wherever_in_a_large_array_it_stands() -> None:
    proba = random_rows(3 * BLOCK // 10, 10)
    for name in strategies.STRATEGIES:
        whole = utilities(name, proba)
        for start in (1, 777, len(proba) - 5):
            assert np.array_equal(utilities(name, proba[start : start + 5]), whole[start : start + 5])


def test_a_large_array_costs_little_memory_beyond_its_result() -> None:
    proba = random_rows(200_000, 20)
    for name in strategies.STRATEGIES:
        tracemalloc.start()
        utilities(name, proba)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * len(proba) + 6 * 8 * BLOCK, "a few blocks, whatever the length"


@given(probas(st.integers(1, 8)))
def test_one_row_in_plain_arithmetic_is_the_same(proba: Array) -> None:
    for name in strategies.STRATEGIES:
        one_by_one = [of_row(name, row.tolist(), proba.shape[1]) for row in proba]
        np.testing.assert_allclose(one_by_one, utilities(name, proba), rtol=0, atol=1e-12)


def test_small_numbers_by_hand() -> None:
    proba = np.array([[0.5, 0.5], [1.0, 0.0], [0.9, 0.1]])
    np.testing.assert_allclose(utilities("least_confidence", proba), [0.5, 0, 0.1])
    np.testing.assert_allclose(utilities("margin", proba), [1, 0, 0.2])
    np.testing.assert_allclose(utilities("entropy", proba), [1, 0, 0.468996], atol=1e-6)
    np.testing.assert_allclose(utilities("ratio", proba), [1, 0, 1 / 9])


def test_one_class_leaves_nothing_to_ask_and_no_rows_have_no_utilities() -> None:
    for name in strategies.STRATEGIES:
        assert utilities(name, np.ones((2, 1))).tolist() == [0, 0]
        assert utilities(name, np.empty((0, 3))).tolist() == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([0.5, 0.4, 0.0], "row 7001 sums to 0.9; probabilities are 0 to 1 and sum to 1 within 0.001"),
        ([0.5, np.nan, 0.5], "row 7001 holds nan"),
        ([0.5, np.inf, 0.5], "row 7001 holds inf"),
        ([1.2, -0.2, 0.0], "row 7001 holds 1.2"),
        ([0.0, 0.0, 0.0], "row 7001 sums to 0"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused_by_their_number(row: list[float], said: str) -> None:
    proba = random_rows(30_000, 3)
    proba[7001] = row
    for name in strategies.STRATEGIES:
        with pytest.raises(ValueError, match=said):
            utilities(name, proba)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 2, 2)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"proba must have the shape \(n_samples, n_classes\); it has"):
        utilities("margin", np.full(shape, 0.5))


def test_random_depends_on_the_generator_alone() -> None:
    proba = np.full((5, 3), 1 / 3)
    first = utilities("random", proba, np.random.default_rng(7))
    assert np.array_equal(first, utilities("random", proba[::-1], np.random.default_rng(7)))
    assert len(set(first)) == 5


def test_an_unknown_strategy_is_named_beside_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'magin'; there are: least_confidence, margin, entropy, .*, random$"):
        utilities("magin", np.ones((1, 2)))
    with pytest.raises(UsageError, match=r"vote_entropy reads evidence.committee, not one row of probabilities"):
        utilities("vote_entropy", np.ones((1, 2)))


# -- the best of many --------------------------------------------------------------------------------------------


def by_sorting(values: Array, k: int) -> list[int]:
    return [int(i) for i in np.argsort(-values, kind="stable")[:k]]


@given(arrays(np.float64, st.integers(0, 60), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.integers(0, 70))
def test_the_k_highest_are_the_first_of_a_full_sort(values: Array, k: int) -> None:
    assert strategies.top_k(values, k).tolist() == by_sorting(values, k)


@pytest.mark.parametrize("k", [1, 100, 5_000, 150_000])
@pytest.mark.parametrize("lie", ["random", "rising", "falling", "equal", "few values", "one high in each step"])
def test_so_are_those_of_many_however_they_lie(k: int, lie: str) -> None:
    n = 200_003
    values = np.random.default_rng(0).random(n)
    if lie == "rising":
        values.sort()
    elif lie == "falling":
        values = np.sort(values)[::-1]
    elif lie == "equal":
        values[:] = 0.5
    elif lie == "few values":
        values = np.round(values, 1)
    elif lie == "one high in each step":
        values[:: n // (1 << 14)] += 1  # the very ones that a sample of every so-manieth sees
    assert strategies.top_k(values, k).tolist() == by_sorting(values, k)


def test_what_has_no_order_has_no_best() -> None:
    values = np.zeros(100_000)
    values[70_001] = np.nan
    with pytest.raises(ValueError, match="utility 70001 is not a number"):
        strategies.top_k(values, 3)
    with pytest.raises(ValueError, match="k must not be negative; it is -1"):
        strategies.top_k(values, -1)
    with pytest.raises(ValueError, match=r"must have the shape \(n_samples,\)"):
        strategies.top_k(np.zeros((2, 2)), 1)
