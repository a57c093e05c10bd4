"""The gate against numbers that were worked out by hand, and its laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.gate import Accuracy, Gate, Judged

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
        "challenger 41 of 48 right (85.4 %, 72.8 to 92.8), champion 35 of 48 right (72.9 %, 59.0 to 83.4); "
        "8 better, 2 worse, p = 0.055 > 0.05, it may be chance: refused"
    )


def test_nine_better_and_one_worse_is_evidence() -> None:
    """(10 + 1) / 2**10 = 0.0107"""
    decision = GATE.judge([BOTH] * 20 + [BETTER] * 9 + [WORSE])
    assert decision.p_value == pytest.approx(11 / 1024)
    assert decision.promote
    scores = decision.scores(trained_on=7)
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


def test_the_best_challenger_is_refused_on_too_few_answers() -> None:
    decision = GATE.judge([BETTER] * 19)
    assert not decision.promote
    assert "19 held-out answers, the gate wants 20: no verdict, refused" in decision.reasons[0]
    assert GATE.judge([BETTER] * 20).promote


def test_no_held_out_answer_is_no_verdict() -> None:
    decision = GATE.judge([])
    assert not decision.promote
    assert decision.challenger == Accuracy(0, 0, None, None, None)


def test_a_model_that_says_nothing_is_wrong() -> None:
    assert GATE.judge([Judged("a", None, "a")] * 20).better == 20


def test_the_interval_is_wilsons() -> None:
    """By the formula of 1927 with z = 1.959964: 41 of 48."""
    z, p, n = 1.959964, 41 / 48, 48
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = Accuracy.of(41, 48)
    assert found.low == pytest.approx((middle - half) / (1 + z * z / n), abs=1e-6)
    assert found.high == pytest.approx((middle + half) / (1 + z * z / n), abs=1e-6)


@given(models_answers, gates)
def test_a_challenger_that_is_not_better_is_never_promoted(items: list[Judged], gate: Gate) -> None:
    decision = gate.judge(items)
    if decision.challenger.correct <= decision.incumbent.correct or len(items) < gate.min_holdout:
        assert not decision.promote
    if decision.promote:
        assert decision.p_value <= gate.alpha


@given(models_answers, gates)
def test_identical_models_are_never_promoted(items: list[Judged], gate: Gate) -> None:
    decision = gate.judge([Judged(item.answer, item.challenger, item.challenger) for item in items])
    assert not decision.promote
    assert (decision.better, decision.worse, decision.p_value) == (0, 0, 1.0)


@given(models_answers, gates, st.randoms())
def test_the_order_of_the_answers_does_not_matter(items: list[Judged], gate: Gate, random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert gate.judge(items) == gate.judge(shuffled)


@given(models_answers, gates)
def test_both_are_never_promoted_over_each_other(items: list[Judged], gate: Gate) -> None:
    swapped = [Judged(item.answer, item.challenger, item.incumbent) for item in items]
    assert not (gate.judge(items).promote and gate.judge(swapped).promote)
