"""`labelloop control`: its verdict in words, or the answers that are missing for one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from backend.decide.control import WORTH, judge, missing, verdict
from backend.decide.gain import Gain, Lanes
from backend.learners import make
from labelloop.spec.loop import LoopSpec
from labelloop.versions.items import AnsweredItem


def spec_of(control: float = 0.2) -> LoopSpec:
    spec = LoopSpec(name="texts", trigger="model_confidence < 0.8").with_labels(["ham", "spam"])
    return spec.model_copy(update={"queue": spec.queue.model_copy(update={"control": control})})


def lane(name: str, n: int, labels: tuple[str, ...] = ("ham", "spam")) -> list[AnsweredItem]:
    fixed: dict[str, Any] = {"agreement": 1.0, "reviewers": 1, "pipeline_label": None, "pipeline_confidence": None}
    return [
        AnsweredItem(
            key=f"{name}-{i}",
            group_key=f"{name}-{i}",
            data={"text": f"{labels[i % len(labels)]} number {i}"},
            answer_seq=i,
            label=labels[i % len(labels)],
            weight=1.0,
            output_id=UUID(int=i),
            lane=name,
            holdout=name == "holdout",
            **fixed,
        )
        for i in range(n)
    ]


def said(
    rule: int, control: int, held_out: int, *, share: float = 0.2, labels: tuple[str, ...] = ("ham", "spam")
) -> str:
    lanes = Lanes(lane("rule", rule, labels), lane("control", control, labels), lane("holdout", held_out, labels))
    return judge(spec_of(share), lanes, lambda: make("text", {"field": "text"}), divisions=2).verdict


def gain(low: float, high: float) -> Gain:
    return Gain(taught=50, rule=0.8 + (low + high) / 2, control=0.8, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "begin"),
    [
        (0.001, 0.05, "pays: +2.5 points against a random order (95 % CI +0.1 to +5.0)"),
        (-0.09, -0.01, "does not pay: -5.0 points against a random order (95 % CI -9.0 to -1.0)"),
        (-0.02, 0.02, "makes no difference of 3 points: +0.0 points"),
        (-0.06, 0.06, "cannot tell yet: +0.0 points against a random order (95 % CI -6.0 to +6.0); about 300 more"),
        (-0.01, 0.04, "cannot tell yet: +1.5 points"),
    ],
)
def test_the_verdict_says_whether_it_pays(low: float, high: float, begin: str) -> None:
    found = gain(low, high)
    assert verdict(found, missing(found, 100)).startswith(begin)


def test_twice_the_width_that_is_worth_knowing_needs_four_times_the_answers() -> None:
    assert missing(gain(-2 * WORTH, 2 * WORTH), 100) == 300
    assert missing(gain(-0.01, 0.04), 100) == 180, "it holds 0 and 3 points, and 1.5 points are in the middle"
    assert missing(gain(-0.0001, 0.0579), 100) == 10, "nearly narrow enough"
    assert missing(gain(0.001, 0.2), 100) is None
    assert missing(gain(-0.02, 0.01), 100) is None


def test_too_few_answers_are_counted() -> None:
    assert said(12, 7, 3) == (
        "cannot tell yet: 7 answers of the control lane, at least 40 are needed; "
        "12 answers of the rule lane, at least 20 are needed; 3 held-out answers, at least 20 are needed"
    )
    assert said(0, 0, 0).startswith("cannot tell yet: 0 answers of the control lane")


def test_a_loop_without_a_control_lane_is_told_how_to_get_one() -> None:
    assert said(100, 0, 100, share=0.0) == (
        "cannot tell yet: 0 answers of the control lane, at least 40 are needed; "
        "queue.control is 0, so no output enters the control lane: set it, for example to 0.1"
    )
    assert said(100, 10, 100, share=0.0).endswith(
        "queue.control is 0, so no further output enters the control lane: set it, for example to 0.1"
    )


def test_answers_that_are_all_alike_tell_nothing() -> None:
    assert said(60, 60, 60, labels=("ham",)) == "cannot tell yet: all answers are 'ham', so there is nothing to learn"


def test_lanes_that_do_not_differ_make_no_difference_even_if_the_control_was_switched_off() -> None:
    assert said(60, 60, 400, share=0.0).startswith("makes no difference of 3 points: +0.0 points")
