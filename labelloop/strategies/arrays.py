"""Arrays of probabilities: checked, walked over in blocks, and the one or two largest of each row; pure numpy.

Numpy's inner loop runs along the last axis, where ten classes are too few to be worth starting it: a block of rows is
turned into columns first, which costs less than it saves. Blocks bound the memory too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Block = npt.NDArray[Any]
"""Rows of probabilities, float32 or float64: which is the largest is the same in both, so float32 is not widened."""
BLOCK = 1 << 17
"""Numbers of a block: a megabyte, which is about what one core has to itself."""
WIDE = 64
"""From so many classes on a row is long enough for numpy's own loop."""
SUM_TOLERANCE = 1e-3
ROUNDING = 1e-6
"""What the intake has found to sum to 1 within the tolerance does so here too, in whatever order it is added up."""


def as_floats(values: npt.ArrayLike) -> Block:
    """float32 and float64 as they are, anything else as float64."""
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def blocks(array: Block) -> Iterator[slice]:
    """Slices of the first axis, each of about BLOCK numbers."""
    rows = max(1, BLOCK // max(1, array[:1].size))
    return (slice(start, start + rows) for start in range(0, len(array), rows))


def in_blocks(measure: Callable[[Block], Array]) -> Callable[[npt.ArrayLike], Array]:
    """The measure of an array of any length, worked out block by block. No row knows of another."""

    @functools.wraps(measure)
    def whole(values: npt.ArrayLike) -> Array:
        array = as_floats(values)
        found = np.empty(len(array))
        for rows in blocks(array):
            found[rows] = measure(array[rows])
        return found

    return whole


def check_sums(proba: Block, first: int = 0) -> None:
    """Refuse rows along the last axis that are no probabilities: negative, not finite, or not summing to 1.

    `first` is the number of the first row in the message.
    """
    if proba.shape[-1] == 0:
        raise ValueError(f"there are no classes: the shape is {proba.shape}")
    ones = np.ones(proba.shape[-1], proba.dtype)
    for rows in blocks(proba):
        block = proba[rows]
        # NaN is neither above 0 nor below it, so it is refused here too.
        if not (block.min() >= 0 and np.abs(block @ ones - 1).max() <= SUM_TOLERANCE + ROUNDING):
            raise ValueError(_fault(block, first + rows.start))


def check_range(values: Block, what: str, lowest: float = 0.0, highest: float = 1.0) -> None:
    """Refuse numbers outside of [lowest, highest] and NaN."""
    if values.size and not (values.min() >= lowest and values.max() <= highest):
        wrong = values[~((values >= lowest) & (values <= highest))][0]
        raise ValueError(f"{what} must lie between {lowest:g} and {highest:g}; there is {wrong:g}")


def top(block: Block) -> Block:
    """The largest of each row, shape (n_samples,)."""
    k = block.shape[1]
    if k >= WIDE:
        return np.asarray(block.max(axis=1))
    if not block.flags.c_contiguous:
        return np.asarray(np.maximum.reduce(_columns(block), axis=0))
    # The largest of 2, 4, 8, ... numbers from each place on, across the ends of rows: all long loops, and what spans
    # two rows is not looked at in the end.
    window, spare, width = block.reshape(-1), [np.empty_like(block).reshape(-1) for _ in range(2)], 1
    while 2 * width <= k:
        spare.reverse()  # what is read is not written
        out = spare[0][: len(window) - width]
        window, width = np.maximum(window[:-width], window[width:], out=out), 2 * width
    return np.asarray(np.maximum(window[::k], window[k - width :: k]))


def top_two(block: Block) -> tuple[Block, Block]:
    """The largest and the second of each row, equal where two are; at least two columns."""
    if block.shape[1] >= WIDE:
        rest, rows = np.array(block, order="C"), np.arange(len(block))
        at = rest.argmax(axis=1)
        first = rest[rows, at]
        rest[rows, at] = -1
        return first, rest.max(axis=1)
    columns = _columns(block)
    first, second = np.maximum(columns[0], columns[1]), np.minimum(columns[0], columns[1])
    loser = np.empty_like(first)
    for column in columns[2:]:
        np.minimum(first, column, out=loser)
        np.maximum(second, loser, out=second)
        np.maximum(first, column, out=first)
    return first, second


def plogp(block: Block) -> tuple[Array, Array]:
    """Of each row the sum of p log p (0 log 0 is 0) and the sum of p."""
    if block.shape[1] >= WIDE:
        return _times_log(block).sum(axis=1), np.asarray(block.sum(axis=1), np.float64)
    columns = _columns(block)
    return _times_log(columns).sum(axis=0), columns.sum(axis=0, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths, all numbers in one array."""

    values: Array
    starts: npt.NDArray[np.intp]
    """Where each row begins that has any number."""
    lengths: npt.NDArray[np.intp]
    """Of all rows."""

    @classmethod
    def of(cls, rows: Sequence[npt.ArrayLike], what: str, lowest: float, highest: float) -> Ragged:
        """Refuses NaN and what lies outside of [lowest, highest]; `what` names such a number in the message."""
        arrays = [np.asarray(row, dtype=np.float64) for row in rows]
        for i, array in enumerate(arrays):
            if array.ndim != 1:
                raise ValueError(f"row {i} must be a list of numbers; its shape is {array.shape}")
        values = np.concatenate([np.empty(0), *arrays])
        check_range(values, what, lowest, highest)
        lengths = np.array([len(array) for array in arrays], dtype=np.intp)
        return cls(values, (np.cumsum(lengths) - lengths)[lengths > 0], lengths)

    def join(self, by: np.ufunc, values: Array) -> Array:
        """`by` (maximum, add) over each row of `values`, which stand as the row's own do; 0 for a row without any."""
        found = np.zeros(len(self.lengths))
        if self.starts.size:
            found[self.lengths > 0] = by.reduceat(values, self.starts)
        return found

    def mean(self, values: Array) -> Array:
        """The mean of each row of `values`; 0 for a row without any."""
        return self.join(np.add, values) / np.maximum(self.lengths, 1)


def _columns(block: Block) -> Block:
    """Shape (n_classes, n_samples), each column in one piece."""
    columns = block.T
    return columns if columns.strides[1] == columns.itemsize else np.ascontiguousarray(columns)


def _times_log(block: Block) -> Array:
    block = block.astype(np.float64, copy=False)
    logs = np.maximum(block, np.finfo(np.float64).tiny)
    np.log(logs, out=logs)
    logs *= block
    return logs


def _fault(block: Block, first: int) -> str:
    """Which row is wrong, counted from `first`, and how."""
    for i, rows in enumerate(block, start=first):
        for row in np.atleast_2d(rows):
            if not (row.min() >= 0 and abs(row.sum() - 1) <= SUM_TOLERANCE + ROUNDING):
                wrong = [float(p) for p in row if not 0 <= p <= 1]
                said = f"holds {wrong[0]:g}" if wrong else f"sums to {row.sum():.6g}"
                return f"row {i} {said}; probabilities are 0 to 1 and sum to 1 within {SUM_TOLERANCE:g}"
    return f"a row from {first} on does not sum to 1 within {SUM_TOLERANCE:g}"  # by a rounding
