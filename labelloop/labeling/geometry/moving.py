"""Moving: how similar two tracks of a video are, and the middle of several. Pure.

labelloop/labeling/kinds/tracks.py says what a track is.

Similarity: the mean over frames of the intersection over union, times |cos| of the difference of the rotations. A frame
in which only one of the two has a box counts as 0, and frames after the last key frame of both do not count. More than
MOST_COMPARED frames are compared at that many, evenly spaced. The middle of several tracks is the median box in each
key frame of any of them, in frames where more than half of them have a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.labeling.geometry.shapes import DIGITS, Region

TINY = 10**-DIGITS
MOST_COMPARED = 2_000
PIECES = 64
"""Pieces of time in which two tracks are first compared by the space that each of them takes."""
Boxes = npt.NDArray[np.float64]


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


def table(ones: Sequence[Region], others: Sequence[Region], least: float) -> Boxes:
    """Return the similarity of each two tracks; 0 where it is surely below `least`."""
    found = np.zeros((len(ones), len(others)))
    edges = _edges([*ones, *others])
    one, other = ([_hulls(track, edges) for track in tracks] for tracks in (ones, others))
    hulls = np.array([hull.boxes for hull in other])
    for i, track in enumerate(ones):
        meet = (
            np.maximum(hulls[:, :, :2], one[i].boxes[:, :2]) < np.minimum(hulls[:, :, 2:], one[i].boxes[:, 2:])
        ).all(2)
        for j in np.flatnonzero(meet.any(axis=1)).tolist():
            if _most(one[i], other[j], meet[j], edges) >= least:
                found[i, j] = similarity(track, others[j])
    return found


class Hulls(NamedTuple):
    """Space that a track takes, by pieces of time."""

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


def similarity(one: Region, other: Region) -> float:
    first = min(one["frames"][0][0], other["frames"][0][0])
    last = max(one["frames"][-1][0], other["frames"][-1][0])
    frames = np.linspace(first, last, min(last - first + 1, MOST_COMPARED)).round().astype(np.int64)
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


def middle(tracks: Sequence[Region]) -> Region:
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
