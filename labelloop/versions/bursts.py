"""Bursts: how much less a stream tells than its number of outputs says, since outputs that arrive together are alike.

The design effect is the variance of a share, as a multiple of its variance if all outputs were independent (Kish 1965,
"Survey sampling", section 8.2). It is estimated from the differences between clusters: blocks of consecutive outputs,
days, and groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]
"""Outputs by cluster and cell, shape (n_clusters, n_cells)."""
SHORT_BLOCKS, LONG_BLOCKS = 30, 12
"""Numbers of consecutive blocks that each side is divided into.

Short blocks are compared within each side, since one side may have bursts and the other none. Long ones, which hold
longer bursts, are too few for that.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One side of the comparison, by piece and by group."""

    pieces: Counts
    """Outputs of consecutive pieces of time, in order, shape (n_pieces, n_cells). No piece spans midnight."""
    days: npt.NDArray[np.intp]
    """Day of each piece, counted from 1970-01-01 in UTC, shape (n_pieces,)."""
    groups: Counts
    """Outputs by bucket of groups, shape (n_buckets, n_cells).

    A bucket holds whole groups that a hash chose: the method of random groups (Wolter 2007, "Introduction to variance
    estimation", chapter 2), whose cost does not grow with the number of groups.
    """

    @property
    def cells(self) -> npt.NDArray[np.float64]:
        """Outputs by cell, shape (n_cells,)."""
        totals: npt.NDArray[np.float64] = self.pieces.sum(axis=0)
        return totals

    def merged(self, to: npt.NDArray[np.intp]) -> Part:
        """Return the part with cell i counted as cell `to[i]`."""
        pieces, groups = (np.zeros((len(counts), int(to.max()) + 1)) for counts in (self.pieces, self.groups))
        np.add.at(pieces.T, to, self.pieces.T)
        np.add.at(groups.T, to, self.groups.T)
        return Part(pieces, self.days, groups)

    def by_day(self) -> Counts:
        """Return outputs by day, shape (n_days, n_cells), the first day first."""
        seen, day = np.unique(self.days, return_inverse=True)
        found = np.zeros((len(seen), self.pieces.shape[1]))
        np.add.at(found, day, self.pieces)
        return found

    def blocks(self, n: int) -> Counts:
        """Return outputs of at most `n` consecutive blocks of about the same size, shape (n_blocks, n_cells)."""
        sizes = self.pieces.sum(axis=1)
        middle = (np.cumsum(sizes) - sizes / 2) / max(1.0, sizes.sum())
        found = np.zeros((n, self.pieces.shape[1]))
        np.add.at(found, np.minimum((middle * n).astype(int), n - 1), self.pieces)
        kept: Counts = found[found.sum(axis=1) > 0]
        return kept


@dataclass(frozen=True, slots=True)
class DesignEffect:
    """Design effect of the shares of all cells, with the degrees of freedom that it was estimated with."""

    mean: float
    """Mean of the generalised design effects (Rao and Scott 1981, doi:10.1080/01621459.1981.10477633)."""
    spread: float
    """1 + the squared coefficient of variation of the generalised design effects; 1 if they are equal."""
    df: float
    """Clusters less sides; infinite if nothing was estimated."""


INDEPENDENT = DesignEffect(1.0, 1.0, np.inf)


def design_effects(before: Part, recent: Part) -> list[DesignEffect] | None:
    """Return the design effects by each kind of cluster; None if there are too few days to tell days from drift."""
    found = [INDEPENDENT]
    blocks = [[before.blocks(SHORT_BLOCKS)], [recent.blocks(SHORT_BLOCKS)]]
    blocks.append([before.blocks(LONG_BLOCKS), recent.blocks(LONG_BLOCKS)])
    found += [one for sides in blocks if (one := design_effect(sides)) is not None]
    days = (before.by_day(), recent.by_day())
    if len({*before.days.tolist(), *recent.days.tolist()}) > 1:
        one = design_effect(days) or design_effect(days[1:])
        if one is None:
            return None
        found.append(one)
    groups = [side[side.sum(axis=1) > 0] for side in (before.groups, recent.groups)]
    if (one := design_effect(groups)) is not None:
        found.append(one)
    return found


def design_effect(sides: Sequence[Counts]) -> DesignEffect | None:
    """Return the design effect of clusters of one or two sides; None if there are too few clusters.

    Each side is compared with its own shares, so a difference between the sides does not count. Clusters of unequal
    size count as fewer clusters, as in Satterthwaite 1946 (doi:10.2307/3002019).
    """
    sides = [side for side in sides if side.sum() > 0]
    if not sides:
        return None
    sizes = np.concatenate([side.sum(axis=1) for side in sides])
    clusters = float((sizes**2).sum() ** 2 / (sizes**4).sum())
    df = clusters - len(sides)
    total = sum(side.sum(axis=0) for side in sides)
    shares = total / total.sum()
    if df < 1 or (shares > 0).sum() < 2:
        return None
    off = np.concatenate([side - side.sum(axis=1, keepdims=True) * side.sum(axis=0) / side.sum() for side in sides])
    # The covariance matrix of the shares, as a multiple of that of independent outputs. Its trace is the sum of the
    # generalised design effects, and the sum of its squares is the sum of theirs.
    scaled = off[:, shares > 0] / np.sqrt(shares[shares > 0])
    ratio = (scaled.T @ scaled) * (clusters / df / total.sum())
    directions = ratio.shape[0] - 1
    first, second = float(np.trace(ratio)), float((ratio**2).sum())
    if first <= 0:
        return None
    # Noise makes the sum of squares too large; unbiased for normal data (Bai and Saranadasa 1996, Statistica Sinica 6).
    second = max(second - first**2 / df, 0.0) * df**2 / ((df - 1) * (df + 2)) if df > 1 else second
    return DesignEffect(first / directions, max(1.0, directions * second / first**2), df)
