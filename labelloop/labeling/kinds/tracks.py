"""Tracks: boxes that move through the frames of a video. A JSON list of objects, sorted.

{"frames":[[1,10,10,20,20,0],[11,30,10,20,20,0,false]],"label":"car"}

Each list is a key frame: its number, x, y, width and height in percent of the picture, and the rotation in degrees
clockwise around the top left corner. The first frame of a video is 1. A seventh value `false` says that the box is
gone after this frame; the next key frame brings it back. Between two key frames of a visible box every number changes
evenly. A box that is never gone stays to the end of the video.

labelloop/labeling/geometry/moving.py says how two tracks are compared, and labelloop/labeling/kinds/marked.py what
people agree on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label, marked
from labelloop.labeling.kinds.marked import Geometry, Region

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DIGITS = 4
"""Decimals of a coordinate, as in a region of an image."""
MOST_FRAMES = 10_000_000
"""Largest number of a frame: more than four days at 25 frames a second."""


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


def _table(ones: Sequence[Region], others: Sequence[Region], least: float) -> npt.NDArray[np.float64]:
    from labelloop.labeling.geometry import moving  # numpy only where tracks are compared

    return moving.table(ones, others, least)


def _similarity(one: Region, other: Region) -> float:
    from labelloop.labeling.geometry import moving

    return moving.similarity(one, other)


def _middle(tracks: Sequence[Region]) -> Region:
    from labelloop.labeling.geometry import moving

    return moving.middle(tracks)


GEOMETRY = Geometry(
    _read, _similarity, _middle, '{"frames":[[1,10,10,20,20,0],[11,30,10,20,20,0]],"label":"car"}', _table
)
