"""Arrays of probabilities: check them, process them in blocks, and find the one or two largest of each row. Pure numpy.

Numpy's inner loop runs along the last axis, where ten classes are too few for its overhead. A block of rows is
therefore transposed into columns first, which costs less than it saves: 5 of the 7 to 12 ns of a row. Blocks bound the
memory too.
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
"""Rows of probabilities, float32 or float64. The largest is the same in both, so float32 is not widened."""
BLOCK = 1 << 16
"""Numbers in a block: half a megabyte, so that a block and its copy fit into the cache that one core has to itself."""
WIDE = 64
"""Number of classes from which a row is long enough for numpy's own loop."""
SUM_TOLERANCE = 1e-3
ROUNDING = 1e-6
"""Tolerance for adding the same numbers in another order, so that sums that passed the intake pass here too."""


def as_floats(values: npt.ArrayLike) -> Block:
    """Return float32 and float64 as they are, anything else as float64."""
    array = np.asarray(values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def blocks(array: Block) -> Iterator[slice]:
    """Return slices of the first axis, each of about BLOCK numbers."""
    rows = max(1, BLOCK // max(1, array[:1].size))
    return (slice(start, start + rows) for start in range(0, len(array), rows))


def in_blocks(measure: Callable[[Block], Array]) -> Callable[[npt.ArrayLike], Array]:
    """Wrap a measure so that it processes an array of any length block by block. Each row must be
    measured by itself.
    """

    @functools.wraps(measure)
    def whole(values: npt.ArrayLike) -> Array:
        array = as_floats(values)
        found = np.empty(len(array))
        for rows in blocks(array):
            found[rows] = measure(array[rows])
        return found

    return whole


def check_sums(proba: Block, first: int = 0) -> None:
    """Raise ValueError for rows along the last axis that are not probabilities: negative, not finite, or not summing to
    1.

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
    """Raise ValueError for numbers outside of [lowest, highest] and for NaN."""
    if values.size and not (values.min() >= lowest and values.max() <= highest):
        wrong = values[~((values >= lowest) & (values <= highest))][0]
        raise ValueError(f"{what} must lie between {lowest:g} and {highest:g}; there is {wrong:g}")


def top(block: Block) -> Block:
    """Return the largest number of each row, shape (n_samples,)."""
    k = block.shape[1]
    if k >= WIDE:
        return np.asarray(block.max(axis=1))
    columns = _copied_columns(block)
    while k > 1:
        half = (k + 1) // 2  # the middle one of an odd number meets nobody
        np.maximum(columns[: k - half], columns[half:k], out=columns[: k - half])
        k = half
    return np.asarray(columns[0])


def top_two(block: Block) -> tuple[Block, Block]:
    """Return the largest and the second largest number of each row, equal if two are; at least two columns.

    A knock-out tournament of the columns: it needs fewer steps than one column after another, and each step is one loop
    over several columns.
    """
    k = block.shape[1]
    if k >= WIDE:
        rest, rows = np.array(block, order="C"), np.arange(len(block))
        at = rest.argmax(axis=1)
        first = rest[rows, at]
        rest[rows, at] = -1
        return first, rest.max(axis=1)
    columns = _copied_columns(block)
    half = (k + 1) // 2
    second = np.empty_like(columns[:half])
    np.minimum(columns[: k - half], columns[half:k], out=second[: k - half])
    second[k - half :] = -1
    np.maximum(columns[: k - half], columns[half:k], out=columns[: k - half])
    while half > 1:
        k, half = half, (half + 1) // 2
        loser = np.minimum(columns[: k - half], columns[half:k])
        np.maximum(loser, second[half:k], out=loser)
        np.maximum(second[: k - half], loser, out=second[: k - half])
        np.maximum(columns[: k - half], columns[half:k], out=columns[: k - half])
    return columns[0], second[0]


def plogp(block: Block) -> tuple[Array, Array]:
    """Return for each row the sum of p log p (0 log 0 is 0) and the sum of p."""
    if block.shape[1] >= WIDE:
        return _times_log(block).sum(axis=1), np.asarray(block.sum(axis=1), np.float64)
    columns = _columns(block)
    return _times_log(columns).sum(axis=0), columns.sum(axis=0, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths, all numbers in one array."""

    values: Array
    starts: npt.NDArray[np.intp]
    """Beginning of each row that has any number."""
    lengths: npt.NDArray[np.intp]
    """Length of every row."""

    @classmethod
    def of(cls, rows: Sequence[npt.ArrayLike], what: str, lowest: float, highest: float) -> Ragged:
        """Build from a list of rows. Raises ValueError for NaN and for numbers outside of [lowest, highest]; `what`
        names such a number.
        """
        arrays = [np.asarray(row, dtype=np.float64) for row in rows]
        for i, array in enumerate(arrays):
            if array.ndim != 1:
                raise ValueError(f"row {i} must be a list of numbers; its shape is {array.shape}")
        values = np.concatenate([np.empty(0), *arrays])
        check_range(values, what, lowest, highest)
        lengths = np.array([len(array) for array in arrays], dtype=np.intp)
        return cls(values, (np.cumsum(lengths) - lengths)[lengths > 0], lengths)

    def join(self, by: np.ufunc, values: Array) -> Array:
        """Reduce each row of `values` with `by` (maximum, add). `values` are laid out like the rows; 0 for an empty
        row.
        """
        found = np.zeros(len(self.lengths))
        if self.starts.size:
            found[self.lengths > 0] = by.reduceat(values, self.starts)
        return found

    def mean(self, values: Array) -> Array:
        """Return the mean of each row of `values`; 0 for an empty row."""
        return self.join(np.add, values) / np.maximum(self.lengths, 1)


def _copied_columns(block: Block) -> Block:
    """Return shape (n_classes, n_samples), each column contiguous, free to be written to."""
    return np.array(block.T, order="C")


def _columns(block: Block) -> Block:
    """Return shape (n_classes, n_samples), each column contiguous."""
    columns = block.T
    return columns if columns.strides[1] == columns.itemsize else np.ascontiguousarray(columns)


def _times_log(block: Block) -> Array:
    block = block.astype(np.float64, copy=False)
    logs = np.maximum(block, np.finfo(np.float64).tiny)
    np.log(logs, out=logs)
    logs *= block
    return logs


def _fault(block: Block, first: int) -> str:
    """Return a message with the wrong row, counted from `first`, and its fault."""
    for i, rows in enumerate(block, start=first):
        for row in np.atleast_2d(rows):
            if not (row.min() >= 0 and abs(row.sum() - 1) <= SUM_TOLERANCE + ROUNDING):
                wrong = [float(p) for p in row if not 0 <= p <= 1]
                problem = f"holds {wrong[0]:g}" if wrong else f"sums to {row.sum():.6g}"
                return f"row {i} {problem}; probabilities are 0 to 1 and sum to 1 within {SUM_TOLERANCE:g}"
    return f"a row from {first} on does not sum to 1 within {SUM_TOLERANCE:g}"  # wrong only by rounding
