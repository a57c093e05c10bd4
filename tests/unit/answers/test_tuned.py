"""A model's confidence makes the interval of its error rate narrower: by how much, when, and never wrongly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import truescore

from labelloop.answers.error_rate import UNKNOWN_DOUBT, Drawn, Estimate, Known, estimate
from labelloop.answers.tuned import ENOUGH, NOT_USED, tune

START = datetime(2026, 1, 1, tzinfo=UTC)


def of_sample(
    losses: np.ndarray, doubts: np.ndarray, everything: np.ndarray, *, known: bool = True, all_: int | None = None
) -> Estimate:
    """Estimate from answers of one stratum and period; `everything`: the doubts of all known outputs."""
    rows = [
        Drawn(False, START + timedelta(minutes=i), str(i), float(loss), float(doubt))
        for i, (loss, doubt) in enumerate(zip(losses, doubts, strict=True))
    ]
    there = {False: [Known(len(everything), float(everything.mean()))]}
    return estimate(rows, {}, {False: [all_ or len(everything)]}, there if known else None)


def a_model(rng: np.random.Generator, n: int = 5_000) -> tuple[np.ndarray, np.ndarray]:
    doubts = rng.beta(0.5, 2.0, n)
    return doubts, (rng.random(n) < doubts).astype(float)


def test_the_estimate_is_that_of_an_independent_library() -> None:
    rng = np.random.default_rng(1)
    doubts, losses = a_model(rng)
    chosen = np.sort(rng.choice(5_000, 400, replace=False))
    found = of_sample(losses[chosen], doubts[chosen], doubts)
    slope = found.strata[False].slope
    assert 0.8 < slope < 1.2, "a calibrated model's doubts are taken as they are"
    share = (5_000 - 400) / 5_000  # theirs compares with the unanswered outputs, ours with all
    theirs = truescore.ppi_estimate(doubts, losses[chosen], chosen, lambda_=slope * share)
    assert found.overall.value == pytest.approx(theirs.point, abs=1e-9)
    assert found.overall.low == pytest.approx(theirs.low, abs=0.006)
    assert found.overall.high == pytest.approx(theirs.high, abs=0.006)
    plain = of_sample(losses[chosen], doubts[chosen], doubts, known=False).overall
    assert plain.low is not None
    assert plain.high is not None
    assert found.overall.low is not None
    assert found.overall.high is not None
    assert found.overall.high - found.overall.low < 0.9 * (plain.high - plain.low)


def test_by_hand() -> None:
    """Slope 1 of 12 incorrect answers of 24, at doubts 0.3 and 0.7; all outputs have a mean doubt of 0.4."""
    doubts = np.array([0.7] * 12 + [0.3] * 12)
    losses = np.array([1.0] * 8 + [0.0] * 4 + [1.0] * 4 + [0.0] * 8)
    slope, ratio = tune(losses, doubts, np.zeros(24, dtype=int))
    assert slope == pytest.approx((8 / 12 - 4 / 12) / 0.4)
    assert ratio == pytest.approx((1 - (1 / 3) ** 2) * 23 / 22)
    found = of_sample(losses, doubts, np.full(1_000, 0.4))
    assert found.overall.value == pytest.approx(0.5 - slope * (0.5 - 0.4))


@pytest.mark.parametrize("wrong", [0, 1, int(ENOUGH) - 1])
def test_with_few_answers_of_one_kind_the_interval_is_the_plain_one(wrong: int) -> None:
    for losses in (np.array([1.0] * wrong + [0.0] * 200), np.array([0.0] * wrong + [1.0] * 200)):
        doubts = np.clip(losses * 0.5 + 0.2, 0, 1)
        with_, without = (of_sample(losses, doubts, np.full(2_000, 0.25), known=known) for known in (True, False))
        assert with_.overall == without.overall


def test_confidences_that_are_missing_or_say_nothing_or_the_opposite_change_nothing() -> None:
    rng = np.random.default_rng(2)
    losses = (rng.random(300) < 0.3).astype(float)
    period = np.zeros(300, dtype=int)
    assert tune(losses, np.full(300, UNKNOWN_DOUBT), period) == NOT_USED
    assert tune(losses, 1.0 - losses, period) == NOT_USED
    assert tune(losses, rng.random(300), period).ratio > 0.95


def test_outputs_whose_prediction_is_not_known_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    doubts, losses = a_model(rng, 800)
    few, all_ = (of_sample(losses[:200], doubts[:200], doubts, all_=n).overall for n in (None, 40_000))
    assert few.value == all_.value
    assert few.effective > all_.effective > 200


def test_the_interval_holds_the_truth_and_needs_fewer_labels() -> None:
    rng = np.random.default_rng(4)
    inside, widths = 0, np.zeros(2)
    for _ in range(300):
        doubts, losses = a_model(rng, 3_000)
        chosen = rng.choice(3_000, 300, replace=False)
        for place, known in enumerate((True, False)):
            found = of_sample(losses[chosen], doubts[chosen], doubts, known=known).overall
            assert found.low is not None
            assert found.high is not None
            widths[place] += found.high - found.low
            inside += known and found.low <= losses.mean() <= found.high
    assert 0.92 <= inside / 300 <= 0.98
    assert (widths[0] / widths[1]) ** 2 < 0.82
