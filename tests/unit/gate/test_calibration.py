"""Calibration: the corrected error, its interval, and the limit that is not refused by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labelloop.gate.calibration import Calibration
from labelloop.gate.paired import Floats

WAYS: dict[str, Callable[[Floats], Floats]] = {
    "overconfident": lambda c: -np.ones_like(c),
    "underconfident": np.ones_like,
    "mixed": lambda c: np.where(c > 0.5, -1.0, 1.0),
}


def measured(confidences: Floats, item_scores: Floats, seed: int = 0) -> Calibration:
    found = Calibration.of(confidences, item_scores, np.random.default_rng(seed))
    assert found is not None
    return found


def refusals(n: int, error: float, way: Callable[[Floats], Floats], draws: int = 150) -> float:
    """Share of models with this true error that are refused at the limit of 10 %; `way`: its sign by confidence."""
    rng, found = np.random.default_rng(1), 0
    for _ in range(draws):
        confidences = rng.uniform(0.35, 0.65, n)
        correct = rng.random(n) < confidences + error * way(confidences)
        found += measured(confidences, correct.astype(float)).is_above(0.1)
    return found / draws


def test_the_error_is_the_distance_of_confidence_and_accuracy() -> None:
    """15 items at 0.6 of which 9 are right, and 15 at 0.9 of which 9 are: off by 0 and by 0.3, 0.15 in the mean."""
    right = np.array([1.0] * 9 + [0.0] * 6)
    both = measured(np.repeat([0.6, 0.9], 15), np.tile(right, 2))
    assert both.uncorrected == pytest.approx(0.15)
    assert [(b.low, b.n, round(b.accuracy, 9)) for b in both.bins] == [(0.6, 15, 0.6), (0.9, 15, 0.6)]
    assert both.low <= both.ece <= both.uncorrected <= both.high
    assert Calibration.of(np.full(3, np.nan), np.ones(3), np.random.default_rng(0)) is None


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n", [20, 50, 200])
def test_a_model_exactly_at_the_limit_is_rarely_refused(n: int, way: str) -> None:
    assert refusals(n, 0.1, WAYS[way]) <= 0.08, "5 % and what chance adds in 150 draws"


@pytest.mark.parametrize("way", WAYS)
def test_a_model_far_above_the_limit_is_refused(way: str) -> None:
    assert refusals(200, 0.3, WAYS[way], draws=40) >= 0.95


def test_a_calibrated_model_has_hardly_any_error_on_average() -> None:
    rng, corrected, plain = np.random.default_rng(2), [], []
    for _ in range(200):
        confidences = rng.uniform(0.3, 1.0, 200)
        found = measured(confidences, (rng.random(200) < confidences).astype(float))
        corrected.append(found.ece)
        plain.append(found.uncorrected)
    assert np.mean(corrected) < 0.5 * np.mean(plain)


def test_tied_confidences_and_scores_in_part_are_measured() -> None:
    found = measured(np.full(40, 0.9), np.linspace(0, 1, 40))
    assert found.ece == pytest.approx(0.4, abs=0.01)
    assert found.is_above(0.1)
    assert len(found.bins) == 1
    one = measured(np.array([0.7]), np.array([1.0]))
    assert not one.is_above(0.01)


def test_the_order_of_the_items_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    confidences = rng.choice([0.6, 0.8, 0.95], 90)
    right = (rng.random(90) < 0.7).astype(float)
    order = rng.permutation(90)
    assert measured(confidences, right) == measured(confidences[order], right[order])
