"""Periods of arrival weigh by their outputs where people answered unevenly, and alike where chance made them differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labelloop.answers.error_rate import Drawn, Rate, estimate, periods
from labelloop.answers.evenness import unevenness

START = datetime(2026, 1, 1, tzinfo=UTC)
OUTPUTS = 4_000


def answered(rng: np.random.Generator, rate: np.ndarray, losses: np.ndarray) -> Rate:
    """Estimate from answers that are given at this rate, one for each output that comes."""
    chosen = np.flatnonzero(rng.random(OUTPUTS) < rate).tolist()
    rows = [Drawn(False, START + timedelta(minutes=i), str(i), float(losses[i])) for i in chosen]
    begins = periods([row.received_at for row in rows])
    edges = [(begin - START) / timedelta(minutes=1) for begin in begins]
    sizes = np.histogram(np.arange(OUTPUTS), [-1, *edges, OUTPUTS])[0].tolist()
    return estimate(rows, {False: begins}, {False: sizes}).strata[False]


def test_answers_that_came_evenly_all_tell_something() -> None:
    rng = np.random.default_rng(0)
    found = [
        answered(rng, np.full(OUTPUTS, 50 / OUTPUTS), (rng.random(OUTPUTS) < 0.2).astype(float)) for _ in range(100)
    ]
    told = [rate.effective / rate.answers for rate in found]
    assert np.mean(told) > 0.95, "ten periods of five answers each told 0.86"


def test_weeks_in_which_all_was_answered_do_not_count_more() -> None:
    rng = np.random.default_rng(1)
    late = np.arange(OUTPUTS) >= OUTPUTS // 2
    values, truths, unweighted = [], [], []
    for _ in range(60):
        losses = (rng.random(OUTPUTS) < np.where(late, 0.4, 0.1)).astype(float)
        rate = np.where(late, 0.02, 0.1)
        found = answered(rng, rate, losses)
        assert found.value is not None
        values.append(found.value)
        truths.append(losses.mean())
        unweighted.append((rate * losses).sum() / rate.sum())
    # The period in which the rate changes mixes both, so a little is left.
    assert np.mean(values) == pytest.approx(np.mean(truths), abs=0.03)
    assert np.mean(unweighted) < np.mean(truths) - 0.08, "all answers alike are far off"


def test_chance_alone_is_hardly_ever_clear_and_five_times_as_many_answers_are() -> None:
    rng = np.random.default_rng(2)
    answers = np.full(10, 5.0)
    by_chance = [unevenness(answers, 1_000 * rng.dirichlet(answers)) for _ in range(500)]
    assert np.mean(by_chance) < 0.3
    assert np.mean([one == 1 for one in by_chance]) < 0.12
    assert unevenness(np.array([50.0, 10.0]), np.array([500.0, 500.0])) == 1
    assert unevenness(np.array([10.0, 10.0]), np.array([500.0, 500.0])) == 0


def test_one_period_and_outputs_that_are_all_answered_count_as_they_are() -> None:
    assert unevenness(np.array([5.0]), np.array([100.0])) == 1
    assert unevenness(np.array([5.0, 5.0]), np.array([5.0, 5.0])) == 1
    assert unevenness(np.array([5.0, 0.0]), np.array([10.0, 50.0])) == 1
