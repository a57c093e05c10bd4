"""Spread: each task covers what the ones before it leave uncovered, and distances are exact."""

from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.selection import spread as spread_module
from labelloop.selection.spread import spread
from labelloop.selection.vectors import nearest, squares

in_its_time = settings(deadline=None)
"""A busy machine is no fault."""


def pool(m: int, seed: int, around: float = 0.0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Vectors and their utilities, the highest first."""
    rng = np.random.default_rng(seed)
    return (around + rng.normal(size=(m, 3))).astype(np.float32), np.sort(rng.random(m))[::-1]


@in_its_time
@given(st.integers(0, 30), st.integers(0, 35), st.integers(0, 3), st.integers(0, 50))
def test_all_places_come_once(m: int, n: int, stands: int, seed: int) -> None:
    vectors, utilities = pool(m, seed)
    readable = np.random.default_rng(seed).random(m) < 0.8
    order = spread(vectors, readable, utilities, n, pool(stands, seed + 1)[0], pool(stands, seed + 2)[0])
    assert sorted(order) == list(range(m))


@in_its_time
@given(st.integers(0, 50))
def test_no_place_but_the_first_is_far_behind_the_best_by_covered_utility(seed: int) -> None:
    """Each place is compared with all others by a sum over all candidates, worked out anew."""
    vectors, utilities = pool(40, seed)
    stands = pool(2, seed + 1)[0]
    away = ((vectors[:, None] - vectors[None]) ** 2).sum(2)
    recent = pool(20, seed + 2)[0]
    among = ((recent[:, None] - recent[None]) ** 2).sum(2) + np.diag(np.full(20, np.inf))
    widest = np.sort(np.sqrt(away), axis=1)[:, 4].mean() ** 2  # 40 candidates for 8 places and 2 open tasks
    width = np.clip(among.min(1).mean() / 2, spread_module.LEAST * widest, widest)
    covered = np.exp(-((vectors[:, None] - stands[None]) ** 2).sum(2) / width).max(1)
    narrow = spread_module.LEAST * widest
    covered = np.maximum(covered, np.exp(-((vectors[:, None] - recent[None]) ** 2).sum(2) / narrow).max(1))
    for turn, place in enumerate(islice(spread(vectors, np.ones(40, bool), utilities, 8, stands, recent), 8)):
        by_each = [float(utilities @ np.maximum(row, covered)) for row in np.exp(-away / width)]
        gains = np.array(by_each) - float(utilities @ covered)
        assert turn == 0 or gains[place] >= (spread_module.NEARLY - 1e-3) * gains.max()
        covered = np.maximum(covered, np.exp(-away[place] / width))


@in_its_time
@given(st.integers(1, 30), st.floats(0, 100), st.integers(0, 5))
def test_distances_are_those_of_each_pair(m: int, around: float, seed: int) -> None:
    vectors, others = pool(m, seed, around)[0], pool(7, seed + 1, around)[0]
    away = ((vectors[:, None].astype(float) - others[None]) ** 2).sum(2)
    assert np.allclose(squares(vectors, others), away, atol=1e-3)
    assert np.allclose(away[np.arange(m), nearest(vectors, others)], away.min(1), atol=1e-3)
    assert (np.diagonal(squares(vectors, vectors.copy())) == 0).all(), "no rounding is taken for a distance"


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e38, 1e300])
def test_the_scale_of_the_utilities_makes_no_difference(scale: float) -> None:
    vectors, utilities = pool(60, 3)
    everything, nothing = np.ones(60, bool), vectors[:0]
    order = list(spread(vectors, everything, utilities, 9, nothing, nothing))
    assert list(spread(vectors, everything, utilities * scale, 9, nothing, nothing)) == order


@pytest.mark.parametrize(("place", "utility"), [(0, np.inf), (-1, -np.inf)])
def test_all_places_come_once_with_an_infinite_utility(place: int, utility: float) -> None:
    vectors, utilities = pool(60, 3)
    utilities[place] = utility
    assert sorted(spread(vectors, np.ones(60, bool), utilities, 9, vectors[:0], vectors[:0])) == list(range(60))
