"""Stopping criteria: each as its source defines it, and silent where it has too little to look at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score

from labelloop.versions import stopping

labels = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(labels, labels), min_size=2, max_size=40))
def test_kappa_is_that_of_scikit_learn(step: list[tuple[str, str]]) -> None:
    one, other = zip(*step, strict=True)
    if one != other:
        assert stopping.kappa(step) == pytest.approx(cohen_kappa_score(one, other))
    assert stopping.kappa([(label, label) for label in one]) == 1


def test_the_change_of_f_is_1_less_the_f_between_two_versions() -> None:
    rng = np.random.default_rng(0)
    one = rng.choice(["ham", "spam"], 200, p=[0.8, 0.2])
    other = np.where(rng.random(200) < 0.1, rng.choice(["ham", "spam"], 200), one)
    step = list(zip(one.tolist(), other.tolist(), strict=True))
    assert stopping.change_of_f(step) == pytest.approx(1 - f1_score(one, other, pos_label="spam"))
    assert stopping.change_of_f([("a", "a"), ("b", "c"), ("a", None)]) == pytest.approx(np.mean([1 / 3, 1, 1, 1]))


def test_by_hand() -> None:
    same, one_of_ten = [("a", "a"), ("b", "b")] * 50, [*[("a", "a"), ("b", "b")] * 45, *[("a", "b")] * 10]
    calm = stopping.criteria([same, same, same], 0.01, 500)
    assert [one.stops for one in calm] == [True, True, True, True]
    assert [one.value for one in calm] == [1, 0, 0, 0.01]
    moved = stopping.criteria([same, same, one_of_ten], 0.2, 500)
    assert [one.stops for one in moved] == [False, True, False, False]
    assert [one.stops for one in stopping.criteria([one_of_ten, *[same] * 3], 0.2, 500)] == [True, True, True, False]


def test_too_little_says_nothing() -> None:
    few = [("a", "a")] * (stopping.FEWEST - 1)
    assert all(one.stops is None for one in stopping.criteria([], None, 0))
    assert all(one.stops is None for one in stopping.criteria([few] * 3, 0.01, stopping.FEWEST - 1))
    assert [one.stops for one in stopping.criteria([[("a", "a")] * 30], None, 500)] == [None, None, True, None]
