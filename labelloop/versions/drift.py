"""Drift: detect that incoming outputs have changed by more than chance, whether or not they arrive in bursts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.versions.bursts import INDEPENDENT, DesignEffect, Part, design_effects

MIN_OUTPUTS = 200
"""Smallest number of outputs on each side; with fewer there is no result."""
LEAST_IN_A_CELL = 5.0
"""Smallest expected count of a cell, divided by the design effect; smaller cells are merged.

Cochran 1954, "Some methods for strengthening the common chi-squared tests", section 2.
"""
MOST_CELLS = 200
"""Largest number of cells, the most frequent ones; all others are one cell. The work grows with its square."""
CHANCE_OF_A_CHECK = 1e-3
"""Probability of a false alarm in one check. Checks run every few minutes, mostly on the same outputs."""
A_WEEK = 7
NO_WEEKEND = 3
"""Days of the week that the recent outputs need if the other side lacks them; two may be the first weekend."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Difference between two distributions over cells."""

    index: float
    """Population stability index: below 0.1 is little, above 0.25 is much (Siddiqi 2006, "Credit risk scorecards", ch.
    9).
    """
    beyond_chance: bool
    most: str
    """Cell that changed most."""
    before: float
    """Shares of that cell before and recently."""
    recent: float
    outputs: int
    """Number of recent outputs that were counted."""
    effect: float
    """Largest design effect: this many outputs tell as much as one that is independent of all others."""


def shift(cells: Sequence[str], before: Part, recent: Part) -> Shift | None:
    """Compare the outputs by cell; `cells` names them, in the order of the parts' columns.

    None if a side has fewer than MIN_OUTPUTS, or if there is only one cell. None too if there are too few batches or
    days to know how much they differ without drift.

    The test is the second-order corrected chi-squared test of homogeneity (Rao and Scott 1984,
    doi:10.1214/aos/1176346391) with the F distribution for few clusters (Thomas and Rao 1987,
    doi:10.1080/01621459.1987.10478475). It must reject with each of the design effects.
    """
    before_n, recent_n = before.cells, _on_known_weekdays(before, recent)
    n, m = before_n.sum(), recent_n.sum()
    if min(n, m) < MIN_OUTPUTS:
        return None
    expected = (before_n + recent_n) * min(n, m) / (n + m)
    effects, to = [INDEPENDENT], np.empty(0, dtype=np.intp)
    for _ in range(2):
        # The second time with the design effect of the first: batches, and not outputs, must be many enough.
        rare = expected < LEAST_IN_A_CELL * max(one.mean for one in effects)
        was, to = to, _merged(rare | (np.argsort(np.argsort(-expected, kind="stable")) >= MOST_CELLS))
        if np.array_equal(was, to):
            break
        found = design_effects(before.merged(to), recent.merged(to)) if to.max() else None
        if found is None:
            return None
        effects = found
    names = [cells[np.flatnonzero(to == i)[0]] if (to == i).sum() == 1 else "others" for i in range(to.max() + 1)]
    counts = np.array([np.bincount(to, weights=side) for side in (before_n, recent_n)])
    # Half a count more in each cell: an empty one would make the index infinite.
    shares = (counts + 0.5) / (counts + 0.5).sum(1, keepdims=True)
    terms = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    most = int(terms.argmax())
    return Shift(
        float(terms.sum()),
        _p_value(counts, effects) <= CHANCE_OF_A_CHECK,
        names[most],
        float(shares[0][most]),
        float(shares[1][most]),
        int(m),
        max(one.mean for one in effects),
    )


def words(what: str, moved: Shift | None, level: float) -> str | None:
    """Return the sentence for a run's reason if the shift is at the level and beyond chance; else None."""
    if moved is None or moved.index < level or not moved.beyond_chance:
        return None
    most = f"{moved.most}: {100 * moved.before:.0f} % before, {100 * moved.recent:.0f} % now"
    return f"drift: {what} of {moved.outputs} new outputs have moved (index {moved.index:.2f}, level {level:g}; {most})"


def _on_known_weekdays(before: Part, recent: Part) -> npt.NDArray[np.float64]:
    """Return the recent outputs by cell, without those of weekdays that the other side lacks.

    The first weekend is no drift, so they count only if there are NO_WEEKEND of them.
    """
    weekdays = recent.days % A_WEEK
    known = np.isin(weekdays, before.days % A_WEEK)
    if len(np.unique(weekdays[~known])) >= NO_WEEKEND:
        return recent.cells
    counted: npt.NDArray[np.float64] = recent.pieces[known].sum(axis=0)
    return counted


def _merged(rare: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the new place of each cell: rare cells share the last one."""
    to = np.cumsum(~rare) - 1
    to[rare] = (~rare).sum()
    return to


def _p_value(counts: npt.NDArray[np.float64], effects: Sequence[DesignEffect]) -> float:
    """Return the largest p-value of the counts, shape (2, n_cells), with any of the design effects."""
    from scipy.special import chdtrc, fdtrc  # which only a check for drift needs

    n, m = counts.sum(axis=1)
    shares, pooled = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum()
    squared = float(((shares[1] - shares[0]) ** 2)[pooled > 0] @ (1 / pooled[pooled > 0])) / (1 / n + 1 / m)
    cells = counts.shape[1] - 1
    found = []
    for one in effects:
        spread = min(one.spread, cells)
        df, scaled = cells / spread, squared / (one.mean * cells)
        found.append(float(fdtrc(df, df * one.df, scaled) if np.isfinite(one.df) else chdtrc(df, scaled * df)))
    return max(found)
