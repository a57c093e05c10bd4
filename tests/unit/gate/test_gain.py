"""The gain of ranked answers over random ones: the estimate by hand, and the order in which answers came."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import numpy as np
import pytest

from backend.decide.gain import Gain, Lanes, Scores, compare, estimate, taught_with
from backend.learners import make
from labelloop.versions.items import AnsweredItem

CENTRES = {"a": (0.0, 4.0), "b": (4.0, 0.0), "c": (-4.0, -4.0)}


def same(answer: str, predicted: str | None) -> float:
    return float(answer == predicted)


def rows(labels: str, lane: str, seed: int = 0) -> list[AnsweredItem]:
    """Answers in this order, each with a point near its label's centre."""
    rng = np.random.default_rng(seed)
    return [
        AnsweredItem(
            key=f"{lane}-{i}",
            group_key=f"{lane}-{i}",
            data={"point": (np.array(CENTRES[label]) + rng.normal(size=2)).tolist()},
            answer_seq=i,
            label=label,
            weight=1.0,
            output_id=UUID(int=i),
            lane=lane,
            holdout=lane == "holdout",
            agreement=1.0,
            reviewers=1,
            pipeline_label=None,
            pipeline_confidence=None,
        )
        for i, label in enumerate(labels)
    ]


def gain_of(rule: str, control: str = "abc" * 16, unanswered: int = 0) -> Gain:
    more = [row.data for row in rows("abc" * unanswered, "waiting", 3)]
    lanes = Lanes(rows(rule, "rule", 1), rows(control, "control", 2), rows("abc" * 20, "holdout"), more)
    learner = partial(make, "vectors", {"field": "point"})
    return estimate(lanes, learner, same, divisions=3, seed=0)


def scores(true: np.ndarray, more: int = 0, rng: np.random.Generator | None = None) -> Scores:
    """Scores that the reference model expects exactly, and `more` expected ones of as many models."""
    extra = np.zeros((len(true), 0)) if rng is None else (rng.random((len(true), more)) < true.mean()).astype(float)
    return Scores(true.astype(float), np.concatenate([true.astype(float), extra], axis=1))


def compared(models: Sequence[Scores], groups: Sequence[str] | None = None) -> Gain:
    """The gain by the scores of the rule's model, of its halves and of the control's; each item is its own group."""
    rule, halves, random = models
    return compare(rule, halves, random, groups or [str(i) for i in range(rule.true.shape[1])], 50)


def test_the_interval_is_that_of_a_difference_known_beforehand() -> None:
    """Correct by coins of 0.8 and 0.6: the variance of the difference is (0.16 + 0.24 / 6 + models) / 400."""
    rng = np.random.default_rng(1)
    models = [scores(rng.random((n, 400)) < p) for n, p in ((1, 0.8), (6, 0.8), (6, 0.6))]
    found = compared(models)
    assert found.low < 0.2 < found.high
    assert found.difference == pytest.approx(models[0].true.mean() - models[2].true.mean())
    assert 1.9 * 0.022 < (found.high - found.low) / 2 < 2.5 * 0.03


def test_models_that_vary_widen_the_interval() -> None:
    items = np.random.default_rng(1).random(400)
    near, far = (
        compared(
            [
                scores(items[None] < 0.7),
                scores(np.array([items < 0.7 - by, items < 0.7 + by] * 3)),
                scores(np.array([items < 0.7] * 6)),
            ]
        )
        for by in (0.0, 0.1)
    )
    assert near.difference == far.difference == 0
    assert far.high > 3 * near.high


def test_outputs_without_an_answer_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    true = [rng.random((n, 100)) < p for n, p in ((1, 0.8), (6, 0.8), (6, 0.6))]
    plain = compared([scores(each) for each in true])
    more = compared([scores(each, 900, rng) for each in true])
    assert more.high - more.low < 0.7 * (plain.high - plain.low)
    assert more.low < 0.2 < more.high


def test_few_items_without_a_difference_do_not_prove_that_there_is_none() -> None:
    alike = [scores(np.ones((n, 20), dtype=bool)) for n in (1, 6, 6)]
    found = compared(alike)
    assert found.difference == 0
    assert found.high == -found.low > 0.09, "twice one item of 20"


def test_held_out_items_of_a_group_count_as_one() -> None:
    rng = np.random.default_rng(3)
    rule, other = (rng.random(40) < p for p in (0.8, 0.6))
    copies = [scores(np.tile(np.repeat(each, 5), (n, 1))) for each, n in ((rule, 1), (rule, 6), (other, 6))]
    grouped = compared(copies, [str(i // 5) for i in range(200)])
    apart = compared(copies)
    assert grouped.high - grouped.low == pytest.approx(5**0.5 * (apart.high - apart.low), rel=0.1)


def test_only_the_first_answers_of_the_rule_count() -> None:
    """24 answers a lane: first all labels and then a single one, or the other way round."""
    first, last = gain_of("abc" * 8 + "a" * 60), gain_of("a" * 60 + "abc" * 8)
    assert first.taught == last.taught == 24
    assert first.rule > 0.9
    assert last.rule == pytest.approx(1 / 3)
    assert last.high < 0 < first.high
    assert first.low < 0


def test_one_label_only_predicts_that_label() -> None:
    assert gain_of("abc" * 16, control="b" * 48).control == pytest.approx(1 / 3)


def test_the_same_answers_and_seed_give_the_same_gain_and_more_items_keep_it() -> None:
    assert gain_of("ab" * 30) == gain_of("ab" * 30)
    assert gain_of("ab" * 30, unanswered=100).difference == pytest.approx(-1 / 3, abs=0.05)


def test_the_smaller_lane_sets_the_size() -> None:
    assert taught_with(1000, 301) == 150
    assert taught_with(30, 301) == 30
