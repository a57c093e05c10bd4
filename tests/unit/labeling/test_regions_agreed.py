"""Consensus of people who marked regions: two and three people, shifted, missing and other regions, and none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from tests.support.data.regions import SPLIT, TAG_OF, form, labelled

BOXES = form("RectangleLabels").answer
SPLIT_CONTROL = LabelingConfig.parse(SPLIT, ("label",)).answer


def box(x: float, y: float = 10, label: str = "car", **more: Any) -> dict[str, Any]:
    return {"box": [x, y, 20, 20], "label": label, **more}


def agreed(people: Sequence[Any], control: Any = BOXES) -> tuple[Any, float]:
    """The regions that these people agree on, None for a tie, and the mean agreement."""
    answer, total = kinds.of(control).agreed(control, [kinds.canonical(control, one) for one in people], None)
    return None if answer is None else json.loads(answer), total / len(people)


CASES: dict[str, tuple[list[Any], Any, float]] = {
    "two people, shifted": ([[box(10)], [box(12)]], [box(11)], 1),
    "three people, shifted": ([[box(10)], [box(12)], [box(15)]], [box(12)], 1),
    "three people, one box missing": ([[box(10), box(60)], [box(10)], [box(10)]], [box(10)], (2 / 3 + 1 + 1) / 3),
    "two people, one box missing": ([[box(10), box(60)], [box(10)]], None, 0),
    "two people, another label": ([[box(10)], [box(10, label="sign")]], None, 0),
    "three people, another label": ([[box(10)], [box(11)], [box(10, label="sign")]], [box(10.5)], 2 / 3),
    "two people, far apart": ([[box(10)], [box(50)]], None, 0),
    "three people, all of them apart": ([[box(10)], [box(40)], [box(70)]], None, 0),
    "nobody marked anything": ([[], [], []], [], 1),
    "two of three marked nothing": ([[], [], [box(10)]], [], 2 / 3),
    "one of two marked nothing": ([[], [box(10)]], None, 0),
    "one person": ([[box(10), box(60)]], [box(10), box(60)], 1),
    "two boxes of one label side by side": (
        [[box(10), box(32)], [box(12), box(30)], [box(11), box(31)]],
        [box(11), box(31)],
        1,
    ),
    "other pages": ([[box(10)], [box(10, page=1)]], None, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_what_people_agree_on(case: str) -> None:
    people, answer, agreement = CASES[case]
    found = agreed(people)
    assert found[0] == answer
    assert found[1] == pytest.approx(agreement)
    assert agreed(people[::-1]) == pytest.approx(found) if answer is None else agreed(people[::-1])[0] == answer


def test_people_agree_on_the_area_whatever_shape_they_drew() -> None:
    square = [[10, 10], [30, 10], [30, 30], [10, 30]]
    answer, agreement = agreed([[box(10)], [{"polygon": square, "label": "car"}]], SPLIT_CONTROL)
    assert answer in ([box(10)], [{"label": "car", "polygon": [[10, 10], [10, 30], [30, 30], [30, 10]]}])
    assert agreement == 1


def test_people_agree_on_the_pixels_that_most_of_them_brushed() -> None:
    control = form("BrushLabels").answer
    people = [[{"mask": [10, 1, runs], "label": "car"}] for runs in ([2, 5, 3], [3, 5, 2], [2, 6, 2])]
    answer, agreement = agreed(people, control)
    assert answer == [{"label": "car", "mask": [10, 1, [2, 6, 2]]}]
    assert agreement == 1


def test_people_agree_on_the_median_of_their_points() -> None:
    control = form("KeyPointLabels").answer
    people = [[{"point": [x, 50], "label": "car"}] for x in (10, 11, 12)]
    assert agreed(people, control) == ([{"label": "car", "point": [11, 50]}], 1)
    people[2][0]["point"] = [20, 50]  # not the same point any more
    answer, agreement = agreed(people, control)
    assert answer == [{"label": "car", "point": [10.5, 50]}]
    assert agreement == pytest.approx(2 / 3)


def test_answers_about_a_region_are_agreed_on_too() -> None:
    people = [[{**box(10), "with": {"quality": quality}}] for quality in ("good", "bad", "good")]
    assert agreed(people, SPLIT_CONTROL)[0] == [{**box(10), "with": {"quality": "good"}}]


@pytest.mark.parametrize("shape", sorted(TAG_OF))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_people_who_marked_the_same_agree_on_it(shape: str, data: st.DataObject) -> None:
    control = form(f"{TAG_OF[shape]}Labels").answer
    answer = kinds.canonical(control, data.draw(labelled(shape)))
    found, agreement = kinds.of(control).agreed(control, [answer] * 3, None)
    assert found is not None
    assert agreement == pytest.approx(3)
    assert kinds.of(control).score(control, answer, found) == 1
    assert kinds.of(control).measures(control, answer, found)["mean_iou"] == pytest.approx(1, abs=0.02)


def test_scores_of_a_prediction() -> None:
    answer = kinds.canonical(BOXES, [box(10), box(60)])
    predicted = kinds.canonical(BOXES, [box(10), box(62), box(60, label="sign")])
    assert kinds.of(BOXES).score(BOXES, answer, predicted) == pytest.approx(4 / 5)
    assert kinds.of(BOXES).measures(BOXES, answer, predicted)["mean_iou"] == pytest.approx((1 + 18 / 22) / 3)
    assert kinds.of(BOXES).labels_in(BOXES, predicted) == ("car", "sign")


def test_five_people_with_500_boxes_are_compared_box_by_box() -> None:
    rng = np.random.default_rng(0)
    places = [(rng.uniform(1, 90, 2), rng.uniform(2, 8, 2), str(rng.choice(["car", "sign"]))) for _ in range(500)]
    people = [
        kinds.canonical(BOXES, [{"box": [*(xy + rng.normal(0, 0.1, 2)), *wh], "label": of} for xy, wh, of in places])
        for _ in range(5)
    ]
    answer, agreement = kinds.of(BOXES).agreed(BOXES, people, None)
    assert answer is not None
    assert len(json.loads(answer)) > 490
    assert agreement > 4.9
