"""The paired test between two models: its p-value, interval and symmetry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.gate import Accuracy, Gain, Gate, Judged
from labelloop.gate.paired import p_better

BOTH, NEITHER = Judged("a", "a", "a"), Judged("a", "b", "b")


BETTER, WORSE = Judged("a", "b", "a"), Judged("a", "a", "b")


GATE = Gate(min_holdout=20, alpha=0.05)


models_answers = st.lists(
    st.builds(Judged, st.sampled_from("abc"), *[st.one_of(st.none(), st.sampled_from("abc"))] * 2), max_size=60
)


gates = st.builds(Gate, st.integers(1, 40), st.floats(0.001, 0.999))


def test_eight_better_and_two_worse_may_be_chance() -> None:
    """(45 + 10 + 1) / 2**10 = 0.0547"""
    decision = GATE.judge([BOTH] * 33 + [NEITHER] * 5 + [BETTER] * 8 + [WORSE] * 2)
    assert decision.p_value == pytest.approx(56 / 1024)
    assert not decision.promote
    assert decision.reasons[0] == (
        "challenger accuracy 85.4 % (41 of 48; 95 % CI 72.8 to 92.8), "
        "champion accuracy 72.9 % (35 of 48; 95 % CI 59.0 to 83.4); "
        "8 better, 2 worse, p = 0.055 > 0.05, it may be chance: refused"
    )


def test_nine_better_and_one_worse_is_evidence() -> None:
    """(10 + 1) / 2**10 = 0.0107"""
    decision = GATE.judge([BOTH] * 20 + [BETTER] * 9 + [WORSE])
    assert decision.p_value == pytest.approx(11 / 1024)
    assert decision.promote
    scores = decision.evaluation(trained_on=7)
    assert {
        k: scores[k] for k in ("holdout", "trained_on", "metric", "champion", "challenger", "better", "worse", "p")
    } == {
        "holdout": 30,
        "trained_on": 7,
        "metric": "accuracy",
        "champion": GATE.judge([BOTH] * 21 + [NEITHER] * 9).challenger.as_json(),
        "challenger": GATE.judge([BOTH] * 29 + [NEITHER]).challenger.as_json(),
        "better": 9,
        "worse": 1,
        "p": decision.p_value,
    }


def test_the_interval_is_wilsons() -> None:
    """By the formula of 1927 with z = 1.959964: 41 of 48."""
    z, p, n = 1.959964, 41 / 48, 48
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = Accuracy.of(41, 48)
    assert found.low == pytest.approx((middle - half) / (1 + z * z / n), abs=1e-6)
    assert found.high == pytest.approx((middle + half) / (1 + z * z / n), abs=1e-6)


@given(models_answers, gates)
def test_identical_models_are_never_promoted(items: list[Judged], gate: Gate) -> None:
    decision = gate.judge([Judged(item.answer, item.challenger, item.challenger) for item in items])
    assert not decision.promote
    assert (decision.better, decision.worse, decision.p_value) == (0, 0, 1.0)


def test_the_interval_of_the_gain_is_tangos() -> None:
    """The example of Fagerland, Lydersen & Laake 2014, doi:10.1002/sim.6148: 1, 1, 7 and 12 of 21 children."""
    differences = np.array([1.0] + [-1.0] * 7 + [0.0] * 13)
    gain = Gain.of(differences, np.random.default_rng(0))
    assert (gain.value, gain.low, gain.high) == pytest.approx((-6 / 21, -0.517, -0.026), abs=5e-4)
    certain = Gain.of(np.ones(10), np.random.default_rng(0))
    assert certain.high == 1.0
    assert 0 < certain.low < 1


def test_item_scores_of_structured_answers_are_tested_by_flipping_signs() -> None:
    """One of the 2**4 ways to set the signs of these differences sums to as much, and four of the 2**6."""
    rng = np.random.default_rng(0)
    assert p_better(np.array([0.1, 0.2, 0.3, 0.45]), rng) == pytest.approx(1 / 16, abs=0.004)
    assert p_better(np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.5]), rng) == pytest.approx(8 / 128, abs=0.004)
    assert p_better(np.zeros(5), rng) == 1.0


def test_a_better_mean_item_score_of_structured_answers_is_promoted() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((100, 2)) * 0.5
    decision = GATE.judge([Judged("[]", "[]", "[]", item_scores=(float(a), float(b + 0.3))) for a, b in scores])
    assert decision.promote
    assert decision.evaluation(5)["metric"] == "score"
    assert "challenger mean item score 5" in decision.reasons[0]
    assert decision.gain is not None
    assert decision.gain.low < 0.3 < decision.gain.high


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=40))
def test_the_interval_holds_the_gain_and_agrees_with_the_other_side(found: list[float]) -> None:
    gain, other = (Gain.of(sign * np.array(found), np.random.default_rng(0)) for sign in (1, -1))
    assert -1 <= gain.low <= gain.value + 1e-9
    assert gain.value - 1e-9 <= gain.high <= 1
    assert (gain.low, gain.high) == pytest.approx((-other.high, -other.low), abs=1e-6)
