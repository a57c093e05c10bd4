"""The gate: its rules beside the paired test, on numbers that were worked out by hand, and its laws."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.gate import Accuracy, Cost, Gate, Judged, Reuse
from labelloop.gate.paired import holm, p_better

BOTH, NEITHER = Judged("a", "a", "a"), Judged("a", "b", "b")
BETTER, WORSE = Judged("a", "b", "a"), Judged("a", "a", "b")
GATE = Gate(min_holdout=20, alpha=0.05)

models_answers = st.lists(
    st.builds(Judged, st.sampled_from("abc"), *[st.one_of(st.none(), st.sampled_from("abc"))] * 2), max_size=60
)
gates = st.builds(Gate, st.integers(1, 40), st.none() | st.floats(0.001, 0.999), max_loss=st.floats(0.001, 0.5))


def test_the_best_challenger_is_refused_on_too_few_answers() -> None:
    decision = GATE.judge([BETTER] * 19)
    assert not decision.promote
    assert "19 held-out answers, the gate needs 20: no verdict, refused" in decision.reasons[0]
    assert GATE.judge([BETTER] * 20).promote


def test_no_held_out_answer_is_no_verdict() -> None:
    decision = GATE.judge([])
    assert not decision.promote
    assert decision.challenger == Accuracy(0, 0, None, None, None)


def test_a_model_that_says_nothing_is_wrong() -> None:
    assert GATE.judge([Judged("a", None, "a")] * 20).better == 20


@given(models_answers, gates)
def test_only_a_better_challenger_is_promoted(items: list[Judged], gate: Gate) -> None:
    decision = gate.judge(items)
    if decision.challenger.correct <= decision.incumbent.correct or len(items) < gate.min_holdout:
        assert not decision.promote
    if decision.promote:
        assert decision.p_value <= (gate.alpha or 1)
        assert decision.loss is not None
        assert gate.alpha or decision.loss.promoting <= gate.max_loss


@pytest.mark.slow
@given(models_answers, gates, st.randoms())
def test_the_order_of_the_answers_does_not_matter(items: list[Judged], gate: Gate, random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert gate.judge(items) == gate.judge(shuffled)


@given(models_answers, gates)
def test_both_are_never_promoted_over_each_other(items: list[Judged], gate: Gate) -> None:
    swapped = [Judged(item.answer, item.challenger, item.incumbent) for item in items]
    assert not (gate.judge(items).promote and gate.judge(swapped).promote)


# -- rules beside the test ---------------------------------------------------------------------------------------------


def drawn(n: int, accuracy: float, gain: float, rng: np.random.Generator, differ: float = 0.2) -> list[Judged]:
    """Items on which the challenger is better by `gain`; on a share of `differ` only one model is correct."""
    better, worse = (differ + gain) / 2, (differ - gain) / 2
    both = accuracy - worse
    kinds = rng.choice(4, size=n, p=[both, better, worse, 1 - both - better - worse])
    said = [("a", "a"), ("b", "a"), ("a", "b"), ("b", "b")]
    return [Judged("a", *said[kind]) for kind in kinds]


def with_facts(items: list[Judged], rng: np.random.Generator) -> list[Judged]:
    facts = zip(
        rng.integers(10, size=len(items)), rng.integers(4, size=len(items)), rng.random(len(items)), strict=True
    )
    return [
        replace(item, facts={"label": str(label), "data.country": str(country), "length": float(length)})
        for item, (label, country, length) in zip(items, facts, strict=True)
    ]


@pytest.mark.slow
def test_at_most_5_of_100_worse_challengers_are_promoted() -> None:
    """By half a point only: those that are much worse are no risk."""
    rng = np.random.default_rng(1)
    assert sum(GATE.judge(drawn(1000, 0.85, -0.005, rng)).promote for _ in range(100)) <= 5


@pytest.mark.slow
def test_at_least_80_of_100_challengers_with_5_points_more_on_1000_answers_are_promoted() -> None:
    """With all the slices and their floor; every fifth item is right with one of the two models only."""
    rng = np.random.default_rng(2)
    gate = Gate(min_holdout=20, alpha=0.05, floor=0.02)
    assert sum(gate.judge(with_facts(drawn(1000, 0.85, 0.05, rng), rng)).promote for _ in range(100)) >= 80


def by_luck(replays: int, begin: int, more: int, *, share: bool) -> float:
    """False promotions in 100 verdicts on the same hold-out, if each challenger is as good as its champion; the mean.

    The hold-out begins with `begin` answers and gets `more` for each verdict. Items differ in how hard they are.
    """
    rng, found = np.random.default_rng(3), 0
    for _ in range(replays):
        chance = 1 / (1 + np.exp(-rng.normal(1.7, 1.5, begin + 100 * more)))
        champion, looks = rng.random(len(chance)) < chance, list[int]()
        for verdict in range(100):
            n, challenger = begin + verdict * more, rng.random(len(chance)) < chance
            alpha = Reuse.of(0.05, [seen / n for seen in looks], ignored=not share).alpha
            differences = challenger[:n].astype(float) - champion[:n]
            looks.append(n)
            if differences.sum() > 0 and p_better(differences, rng) <= alpha:
                champion, looks, found = challenger, [], found + 1
    return found / replays


@pytest.mark.parametrize(("begin", "more"), [(200, 0), (20, 10)])
def test_a_hold_out_that_is_used_again_and_again_promotes_hardly_anybody_by_luck(begin: int, more: int) -> None:
    """Half of these loops would have a lucky champion after 100 verdicts if re-use were not counted."""
    assert by_luck(40, begin, more, share=True) < 0.25
    assert by_luck(40, begin, more, share=False) > 0.4


def test_reuse_counts_a_look_by_what_it_saw_of_todays_answers() -> None:
    reuse = Reuse.of(0.06, [0.5, 0.5, 0.0])
    assert (reuse.looks, reuse.counted, reuse.alpha) == (2, 1.0, 0.03)
    assert "2 earlier verdicts" in str(reuse)
    assert "alpha 0.03 instead of 0.06" in str(reuse)
    assert Reuse.of(0.06).alpha == 0.06
    assert Reuse.of(0.06, [1.0], ignored=True).alpha == 0.06
    better = [BOTH] * 20 + [BETTER] * 9 + [WORSE]  # p = 0.0107
    assert GATE.judge(better, reuse=Reuse.of(0.05, [1.0] * 3)).promote
    refused = GATE.judge(better, reuse=Reuse.of(0.05, [1.0] * 4))
    assert "p = 0.011 > 0.01, it may be chance: refused" in refused.reasons[0]


def test_a_slice_that_fell_refuses_and_is_named() -> None:
    here = [replace(item, facts={"data.country": "chile"}) for item in [WORSE] * 9 + [BOTH] * 11]
    there = [replace(item, facts={"data.country": "peru"}) for item in [BETTER] * 60 + [BOTH] * 40]
    decision = Gate(20, 0.05, floor=0.02).judge([*here, *there])
    assert not decision.promote
    assert "data.country chile got worse by 45.0 points, from 100.0 to 55.0 % on 20 (p = 0.00" in decision.reasons[0]
    first, second = decision.evaluation(1)["slices"]
    assert (first["value"], first["fell"], first["gain"]) == ("chile", True, -0.45)
    assert (second["value"], second["fell"], second["n"]) == ("peru", False, 100)
    assert Gate(20, 0.05, floor=0.5).judge([*here, *there]).promote, "its floor lets it lose as much"
    few = [replace(item, facts={"data.country": "chile"}) for item in [WORSE] * 9]
    assert Gate(20, 0.05).judge([*few, *there]).promote, "nine answers are too few to judge a slice by"


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def better_with(**more: Any) -> list[Judged]:
    return [replace(item, **more) for item in [BOTH] * 60 + [BETTER] * 30 + [NEITHER] * 10]


@pytest.mark.parametrize(
    ("limit", "cost", "says"),
    [
        ({"min_gain": 0.4}, Cost(), "a gain of 30.0 points, the gate needs 40: refused"),
        ({"max_ece": 0.1}, Cost(), "but calibration error (ECE) 40.0 % (90 % CI 3"),
        ({"max_slowdown": 3}, Cost(0.5, 2.0), "but 2 ms an item, 4.0 times the champion's 0.5, the limit is 3 times"),
        ({"max_size_mb": 10}, Cost(size_bytes=12_300_000), "but its file has 12.3 MB, the limit is 10: refused"),
    ],
)
def test_each_limit_refuses_a_better_challenger_and_says_so(limit: dict[str, Any], cost: Cost, says: str) -> None:
    found = better_with(confidences=(0.5, 0.5))
    assert GATE.judge(found, cost=cost).promote
    decision = replace(GATE, **limit).judge(found, cost=cost)
    assert not decision.promote
    assert says in decision.reasons[0]
    assert len(decision.reasons) >= 3, "the other rules have their sentences too"


def test_a_limit_that_cannot_be_measured_is_reported_and_does_not_refuse() -> None:
    decision = replace(GATE, max_slowdown=2.0).judge(better_with(), cost=Cost(None, 3.0))
    assert decision.promote
    assert "its speed was not compared" in " ".join(decision.reasons)
    lucky = replace(GATE, max_ece=0.01).judge(better_with(confidences=(None, 0.84)))
    assert lucky.promote
    assert "the limit is 1 %, but chance alone may do that" in " ".join(lucky.reasons)


def test_the_smallest_gain_that_the_gate_would_have_detected_is_reported() -> None:
    [said] = [reason for reason in GATE.judge(better_with()).reasons if "would have been promoted" in reason]
    assert re.fullmatch(
        r"gain \+30.0 points \(95 % CI \+2\d\.\d to \+3\d\.\d\); a gain of \d+\.\d points would .*", said
    )
