"""The error rate of all outputs, from answers that chance chose: its edges, and that its interval holds the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from labelloop.answers.error_rate import Drawn, Estimate, Rate, estimate, jeffreys, missing, periods

START = datetime(2026, 1, 1, tzinfo=UTC)


def drawn(triggered: bool, losses: Sequence[float], groups: Sequence[str] | None = None) -> list[Drawn]:
    return [
        Drawn(triggered, START + timedelta(minutes=i), groups[i] if groups else f"{triggered}-{i}", loss)
        for i, loss in enumerate(losses)
    ]


def of_two(sent: Sequence[float], not_sent: Sequence[float], sizes: tuple[int, int] = (1000, 4000)) -> Estimate:
    rows = [*drawn(True, sent), *drawn(False, not_sent)]
    return estimate(rows, {}, {True: [sizes[0]], False: [sizes[1]]})


def bounds(rate: Rate) -> tuple[float, float, float]:
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    return rate.low, rate.value, rate.high


def test_each_stratum_counts_with_its_number_of_outputs() -> None:
    found = of_two([1] * 10 + [0] * 10, [0] * 19 + [1])
    low, value, high = bounds(found.overall)
    assert value == pytest.approx(0.2 * 0.5 + 0.8 * 0.05)
    assert low < value < high
    assert [rate.value for rate in found.strata.values()] == [0.5, pytest.approx(0.05)]
    assert (found.overall.outputs, found.overall.answers) == (5000, 40)


@pytest.mark.parametrize(("sent", "not_sent"), [([], [0, 1, 0]), ([1, 0], []), ([], [])])
def test_without_an_answer_in_a_stratum_there_is_no_figure_of_all(sent: list[float], not_sent: list[float]) -> None:
    found = of_two(sent, not_sent)
    assert (found.overall.value, found.overall.low, found.overall.high) == (None, None, None)
    for triggered, losses in ((True, sent), (False, not_sent)):
        assert (found.strata[triggered].value is None) == (not losses)


def test_without_any_output_there_is_no_figure_and_no_stratum() -> None:
    found = estimate([], {}, {True: [0], False: [0]})
    assert (found.overall.outputs, found.overall.value, dict(found.strata)) == (0, None, {})
    assert missing(found, True) == missing(found, False) == 0


def test_a_stratum_that_has_no_outputs_is_not_missed() -> None:
    found = estimate(drawn(True, [0, 1, 0, 0]), {}, {True: [500], False: [0]})
    assert found.overall.value == pytest.approx(0.25)
    assert list(found.strata) == [True]
    alone = found.strata[True]
    assert bounds(found.overall) == pytest.approx(bounds(alone))


def test_a_handful_of_outputs_without_an_answer_widen_the_interval_and_do_not_hinder_it() -> None:
    found = estimate(drawn(False, [0] * 95 + [1] * 5), {}, {True: [5], False: [995]})
    low, value, high = bounds(found.overall)
    assert value == pytest.approx(0.05)
    assert found.strata[True].value is None
    rest = bounds(found.strata[False])
    assert rest[0] - 0.005 < low < rest[0]
    assert rest[2] < high < rest[2] + 0.005


@pytest.mark.parametrize("n", [1, 5, 300])
def test_no_error_and_nothing_but_errors_leave_room_on_one_side_only(n: int) -> None:
    low, value, high = bounds(of_two([0] * n, [0] * n).overall)
    assert low == value == 0.0
    assert 0 < high < (1.0 if n == 1 else 4 / n + 0.1)
    low, value, high = bounds(of_two([1] * n, [1] * n).overall)
    assert [value, high] == pytest.approx([1.0, 1.0])
    assert low < 1


def test_answers_of_one_group_count_like_a_few() -> None:
    errors = [0.0] * 15 + [1.0] * 15
    apart = estimate(drawn(True, errors), {}, {True: [1000]})
    three = estimate(drawn(True, errors, ["a"] * 15 + ["b"] * 10 + ["c"] * 5), {}, {True: [1000]})
    one = estimate(drawn(True, errors, ["a"] * 30), {}, {True: [1000]})
    assert apart.strata[True].effective == pytest.approx(30 / (1 - 0.03))
    assert three.strata[True].effective < 6
    assert one.strata[True].answers == 30
    assert bounds(one.overall)[1] == pytest.approx(0.5)


def test_once_everything_is_answered_the_rate_is_known() -> None:
    found = estimate(drawn(True, [0, 1, 1, 0]), {}, {True: [4]})
    assert bounds(found.overall) == pytest.approx((0.5, 0.5, 0.5))
    assert found.strata[True].effective == math.inf
    assert missing(found, True) == 0


def test_a_period_counts_with_its_outputs_and_not_with_its_answers() -> None:
    rows = [*drawn(True, [0] * 30), Drawn(True, START + timedelta(days=9), "late", 1.0)] * 1
    late = START + timedelta(days=1)
    found = estimate(rows, {True: [late]}, {True: [100, 900]})
    assert found.overall.value == pytest.approx(0.9)
    assert found.strata[True].effective < 2, "nearly all weight is on one answer"


def test_periods_have_equally_many_answers_and_a_batch_is_not_parted() -> None:
    times = [START + timedelta(hours=i) for i in range(100)]
    begins = periods(times)
    counts = np.histogram([t.timestamp() for t in times], [0, *(b.timestamp() for b in begins), 1e12])[0]
    assert len(begins) == 9
    assert set(counts) == {10}
    assert periods(times[:9]) == periods([]) == periods([START] * 100) == []
    assert periods([START] * 50 + [START + timedelta(1)] * 50) == [START + timedelta(1)]


def test_losses_between_0_and_1_have_a_narrower_interval_than_whole_errors() -> None:
    whole = estimate(drawn(True, [0, 0, 0, 1] * 10), {}, {True: [10_000]}).overall
    part = estimate(drawn(True, [0.2, 0.3] * 20), {}, {True: [10_000]}).overall
    same = estimate(drawn(True, [0.25] * 40), {}, {True: [10_000]}).overall
    (a, value, b), (c, _, d), (e, _, f) = bounds(whole), bounds(part), bounds(same)
    assert value == pytest.approx(0.25)
    assert f - e > 0
    assert b - a > d - c >= f - e


def test_the_missing_answers_are_enough_once_they_are_there() -> None:
    found = of_two([0] * 10 + [1] * 10, [])
    lacks = missing(found, False)
    assert 200 < lacks < 600
    sent = missing(found, True)
    rng = np.random.default_rng(0)
    then = of_two(list(rng.random(20 + sent) < 0.5), list(rng.random(lacks) < 0.5), (1000, 4000))
    low, value, high = bounds(then.overall)
    assert max(value - low, high - value) < 0.055
    assert missing(of_two([0, 1] * 500, [0, 1] * 500), False) == 0


def test_jeffreys_agrees_with_its_table() -> None:
    """Brown, Cai and DasGupta 2001: the ends are quantiles of Beta(x + 1/2, n - x + 1/2)."""
    assert jeffreys(0.1, 20) == pytest.approx((0.0206, 0.2847), abs=1e-3)
    assert jeffreys(0.0, 10) == pytest.approx((0.0, 0.2172), abs=1e-3)
    assert jeffreys(1.0, 10) == pytest.approx((0.7828, 1.0), abs=1e-3)


@pytest.mark.parametrize("rates", [(0.4, 0.03), (0.1, 0.01)])
def test_the_interval_holds_the_truth_in_95_of_100_cases(rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    truth = 0.2 * rates[0] + 0.8 * rates[1]
    held = 0
    for _ in range(400):
        sent, not_sent = list(rng.random(40) < rates[0]), list(rng.random(100) < rates[1])
        low, _, high = bounds(of_two(sent, not_sent).overall)
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.985
