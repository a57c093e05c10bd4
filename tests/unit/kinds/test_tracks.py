"""Boxes in a video: which there are, where they are between key frames, and what people agree on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.answers.consensus import consensus
from labelloop.labeling import kinds
from labelloop.labeling.geometry import moving
from labelloop.labeling.geometry.moving import boxes_at
from labelloop.labeling.kinds import tracks
from tests.support.data.drawn import answers, form

VIDEO, BARE = form("video").answer, form("bare video").answer
STILL = [1, 10, 10, 20, 20, 0]


def track(*frames: list[Any], label: str = "a") -> dict[str, Any]:
    return {"frames": list(frames), "label": label}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([track()], "a track is an object such as"),
        ([track([0, 10, 10, 20, 20, 0])], "frames are counted from 1"),
        ([track([1, 10, 10, 20, 20])], "a key frame is"),
        ([track([1, 10, 10, 20, 20, 0, True])], "a key frame is"),
        ([track([1, 10, 10, 20, 20, 0, 0])], "a key frame is"),
        ([track([1.5, 10, 10, 20, 20, 0])], "a key frame is"),
        ([track([1, 10, 10, 0, 20, 0])], "a box lies in the picture, from 0 to 100 percent; in frame 1 it is"),
        ([track([1, 100, 10, 20, 20, 0])], "a box lies in the picture"),
        ([track([1, -20, 10, 20, 20, 0])], "a box lies in the picture"),
        ([track([1, float("nan"), 10, 20, 20, 0])], "a key frame is"),
        ([track(STILL, STILL)], "in order, each once; 1 comes after 1"),
        ([track([3, *STILL[1:]], STILL)], "1 comes after 3"),
        ([track(STILL, label="z")], "no such label 'z'"),
    ],
)
def test_the_reason_why_a_track_is_none_is_told(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kinds.canonical(VIDEO, given)


@settings(max_examples=60, deadline=None)
@given(answers("bare video"), answers("bare video"), st.sampled_from([1e-9, 0.2, 0.5, 0.9]))
def test_a_track_that_is_passed_over_is_less_similar_than_asked(one: Any, other: Any, least: float) -> None:
    sides = [[{"frames": region["frames"]} for region in said] for said in (one, other)]
    if all(sides):
        table = moving.table(sides[0], sides[1], least)
        for (i, j), found in np.ndenumerate(table):
            right = moving.similarity(sides[0][i], sides[1][j])
            assert found == right or (found == 0 and right < least)


def test_a_box_may_leave_the_picture_and_may_have_no_label() -> None:
    leaving = [{"frames": [[1, -15.0, 90, 20, 20.00001, 0]]}]
    assert kinds.canonical(VIDEO, leaving) == '[{"frames":[[1,-15,90,20,20,0]]}]' == kinds.canonical(BARE, leaving)


def test_a_box_is_where_the_editor_shows_it() -> None:
    turning = track([3, 0, 0, 10, 10, 170], [5, 20, 40, 30, 10, -170, False], [8, 50, 0, 10, 10, 0])
    found = boxes_at(turning, np.arange(2, 10))
    assert np.isnan(found[[0, 4, 5]]).all(), "before the first key frame, and after it is gone"
    assert found[[1, 2, 3, 6, 7], :5].tolist() == [
        [0, 0, 10, 10, 170],
        [10, 20, 20, 10, 180],  # the short way from 170 to -170
        [20, 40, 30, 10, 190],
        [50, 0, 10, 10, 360],
        [50, 0, 10, 10, 360],
    ]


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        (track(STILL), track(STILL), 1),
        (track(STILL), track([1, 20, 10, 20, 20, 0]), 1 / 3),
        (track(STILL, [10, *STILL[1:]]), track([6, *STILL[1:]]), 0.5),  # 10 frames, and both in 5
        (track(STILL, [4, *STILL[1:], False]), track(STILL, [8, *STILL[1:]]), 0.5),
        (track(STILL), track([1, 10, 10, 20, 20, 90]), 0),
        (track(STILL, [10**6, *STILL[1:]]), track(STILL), 1),
    ],
)
def test_similarity_is_the_mean_overlap_of_the_frames(one: Any, other: Any, similar: float) -> None:
    assert tracks.GEOMETRY.similarity(one, other) == pytest.approx(similar, abs=1e-9)
    assert tracks.GEOMETRY.similarity(other, one) == pytest.approx(similar, abs=1e-9)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([[track(STILL)], [track([1, 12, 10, 20, 20, 0])]], [track([1, 11, 10, 20, 20, 0])]),
        (
            [[track(STILL)], [track(STILL, [9, *STILL[1:], False])], [track(STILL, [9, *STILL[1:], False])]],
            [track(STILL, [9, *STILL[1:], False])],
        ),
        ([[track(STILL)], []], None),
        ([[track(STILL)], [track(STILL, label="b")], [track(STILL)]], [track(STILL)]),
    ],
)
def test_people_agree_on_the_median_box_of_each_frame(said: Any, answer: Any) -> None:
    found = consensus([kinds.canonical(VIDEO, one) for one in said], 1, VIDEO)
    assert found is not None
    assert found.label == (None if answer is None else kinds.canonical(VIDEO, answer))


@settings(max_examples=60, deadline=None)
@given(st.lists(answers("video"), min_size=1, max_size=4))
def test_the_middle_of_any_tracks_is_a_track(said: list[list[dict[str, Any]]]) -> None:
    found = [{"frames": region["frames"]} for regions in said for region in regions]
    if found:
        tracks.GEOMETRY.read(tracks.GEOMETRY.middle([tracks.GEOMETRY.read(one) for one in found]))
