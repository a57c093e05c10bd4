"""The threshold with a promise: exact boundaries, fixed thresholds, and loops whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.promises import accept as planted
from labelloop.gate import accept, looks
from labelloop.gate.accept import Answers, begin, examine, interval, missing, needed, needed_in_looks
from labelloop.gate.looks import SIZES, boundaries, of_model, spent
from labelloop.selection import design_effect


def answers(confidence: list[float], wrong: set[int] | None = None, groups: list[int] | None = None) -> Answers:
    n = len(confidence)
    loss = np.array([1.0 if i in (wrong or ()) else 0.0 for i in range(n)])
    return Answers(np.array(confidence), loss, np.array(groups if groups is not None else range(n), dtype=np.intp))


def test_one_look_is_the_exact_binomial_test() -> None:
    """scipy's distribution is the oracle."""
    for n, alpha in itertools.product((10, 59, 200, 1000), (0.05, 0.01)):
        [limit] = boundaries([n], [1.0], 0.05, alpha)
        assert limit == int(binom.ppf(alpha, n, 0.05)) - (binom.cdf(binom.ppf(alpha, n, 0.05), n, 0.05) > alpha)


def test_all_looks_together_cross_by_luck_at_most_as_often_as_promised() -> None:
    """Against all paths of few answers, one by one: the boundaries come from sums, and these from enumeration."""
    sizes, share, error, alpha = [4, 8, 12], [0.3, 0.6, 1.0], 0.4, 0.1
    limits = boundaries(sizes, share, error, alpha)
    crossed = [0.0, 0.0, 0.0]
    for path in itertools.product((0, 1), repeat=12):
        chance = error ** sum(path) * (1 - error) ** (12 - sum(path))
        for look, (size, limit) in enumerate(zip(sizes, limits, strict=True)):
            if sum(path[:size]) <= limit:
                crossed[look] += chance
                break
    for total, part in zip(np.cumsum(crossed), share, strict=True):
        assert total <= alpha * part + 1e-12
    assert limits == sorted(limits)
    assert sum(crossed) > 0.03, "they are not so cautious that nothing is ever certified"


def test_the_chance_of_error_is_shared_by_all_looks_and_by_all_models() -> None:
    shares = [spent(n) for n in range(0, 300_000, 500)]
    assert shares == sorted(shares)
    assert shares[-1] < 1.0
    assert spent(looks.MAIN) == looks.UP_TO_MAIN
    assert sum(of_model(order) for order in range(1, 100_000)) < 1.0
    assert 1000 in SIZES


@pytest.mark.parametrize("n", [0, 1, 50])
def test_before_the_first_look_there_is_no_threshold(n: int) -> None:
    found = examine(answers([0.99] * n), (0.9,), 0.05, 0.03)
    assert (found.threshold, found.look, list(found.tested)) == (None, None, [])


def test_a_model_that_says_one_of_everything_has_one_threshold() -> None:
    row = begin(np.ones(500), 0.05, 0.03)
    assert row == (1.0,)
    good = examine(answers([1.0] * 1000, {5, 300}), row, 0.05, 0.03)
    assert good.threshold == 1.0
    bad = examine(answers([1.0] * 1000, set(range(0, 1000, 12))), row, 0.05, 0.03)
    assert bad.threshold is None
    assert bad.tested[0].incorrect > bad.tested[0].allowed


def test_without_scores_there_is_nothing_to_test() -> None:
    assert begin(np.array([]), 0.05, 0.03) == ()
    assert examine(answers([0.9] * 100), (), 0.05, 0.03).threshold is None
    least = missing(answers([]), (), np.array([]), 0.05, 0.03)
    assert least == 198, "the first look is at 59, and cannot succeed"
    assert examine(answers([0.9] * least), (0.9,), 0.05, 0.03).threshold == 0.9
    assert examine(answers([0.9] * (least - 1)), (0.9,), 0.05, 0.03).threshold is None


@pytest.mark.parametrize(("rate", "alpha"), [(0.0, 0.03), (0.025, 0.03), (0.0, 0.0012)])
def test_the_looks_need_what_the_test_then_takes(rate: float, alpha: float) -> None:
    """Against the real test on drawn answers; it succeeds in about 80 of 100 loops, and rarely a look earlier."""
    size = needed_in_looks(rate, 0.05, alpha)
    assert size is not None
    earlier = SIZES[SIZES.index(size) - 1]
    wins = {size: 0, earlier: 0}
    for seed in range(100):
        wrong = np.random.default_rng(seed).random(size) < rate
        for n in wins:
            wins[n] += examine(answers([0.9] * n, set(np.flatnonzero(wrong[:n]))), (0.9,), 0.05, alpha).threshold == 0.9
    assert wins[size] >= 75
    assert wins[earlier] < 80


def test_the_row_goes_from_cautious_to_bold_and_knows_no_answer() -> None:
    scores = np.random.default_rng(1).beta(6, 0.5, 3000)
    row = begin(scores, 0.05, 0.03)
    assert list(row) == sorted(row, reverse=True)
    assert row[-1] == scores.min()
    assert 0.2 < (scores >= row[0]).mean() < 0.7


def test_each_threshold_needs_those_before_it() -> None:
    """The first one fails, so the second is not even looked at, however good it is."""
    confidence = [0.99 if i % 2 else 0.9 for i in range(2000)]
    wrong = set(range(1, 2000, 10))
    found = examine(answers(confidence, wrong), (0.99, 0.9), 0.25, 0.03)
    assert [one.certified for one in found.tested] == [True, True]
    assert examine(answers(confidence, set(range(1, 2000, 4))), (0.99, 0.9), 0.3, 0.03).threshold is None


def test_a_certified_threshold_goes_when_the_answers_above_it_say_so() -> None:
    first = answers([0.99] * 1000)
    assert examine(first, (0.9,), 0.05, 0.03).threshold == 0.9
    later = answers([0.99] * 2250, set(range(1000, 2250, 9)))
    assert later.loss.mean() > 0.05
    assert examine(later, (0.9,), 0.05, 0.03).threshold is None


def test_alike_answers_of_a_group_count_as_few() -> None:
    alone = answers([0.99] * 500, {3, 200})
    together = answers([0.99] * 500, {3, 200}, [i // 20 for i in range(500)])
    assert design_effect.of_groups(alone.loss, alone.group) == 1.0
    assert design_effect.of_groups(together.loss, together.group) > 1.5
    assert examine(alone, (0.9,), 0.05, 0.03).threshold == 0.9
    grouped = examine(together, (0.9,), 0.05, 0.03)
    assert grouped.tested[0].effective < 300
    same = answers([0.99] * 500, set(range(40)), [i // 20 for i in range(500)])
    assert design_effect.of_groups(same.loss, same.group) > 10, "whole groups are incorrect"


def test_groups_whose_answers_are_all_the_same_break_the_promise_as_rarely_as_single_ones() -> None:
    """Some outputs are alone and others come in groups of 30, and 5.01 % of both kinds are incorrect as a whole."""
    broken = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sizes = np.where(rng.random(1000) < 0.8, 1, 30)
        groups = np.repeat(np.arange(1000), sizes)[:1000]
        loss = (rng.random(1000) < 0.0501)[groups].astype(np.float64)
        seen = [Answers(np.ones(n), loss[:n], groups[:n]) for n in SIZES if n <= 1000]
        broken += any(examine(one, (1.0,), 0.05, 0.05).threshold is not None for one in seen)
    assert broken <= 5


def test_disagreeing_reviewers_count_by_their_share_rounded_up() -> None:
    given = answers([0.99] * 200)
    loss = given.loss.copy()
    loss[:3] = [0.5, 1 / 3, 0.5]
    found = examine(Answers(given.confidence, loss, given.group), (0.9,), 0.05, 0.03)
    assert found.tested[0].incorrect == 2


def test_the_answers_that_are_missing_are_about_those_that_then_do() -> None:
    rng = np.random.default_rng(3)
    scores = rng.beta(6, 0.5, 5000)
    few = Answers(scores[:100], (rng.random(100) < 1 - scores[:100]).astype(float), np.arange(100))
    row = begin(scores, 0.05, 0.03)
    more = missing(few, row, scores, 0.05, 0.03)
    assert more is not None
    wins = 0
    for seed in range(40):
        own = np.random.default_rng(seed)
        confidence = own.beta(6, 0.5, 100 + more)
        loss = (own.random(100 + more) < 1 - confidence).astype(float)
        wins += examine(Answers(confidence, loss, np.arange(100 + more)), row, 0.05, 0.03).threshold is not None
    assert wins >= 26
    hopeless = answers([0.99] * 200, set(range(0, 200, 5)))
    assert missing(hopeless, (0.9,), np.full(200, 0.99), 0.05, 0.03) is None


def test_the_answers_that_one_look_needs_are_those_of_the_exact_test() -> None:
    """59 without any error is the textbook's number: 0.95^59 is below 5 %."""
    assert needed(0.0, 0.05, 0.05) == 59
    assert needed(0.025, 0.05, 0.05) == pytest.approx(390, rel=0.1)
    assert needed(0.05, 0.05, 0.05) is None
    assert needed(0.0487, 0.05, 0.05) == pytest.approx(172_806, rel=0.1)
    assert needed(0.0488, 0.05, 0.05) is None, "more than are counted"
    assert SIZES[-1] > accept.MOST, "a test that no look is likely to pass takes more than that too"


def test_intervals_are_those_of_clopper_and_pearson() -> None:
    low, high = interval(0, 59, 0.9)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.05 ** (1 / 59))
    assert interval(3, 0, 0.95) == (0.0, 1.0)
    assert accept.at_least(0, 10, 0.5) == 1.0
    assert accept.at_least(3, 10, 0.2) == pytest.approx(float(binom.sf(2, 10, 0.2)))


@pytest.mark.parametrize("scenario", planted.SCENARIOS, ids=lambda one: one.name)
def test_planted_loops_keep_their_promise(scenario: planted.Scenario) -> None:
    """A small version of benchmarks/promises/accept.py; each loop's promise is tested at every look of its life."""
    found = planted.lives(scenario, 40, seed=1)
    assert found.broken <= 0.075, "3 of 40"
    most = planted.world(scenario).oracle
    if "calibrated" in scenario.name and "85" not in scenario.name:
        assert found.automated[1000] >= 0.7 * most
    if not most:
        assert found.certified <= 0.075


def test_a_planted_class_with_errors_at_high_confidence_is_never_certified_by_label() -> None:
    shares = planted.planted_class(20, seed=1, n=3375)
    assert shares["c"] == 0.0
    assert shares["a"] > 0.9 < shares["b"]


def test_a_threshold_by_the_observed_error_rate_breaks_the_promise_as_the_control() -> None:
    assert planted.naive(planted.SCENARIOS[0], 60, seed=1, n=1000)[0] > 0.2
