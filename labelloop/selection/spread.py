"""Spread: an order of tasks in which each one stands for useful candidates that those before it do not stand for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from labelloop.selection.vectors import Vectors, squares

LEAST = 0.25
"""Smallest width, as a share of the largest."""
NEARLY = 0.9
"""The most useful candidate comes that raises the coverage by at least this share of the largest raise."""
ROUNDING = 1e-5
"""Gains below this share of the first gains are taken as equal: only rounding is left."""
UTMOST = 1e300
"""Larger utilities, infinite ones too, count as this one."""


def spread(
    vectors: Vectors,
    readable: npt.NDArray[np.bool_],
    utilities: npt.NDArray[np.floating],
    n: int,
    covering: Vectors,
    recent: Vectors,
) -> Iterator[int]:
    """Yield all places in the order of selection; a place is a candidate's position, the most useful first.

    How well a candidate is covered is a Gaussian of its distance to the nearest open task (`covering`) or earlier
    place. Each place is one that raises the coverage most, weighted by utility. So it is useful, and like other
    useful ones. With equal utilities, the typical ones of the largest groups come first.
    The most useful of all comes first, unless an open or recent task covers it. The farther the `recent` tasks are
    from each other, the wider is the Gaussian: with few answers each task stands for many candidates. Recent tasks
    cover too, by the narrowest Gaussian: most are answered, so the utilities already hold what they taught.

    Bae, Oliveira and Sutherland 2025, "Uncertainty Herding: one active learning method for all label budgets",
    section 3, among the best candidates only and with a width of our own.
    """
    m = len(vectors)
    if n >= m or not readable.any():
        yield from range(m)
        return
    apart = squares(vectors, vectors)
    widest = _widest(apart[readable][:, readable], m / max(1, n + len(covering)))
    width = _width(widest, recent)
    kernel = np.exp(apart / -width, out=apart)
    covered = np.exp(squares(vectors, covering) / -width).max(axis=1, initial=0)
    lately = np.exp(squares(vectors, recent) / -(LEAST * widest)).max(axis=1, initial=0)
    covered = np.maximum(covered, lately)
    # An item that cannot be read is like no other. The most useful of these counts as one with an average surrounding.
    kernel[~readable], kernel[:, ~readable], covered[~readable] = 0, 0, 0
    equal = utilities[0] == utilities[-1]
    weights = _weights(utilities)
    weights[np.flatnonzero(~readable)[:1]] *= float(kernel.sum()) / int(readable.sum())
    np.fill_diagonal(kernel, 1)
    gain = np.array([weights @ np.maximum(row - covered, 0) for row in kernel])
    nearly = 1.0 if equal else NEARLY
    least = ROUNDING * float(gain.max())
    best = 0 if covered[0] < np.exp(-1) else int((gain >= nearly * gain.max() - least).argmax())
    for _ in range(m):
        yield best
        gain[best] = -np.inf
        row = kernel[best]
        grown = np.flatnonzero(row > covered)
        before, after = covered[grown, None], row[grown, None]
        gain -= weights[grown] @ (np.clip(kernel[grown], before, after) - before)
        covered[grown] = row[grown]
        best = int((gain >= nearly * gain.max() - least).argmax())


def _weights(utilities: npt.NDArray[np.floating]) -> Vectors:
    """Return the utilities as weights from 0 to 1: sums of larger ones would be infinite in single precision."""
    found = np.clip(utilities, -UTMOST, UTMOST, dtype=np.float64)
    found -= min(0.0, float(found[-1]))
    return np.asarray(found / max(float(found[0]), 1 / UTMOST), dtype=np.float32)


def _widest(apart: Vectors, each: float) -> float:
    """Return the square of the mean distance within which a candidate has `each` neighbours."""
    nth = min(max(1, round(each)), len(apart) - 1)
    return max(float(np.sqrt(np.partition(apart, nth, axis=1)[:, nth]).mean()) ** 2, 1e-12)


def _width(widest: float, recent: Vectors) -> float:
    """Return the squared distance at which coverage falls to 1/e.

    It is half the mean squared distance of a recent task to the nearest other one, within the limits.
    """
    if len(recent) < 2:
        return widest
    among = squares(recent, recent)
    np.fill_diagonal(among, np.inf)
    return float(np.clip(among.min(axis=1).mean() / 2, LEAST * widest, widest))
