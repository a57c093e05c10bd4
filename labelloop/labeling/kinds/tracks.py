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
from typing import Any

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


def _similarity(one: Region, other: Region) -> float:
    first = min(one["frames"][0][0], other["frames"][0][0])
    last = max(one["frames"][-1][0], other["frames"][-1][0])
    frames = np.unique(np.linspace(first, last, min(last - first + 1, MOST_COMPARED)).round().astype(np.int64))
    a, b = boxes_at(one, frames), boxes_at(other, frames)
    either = ~np.isnan(a[:, 0]) | ~np.isnan(b[:, 0])
    return float(np.nan_to_num(_overlap(a[either], b[either])).mean())


def _overlap(one: Boxes, other: Boxes) -> Boxes:
    """Return how similar the boxes are, row by row; NaN where one is missing."""
    upper = np.maximum(one[:, :2], other[:, :2])
    lower = np.minimum(one[:, :2] + one[:, 2:4], other[:, :2] + other[:, 2:4])
    both = np.clip(lower - upper, 0, None).prod(axis=1)
    shared: Boxes = both / (one[:, 2:4].prod(axis=1) + other[:, 2:4].prod(axis=1) - both)
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


GEOMETRY = Geometry(_read, _similarity, _middle, '{"frames":[[1,10,10,20,20,0],[11,30,10,20,20,0]],"label":"car"}')
