"""The expected loss: by hand, against sampling, and as a rule of the gate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.gate import Cost, Gate, Judged
from labelloop.gate.loss import HARM, PRIOR_DISCORDANT, PRIOR_SAME, Loss
from labelloop.gate.paired import Floats
from labelloop.gate.rounding import in_order

BOTH, BETTER, WORSE = Judged("a", "a", "a"), Judged("a", "b", "a"), Judged("a", "a", "b")
GATE = Gate(min_holdout=20, max_loss=0.004)


def differences(better: int, worse: int, n: int) -> Floats:
    return np.repeat([1.0, -1.0, 0.0], [better, worse, n - better - worse])


@pytest.mark.parametrize(("better", "worse", "n"), [(0, 0, 0), (0, 0, 20), (3, 0, 40), (12, 5, 100), (30, 30, 1_000)])
def test_it_is_that_of_samples_of_the_posterior(better: int, worse: int, n: int) -> None:
    rng = np.random.default_rng(0)
    prior = [PRIOR_DISCORDANT, PRIOR_DISCORDANT, PRIOR_SAME]
    shares = rng.dirichlet(np.add([better, worse, n - better - worse], prior), size=200_000)
    gain = shares[:, 0] - shares[:, 1]
    found = Loss.of(differences(better, worse, n), rng)
    assert found.promoting == pytest.approx(np.maximum(-gain, 0).mean(), rel=0.05)
    assert found.waiting == pytest.approx(np.maximum(gain, 0).mean(), rel=0.05)
    assert found.harm == pytest.approx((gain < -HARM).mean(), rel=0.05, abs=0.002)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 100))
def test_what_one_would_lose_the_other_would_lose_the_other_way_round(better: int, worse: int, same: int) -> None:
    rng = np.random.default_rng(0)
    one = Loss.of(differences(better, worse, better + worse + same), rng)
    other = Loss.of(differences(worse, better, better + worse + same), rng)
    assert (one.promoting, one.waiting) == pytest.approx((other.waiting, other.promoting))
    assert 0 <= one.promoting <= 1
    assert 0 <= one.harm <= 1


def test_item_scores_between_0_and_1_are_weighed_in_the_same_way() -> None:
    whole = differences(12, 5, 100)
    nearly = whole * 0.999999
    exact, sampled = (Loss.of(one, np.random.default_rng(0)) for one in (whole, nearly))
    assert sampled.promoting == pytest.approx(exact.promoting, rel=0.25)
    assert sampled.waiting == pytest.approx(exact.waiting, rel=0.05)
    again = Loss.of(np.random.default_rng(1).permutation(nearly), np.random.default_rng(0))
    assert again == sampled, "the order of the items does not matter"


def test_a_challenger_that_is_ahead_is_promoted_once_little_can_be_lost() -> None:
    refused = GATE.judge([BETTER] * 3 + [WORSE] + [BOTH] * 36)
    assert not refused.promote
    assert (
        "3 better, 1 worse, promoting it would lose 0.57 points on average, the limit is 0.4: refused"
        in (refused.reasons[0])
    )
    assert "by waiting; it is worse by more than 1 point with a probability of" in " ".join(refused.reasons)
    assert GATE.judge([BETTER] * 4 + [BOTH] * 36).promote


@pytest.mark.parametrize("n", [20, 1_000])
def test_equal_models_and_no_answers_promote_nothing(n: int) -> None:
    assert "not better: refused" in GATE.judge([BOTH] * n).reasons[0]
    assert "not better: refused" in GATE.judge([BETTER, WORSE] * (n // 2)).reasons[0]
    assert "0 held-out answers, the gate needs 20: no verdict" in GATE.judge([]).reasons[0]


@pytest.mark.parametrize("n", [0, 19])
def test_without_a_verdict_there_is_no_expected_loss(n: int) -> None:
    """With no answers it would be that of the prior, 12.5 points."""
    decision = GATE.judge([BETTER] * n)
    assert decision.evaluation(trained_on=5)["loss"] is None
    assert "expected loss" not in " ".join(decision.reasons)
    assert GATE.judge([BETTER] * 20).evaluation(trained_on=5)["loss"]["promoting"] > 0


def test_a_gain_that_is_not_worth_a_change_is_refused() -> None:
    better = [BETTER] * 12 + [BOTH] * 988
    assert GATE.judge(better).promote
    small = Gate(20, max_loss=0.004, min_gain=0.05).judge(better)
    assert "a gain of 1.2 points, the gate needs 5: refused" in small.reasons[0]


def test_a_value_just_beyond_its_limit_has_enough_digits_to_see_it() -> None:
    loss = GATE.judge([BETTER] * 16 + [WORSE] * 9 + [BOTH] * 21)
    assert "would lose 0.403 points on average, the limit is 0.4: refused" in loss.reasons[0]
    gain = Gate(20, max_loss=0.5, min_gain=0.01).judge([BETTER] * 299 + [BOTH] * 29_701)
    assert "a gain of 0.997 points, the gate needs 1: refused" in gain.reasons[0]
    p_value = Gate(20, alpha=0.0351).judge([BETTER] * 8 + [WORSE] * 2 + [BOTH] * 20)
    assert "p = 0.055 > 0.035" in p_value.reasons[0]
    p_value = Gate(20, alpha=0.0546).judge([BETTER] * 8 + [WORSE] * 2 + [BOTH] * 20)
    assert "p = 0.0547 > 0.0546, it may be chance: refused" in p_value.reasons[0]
    size = Gate(20, max_size_mb=1).judge([BETTER] * 20, cost=Cost(size_bytes=1_000_400))
    assert "its file has 1.0004 MB, the limit is 1: refused" in size.reasons[0]
    assert in_order(1.0, 1.0) == ("1.0", "1")
    assert in_order(0.1 + 0.2, 0.3, ".2f")[1] == "0.3", "a rounding error of the machine"


def test_a_refusal_says_how_many_answers_are_missing() -> None:
    refused = GATE.judge([BETTER] * 5 + [WORSE] * 4 + [BOTH] * 91)
    assert any("; about 140 more held-out answers with this gain would promote it" in one for one in refused.reasons)
    assert GATE.judge(([BETTER] * 5 + [WORSE] * 4 + [BOTH] * 91) * 3).promote
    for items in ([BETTER] * 4 + [WORSE] * 4 + [BOTH] * 91, [BETTER] * 12 + [BOTH] * 20, [BETTER] * 2 + [BOTH] * 10):
        assert "more held-out answers" not in " ".join(GATE.judge(items).reasons), "level, promoted, no verdict"
    partly = [Judged("a", "b", "a", (0.4, x)) for x in [0.5] * 30 + [0.3] * 25]
    refused = GATE.judge(partly)
    assert not refused.promote
    assert "more held-out answers" not in " ".join(refused.reasons), "the rule's number is exact for labels only"
