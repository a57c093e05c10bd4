"""Design effects: answers that are alike count as fewer, with and without weights."""

from __future__ import annotations

import numpy as np
import pytest

from labelloop.selection.design_effect import (
    CORRELATION,
    at_most_of_weights_and_groups,
    of_groups,
    of_weights_and_groups,
)


def test_groups_whose_answers_are_all_alike_count_as_one_answer_each() -> None:
    losses = np.repeat([1.0, 0.0], 200)
    groups = np.arange(400) // 4
    assert of_groups(losses, groups) == pytest.approx(4.0, abs=0.05)
    assert of_groups(losses, np.arange(400)) == 1.0


def test_before_any_answer_is_incorrect_the_assumed_correlation_counts() -> None:
    assert of_groups(np.zeros(30), np.arange(30) // 3) == pytest.approx(1 + CORRELATION * 2)
    assert of_groups(np.zeros(0), np.zeros(0, dtype=np.intp)) == 1.0


def test_answers_that_share_no_group_do_not_say_that_groups_differ_within() -> None:
    groups = np.concatenate((np.zeros(20, dtype=np.intp), np.arange(1, 201)))
    alone_incorrect = (np.arange(220) >= 200).astype(np.float64)
    size = (20**2 + 200) / 220
    assert of_groups(alone_incorrect, groups) == pytest.approx(1 + CORRELATION * (size - 1))
    assert of_groups(alone_incorrect, groups, assumed=1.0) == pytest.approx(size)


def test_equal_weights_change_nothing_and_a_heavy_group_counts_more() -> None:
    rng = np.random.default_rng(0)
    losses, groups = (rng.random(300) < 0.2).astype(float), rng.integers(0, 60, 300)
    plain = of_groups(losses, groups)
    assert of_groups(losses, groups, losses - losses.mean(), np.full(300, 0.25)) == pytest.approx(plain)
    crowd = np.array([0] * 10 + list(range(1, 11)))
    heavy = np.where(crowd == 0, 5.0, 1.0)
    assert of_groups(np.zeros(20), crowd) == pytest.approx(1 + CORRELATION * (110 / 20 - 1))
    assert of_groups(np.zeros(20), crowd, None, heavy) == pytest.approx(1 + CORRELATION * (2510 / 260 - 1))


def test_weights_alone_widen_a_share_by_kishs_effect() -> None:
    weights = np.array([3.0, 1.0, 1.0, 1.0])
    all_correct = np.ones(4, dtype=bool)
    assert of_weights_and_groups(all_correct, 1.0, weights, np.arange(4)) == pytest.approx(4 * 12 / 36)
    assert of_weights_and_groups(all_correct, 1.0, np.ones(4), np.arange(4)) == 1.0


def cautious(correct: np.ndarray, groups: np.ndarray) -> float:
    return at_most_of_weights_and_groups(correct, float(correct.mean()), np.ones(len(correct)), groups)


def test_a_group_counts_as_one_answer_until_incorrect_answers_tell_that_it_is_more() -> None:
    groups = np.arange(100) // 5
    assert cautious(np.ones(100, dtype=bool), groups) == pytest.approx(5.0)
    assert cautious(np.repeat(np.arange(20) % 5 > 0, 5), groups) == pytest.approx(5.0), "all of a group are the same"
    spread = [cautious(np.arange(100) % 5 >= (groups < n), groups) for n in (0, 1, 5, 10)]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 2.2, "10 of 20 groups have one incorrect answer each"


def test_answers_that_stand_alone_do_not_tell_how_alike_a_group_is() -> None:
    groups = np.concatenate((np.arange(40), np.full(10, 40)))
    correct = np.arange(50) % 4 > 0
    correct[40:] = True
    assert cautious(correct, groups) == pytest.approx(140 / 50)
    assert of_weights_and_groups(correct, float(correct.mean()), np.ones(50), groups) < 2


def test_the_cautious_effect_is_the_likely_one_if_no_two_answers_share_a_group() -> None:
    rng = np.random.default_rng(2)
    correct, weights = rng.random(80) < 0.8, rng.choice([1.0, 4.0], 80)
    share = float(weights[correct].sum() / weights.sum())
    alone = np.arange(80) * 3
    assert at_most_of_weights_and_groups(correct, share, weights, alone) == of_weights_and_groups(
        correct, share, weights, alone
    )
