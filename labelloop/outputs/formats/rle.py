"""Run lengths of masks: COCO's, which go down the columns, and ours, which go along the rows. Pure.

COCO counts the pixels column by column, and writes the counts as a list or as a text ("compressed"). In the text each
character from `0` on has six bits of a number, the lowest first. The sixth bit says that more follow. From the third
count on, the number is the difference to the count two before.
Format: the source of pycocotools, common/maskApi.c, functions rleToString and
rleFrString. Our canonical text of a mask has [width, height, runs], the background first, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
"""Shape (height, width)."""
LARGEST = 1 << 28
"""Largest number of pixels of a mask."""


def from_text(text: str) -> list[int]:
    """Return the counts in a compressed text. Raises ValueError."""
    counts: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            if at == len(text):
                raise ValueError("the compressed counts end too early")
            bits = ord(text[at]) - 48
            if not 0 <= bits < 64:
                raise ValueError(f"the compressed counts hold {text[at]!r}")
            value |= (bits & 0x1F) << shift
            more, shift, at = bool(bits & 0x20), shift + 5, at + 1
            if not more and bits & 0x10:
                value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


def to_text(counts: Sequence[int]) -> str:
    """Return the counts as a compressed text."""
    made = []
    for i, count in enumerate(counts):
        value = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != (-1 if bits & 0x10 else 0)
            made.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(made)


def from_columns(counts: Sequence[int], width: int, height: int) -> list[int]:
    """Return our runs of a mask with COCO's counts. Raises ValueError if they do not fill the picture."""
    return _runs(_unrolled(counts, width, height).reshape(width, height).T)


def to_columns(runs: Sequence[int], width: int, height: int) -> list[int]:
    """Return COCO's counts of a mask with our runs. Raises ValueError if they do not fill the picture."""
    return _runs(_unrolled(runs, width, height).reshape(height, width).T)


def mask_of(runs: Sequence[int], width: int, height: int) -> Mask:
    """Return the pixels of our runs. Raises ValueError if they do not fill the picture."""
    return _unrolled(runs, width, height).reshape(height, width)


def _unrolled(counts: Sequence[int], width: int, height: int) -> Mask:
    if not 0 < width * height <= LARGEST:
        raise ValueError(f"a mask of {width} x {height} pixels cannot be read")
    if any(type(count) is not int or count < 0 for count in counts) or sum(counts) != width * height:
        raise ValueError(f"the counts of a mask sum to {sum(counts)}; {width} x {height} pixels are {width * height}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts)


def _runs(mask: Mask) -> list[int]:
    """Return the lengths of the runs along the last axis, the background first."""
    flat = np.concatenate(([False], mask.reshape(-1)))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    edges = [0, *changes.tolist(), flat.size - 1]
    return [end - start for start, end in pairwise(edges) if end > start or start == 0]
