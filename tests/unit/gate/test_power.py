"""Power of the gate: against the gate itself on planted challengers, and by hand."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from labelloop.gate import Gate, Judged
from labelloop.gate.loss import expected_loss
from labelloop.gate.power import (
    Needed,
    by_gain,
    by_loss,
    by_test,
    chance_to_see,
    detectable_gain,
    more_answers,
)


def test_the_power_of_a_handful_is_that_of_counting_by_hand() -> None:
    """5 items, all discordant: only 5 of 5 has p = 1/32 <= 0.05."""
    assert chance_to_see(5, by_test(0.05), 1.0, 0.8) == pytest.approx(0.9**5)
    assert chance_to_see(4, by_test(0.05), 1.0, 1.0) == 0
    by_hand = sum(comb(8, m) * 0.5**8 * 0.9**m for m in (5, 6, 7))  # with 8 pairs 7 are enough
    by_hand += 0.5**8 * (0.9**8 + 8 * 0.9**7 * 0.1)
    assert chance_to_see(8, by_test(0.05), 0.5, 0.4) == pytest.approx(by_hand)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gate", "needed"),
    [
        (Gate(20, alpha=0.05), by_test(0.05)),
        (Gate(20, max_loss=0.004), by_loss(300, 0.004)),
        (Gate(20, max_loss=0.004, min_gain=0.05), by_gain(300, 0.05, by_loss(300, 0.004))),
    ],
    ids=["exact", "expected loss", "a smallest gain"],
)
def test_the_gate_promotes_a_gain_as_often_as_the_power_predicts(gate: Gate, needed: Needed) -> None:
    n, discordant = 300, 0.12
    gain = detectable_gain(n, needed, discordant)
    assert gain is not None
    rng, seen = np.random.default_rng(0), 0
    for _ in range(300):
        better, worse, _ = rng.multinomial(n, [(discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant])
        items = [Judged("a", "b", "a")] * better + [Judged("a", "a", "b")] * worse
        seen += gate.judge(items + [Judged("a", "a", "a")] * (n - better - worse)).promote
    assert 0.73 <= seen / 300 <= 0.87


def test_more_answers_see_less_and_too_few_see_nothing() -> None:
    gains = [detectable_gain(n, by_test(0.05), 0.1) for n in (20, 100, 400, 1_000, 10_000)]
    assert gains == sorted((gain for gain in gains if gain is not None), reverse=True)
    assert detectable_gain(4, by_test(0.05), 0.1) is None
    assert detectable_gain(0, by_test(0.05), 0.1) is None
    assert detectable_gain(1_000, by_test(0.05), 0.1) == pytest.approx(0.026, abs=0.003)


def test_the_missing_answers_are_those_after_which_the_same_shares_pass() -> None:
    for better, worse, n in ((5, 4, 100), (3, 1, 40), (2.5, 2, 30)):
        more = more_answers(better, worse, n, 0.004)
        assert more is not None
        assert more > 0
        lost = [float(expected_loss(better * m / n, worse * m / n, m)) for m in (n + more - 1, n + more)]
        assert lost[0] > 0.004 >= lost[1]
    assert more_answers(12, 2, 27, 0.004) == 0
    assert more_answers(101, 100, 1_000, 1e-5) is None, "10,000 more are not enough"


def test_a_value_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"discordant is a share, 0 to 1; it is 12"):
        detectable_gain(100, by_test(0.05), 12)


def test_the_expected_loss_needs_what_it_promotes_by() -> None:
    for n in (20, 200):
        pairs = np.arange(0, 20)
        for differ, needed in zip(pairs, by_loss(n, 0.004)(pairs), strict=True):
            passes = [
                bool(2 * k > differ and expected_loss(k, int(differ) - k, n) <= 0.004) for k in range(int(differ) + 1)
            ]
            assert passes.index(True) == needed if any(passes) else needed == differ + 1


def test_the_detectable_gain_includes_the_smallest_gain_of_the_gate() -> None:
    better = [Judged("a", "b", "a")] * 7 + [Judged("a", "a", "a")] * 993
    refused = Gate(20, min_gain=0.1).judge(better)
    assert "a gain of 0.7 points, the gate needs 10: refused" in refused.reasons[0]
    assert refused.detectable is not None
    assert 0.1 < refused.detectable < 0.12
    assert by_gain(10, 0.3, by_test(1.0))(np.array([3, 4, 5])).tolist() == [3, 4, 4], "3 - 0, 4 - 0, and 4 - 1"
