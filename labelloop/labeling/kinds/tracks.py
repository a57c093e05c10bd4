"""Tracks: boxes that move through the frames of a video. A JSON list of objects, sorted.

{"frames":[[1,10,10,20,20,0],[11,30,10,20,20,0,false]],"label":"car"}

Each list is a key frame: its number, x, y, width and height in percent of the picture, and the rotation in degrees
clockwise around the top left corner. The first frame of a video is 1. A seventh value `false` says that the box is
gone after this frame; the next key frame brings it back. Between two key frames of a visible box every number changes
evenly. A box that is never gone stays to the end of the video.

Similarity: the mean over frames of the intersection over union, times |cos| of the difference of the rotations. A frame
in which only one of the two has a box counts as 0, and frames after the last key frame of both do not count. More than
MOST_COMPARED frames are compared at that many, evenly spaced. The middle of several tracks is the median box in each
key frame of any of them, in frames where more than half of them have a box.

labelloop/labeling/kinds/marked.py says how tracks are compared, and what people agree on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label, marked
from labelloop.labeling.kinds.marked import Geometry, Region

DIGITS = 4
"""Decimals of a coordinate, as in a region of an image."""
TINY = 10**-DIGITS
MOST_FRAMES = 10_000_000
"""Largest number of a frame: more than four days at 25 frames a second."""
MOST_COMPARED = 2_000
PIECES = 64
"""Pieces of time in which two tracks are first compared by the space that each of them takes."""
Boxes = npt.NDArray[np.float64]


def canonical(control: ControlTag, answer: object) -> str:
    return marked.canonical(GEOMETRY, control, answer)


def nearest(control: ControlTag, answer: str) -> str:
    return marked.nearest(GEOMETRY, control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    return marked.agreed(GEOMETRY, control, answers)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return marked.score(GEOMETRY, answer, predicted)


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return marked.measures(GEOMETRY, answer, predicted)


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return marked.labels_in(GEOMETRY, answer)


fits = label.fits


def _read(region: Mapping[str, Any]) -> Region:
    frames = region.get("frames")
    if not isinstance(frames, list) or not frames or set(region) != {"frames"}:
        raise ValueError(f"a track is an object such as {GEOMETRY.example}; one is {str(dict(region))[:80]}")
    found = [_key_frame(one) for one in frames]
    numbers = [one[0] for one in found]
    for before, after in pairwise(numbers):
        if after <= before:
            raise ValueError(f"the key frames of a track are in order, each once; {after} comes after {before}")
    return {"frames": found}


def _key_frame(given: object) -> list[Any]:
    match given:
        case [int() as frame, *more] if type(frame) is int and len(more) in (5, 6):
            numbers: list[Any] = more[:5]
            gone = more[5:]
            if all(map(_is_number, numbers)) and (not gone or gone[0] is False):
                x, y, width, height, rotation = (_shortest(round(one, DIGITS)) for one in numbers)
                if not 1 <= frame <= MOST_FRAMES:
                    raise ValueError(f"frames are counted from 1 to {MOST_FRAMES:,}; one is {frame}")
                if not (0 < width <= 100 and 0 < height <= 100 and -width < x < 100 and -height < y < 100):
                    box = [x, y, width, height]
                    raise ValueError(f"a box lies in the picture, from 0 to 100 percent; in frame {frame} it is {box}")
                return [frame, x, y, width, height, rotation, *gone]
    raise ValueError(
        "a key frame is [frame, x, y, width, height, rotation], and `false` after it if the box is gone then; one is "
        f"{str(given)[:80]}"
    )


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e6  # type: ignore[arg-type]  # NaN is not below it


def _shortest(number: float) -> int | float:
    """Return a whole number as an integer: 2.0 and 2 are the same."""
    return int(number) if number == int(number) else number


def boxes_at(track: Region, frames: npt.NDArray[np.int64]) -> Boxes:
    """Return the box of the track in each of these frames: x, y, width, height, rotation; NaN where it has none.

    Shape (n_frames, 5). The box is where the editor shows it.
    """
    keys = np.array([one[0] for one in track["frames"]])
    boxes = np.array([one[1:6] for one in track["frames"]], dtype=float)
    boxes[:, 4] = np.unwrap(boxes[:, 4], period=360)  # a turn goes the short way
    gone = np.array([len(one) == 7 for one in track["frames"]])
    found = np.column_stack([np.interp(frames, keys, column) for column in boxes.T])
    before = np.searchsorted(keys, frames, side="right") - 1
    there = (before >= 0) & (~gone[np.maximum(before, 0)] | (keys[np.maximum(before, 0)] == frames))
    found[~there] = np.nan
    return found


def _table(ones: Sequence[Region], others: Sequence[Region], least: float) -> Boxes:
    """Return the similarity of each two tracks; 0 where it is surely below `least`."""
    found = np.zeros((len(ones), len(others)))
    edges = _edges([*ones, *others])
    one, other = ([_hulls(track, edges) for track in tracks] for tracks in (ones, others))
    hulls = np.array([hull.boxes for hull in other])
    for i, track in enumerate(ones):
        meet = (np.maximum(hulls[:, :, :2], one[i].boxes[:, :2]) < np.minimum(hulls[:, :, 2:], one[i].boxes[:, 2:])).all(2)
        for j in np.flatnonzero(meet.any(axis=1)):
            if _most(one[i], other[j], meet[j], edges) >= least:
                found[i, j] = _similarity(track, others[j])
    return found


class Hulls(NamedTuple):
    """Where a track is, by pieces of time."""

    boxes: Boxes
    """The left, top, right and bottom that the track does not leave in a piece; NaN where it has no box."""
    first: int
    last: int
    """Numbers of its first and last key frames."""
    shown: int
    """Number of frames with a box, up to the last key frame."""
    stays: bool
    """Whether it has a box after its last key frame."""
    times: int
    """How often it begins to be shown."""


def _edges(tracks: Sequence[Region]) -> Boxes:
    first, last = (([track["frames"][end][0] for track in tracks]) for end in (0, -1))
    return np.linspace(min(first), max(last), PIECES + 1)


def _hulls(track: Region, edges: Boxes) -> Hulls:
    frames = track["frames"]
    keys, gone = np.array([one[0] for one in frames]), np.array([len(one) == 7 for one in frames])
    moments = np.unique(np.concatenate([keys, edges]))
    x, y, width, height = (np.interp(moments, keys, numbers) for numbers in np.array([one[1:5] for one in frames]).T)
    begin, end = np.searchsorted(moments, edges[:-1]), np.searchsorted(moments, edges[1:], side="right")
    pieces = np.column_stack([begin, end]).ravel()  # from one edge to the next, both included
    lowest, highest = np.column_stack([x, y]), np.column_stack([x + width, y + height])
    room = np.full((1, 2), np.nan)  # reduceat takes no place after the last one
    boxes = np.column_stack(
        [
            np.minimum.reduceat(np.concatenate([lowest, room]), pieces)[::2],
            np.maximum.reduceat(np.concatenate([highest, room]), pieces)[::2],
        ]
    )
    boxes[(edges[1:] < keys[0]) | (gone[-1] & (edges[:-1] > keys[-1]))] = np.nan
    shown = int(np.diff(keys)[~gone[:-1]].sum()) + int(gone.sum())
    return Hulls(boxes, int(keys[0]), int(keys[-1]), shown, not gone[-1], 1 + int(gone[:-1].sum()))


def _most(one: Hulls, other: Hulls, meet: npt.NDArray[np.bool_], edges: Boxes) -> float:
    """Return a bound of the similarity: as if the two were the same wherever their hulls meet."""
    first, last = min(one.first, other.first), max(one.last, other.last)
    apart = max(1.0, (last - first) / (MOST_COMPARED - 1))  # frames from one that is compared to the next
    begin, end = np.maximum(edges[:-1][meet], first), np.minimum(edges[1:][meet], last)
    both = ((end - begin + 1) / apart + 1)[end >= begin].sum()
    shown = max((it.shown + (last - it.last) * it.stays) / apart - it.times for it in (one, other))
    return float(both / max(1.0, shown))


def _similarity(one: Region, other: Region) -> float:
    first = min(one["frames"][0][0], other["frames"][0][0])
    last = max(one["frames"][-1][0], other["frames"][-1][0])
    frames = np.unique(np.linspace(first, last, min(last - first + 1, MOST_COMPARED)).round().astype(np.int64))
    a, b = boxes_at(one, frames), boxes_at(other, frames)
    either = ~np.isnan(a[:, 0]) | ~np.isnan(b[:, 0])
    return float(np.nan_to_num(_overlap(a[either], b[either])).mean())


def _overlap(one: Boxes, other: Boxes) -> Boxes:
    """Return how similar the boxes are, row by row; NaN where one is missing."""
    corners, its_corners = (boxes[:, :2] + boxes[:, 2:4] for boxes in (one, other))
    both = np.clip(np.minimum(corners, its_corners) - np.maximum(one[:, :2], other[:, :2]), 0, None).prod(axis=1)
    # The areas are measured as the shared one is, so that it is 1 for the same box.
    area, its_area = ((far - boxes[:, :2]).prod(axis=1) for far, boxes in ((corners, one), (its_corners, other)))
    shared: Boxes = both / (area + its_area - both)
    return shared * np.abs(np.cos(np.radians(one[:, 4] - other[:, 4])))


def _middle(tracks: Sequence[Region]) -> Region:
    keys = {one[0] for track in tracks for one in track["frames"]}
    keys |= {one[0] + 1 for track in tracks for one in track["frames"] if len(one) == 7}
    frames = np.array(sorted(keys))
    boxes = np.stack([boxes_at(track, frames) for track in tracks])
    shown = (~np.isnan(boxes[:, :, 0])).sum(axis=0) * 2 > len(tracks)
    if not shown.any():
        return tracks[0]
    found = []
    for i in np.flatnonzero(shown):
        x, y, width, height, rotation = np.nanmedian(boxes[:, i], axis=0).tolist()
        x, y = max(x, TINY - width), max(y, TINY - height)  # the medians of tracks that leave the picture
        gone = i + 1 < len(frames) and not shown[i + 1]
        found.append([int(frames[i]), x, y, width, height, rotation, *([False] if gone else [])])
    return {"frames": found}


GEOMETRY = Geometry(_read, _similarity, _middle, '{"frames":[[1,10,10,20,20,0],[11,30,10,20,20,0]],"label":"car"}', _table)
