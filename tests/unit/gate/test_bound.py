"""The joint test: the first level by hand, its bound by simulation, and what makes it less strict than a division."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

from labelloop.gate import Reuse
from labelloop.gate.bound import HORIZON, joint_alphas, spent
from labelloop.gate.paired import Floats

FLIPS = 20_000


def alike(verdicts: int, items: int, rng: np.random.Generator) -> Floats:
    """Differences of challengers that are as good as their champion, correct on 85 %."""
    correct = rng.random((verdicts + 1, items)) < 0.85
    found: Floats = np.subtract(correct[1:], correct[0], dtype=np.float64)
    return found


def test_the_parts_of_alpha_sum_to_alpha() -> None:
    assert spent(0.05, 1) == pytest.approx(0.05 / HORIZON ** (1 / 3))
    assert [spent(0.05, n) for n in (HORIZON, 10 * HORIZON)] == [0.05, 0.05]


def test_the_first_verdict_has_its_part_and_one_after_the_last_has_none() -> None:
    rng = np.random.default_rng(0)
    assert joint_alphas(alike(1, 50, rng), 0.05, rng) == [spent(0.05, 1)]
    alphas = joint_alphas(alike(HORIZON + 1, 300, rng), 0.05, rng, FLIPS)
    assert alphas[-1] < 1e-3
    assert all(0 <= alpha <= 0.05 for alpha in alphas)


def test_the_same_verdict_twice_costs_hardly_anything() -> None:
    """A level that is divided by the number of verdicts would be half as large."""
    rng = np.random.default_rng(0)
    one = alike(1, 400, rng)
    first, second = joint_alphas(np.repeat(one, 2, axis=0), 0.05, rng, 100_000)
    assert second == pytest.approx(spent(0.05, 2), rel=0.2)
    assert second > first


def test_models_that_never_differ_are_never_promoted() -> None:
    assert joint_alphas(np.zeros((3, 20)), 0.05, np.random.default_rng(0), FLIPS)[1:] == [0.0, 0.0]


@pytest.mark.slow
def test_luck_promotes_an_equal_model_in_few_loops() -> None:
    ever = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = alike(30, 300, rng)
        sums = found.sum(axis=1) / np.sqrt((found**2).sum(axis=1))
        levels = np.array(joint_alphas(found, 0.2, rng, FLIPS))
        p_values = 0.5 * (1 - np.array([erf(z / 2**0.5) for z in sums]))
        ever += bool((p_values <= levels).any())
    assert ever <= 0.25 * 60


def test_items_are_matched_by_what_they_are_and_not_by_their_place() -> None:
    rng = np.random.default_rng(0)
    first = {i: 1.0 if i % 3 else -1.0 for i in range(60)}
    second = {i: 0.0 if i % 2 else 1.0 for i in range(20, 80)}
    one = Reuse.bounded(0.05, [first, second], np.random.default_rng(0))
    other = Reuse.bounded(0.05, [dict(reversed(first.items())), second], np.random.default_rng(0))
    assert one == other
    assert (one.looks, one.bound) == (1, True)
    assert "1 earlier verdict against this champion: judged at alpha" in str(one)
    assert "0 earlier verdicts" in str(Reuse.bounded(0.05, [first], rng))


def test_it_says_what_can_still_promote_when_no_alpha_is_left() -> None:
    """More answers help while a later verdict has a part of alpha, and not after the last one."""
    one, two, all_of_them = (str(Reuse(n, n, 0.05, 0.0, bound=True)) for n in (1, 2, HORIZON))
    more = "too little of alpha 0.05 for any result on these answers: a person decides, or a verdict on more held-out"
    assert one == f"1 earlier verdict against this champion leaves {more} answers"
    assert two == f"2 earlier verdicts against this champion leave {more} answers"
    used_up = "have used up alpha 0.05: a person decides until there is another champion"
    assert all_of_them == f"{HORIZON} earlier verdicts against this champion {used_up}"
