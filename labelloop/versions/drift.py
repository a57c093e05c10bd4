"""Drift: whether what comes in, or how often the champion is right, is other than it was; told from chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MIN_OUTPUTS = 200
"""On each side; fewer say nothing."""
MIN_ANSWERS = 40
"""Held-out answers on each side; fewer say nothing."""
LEAST_IN_A_CELL = 5.0
"""Cells in which fewer are expected are thrown together (Cochran 1954, "Some methods for strengthening the common
chi-squared tests", section 2)."""
CHANCE = 1e-4
"""Of a false alarm at one look. Looks follow each other every few minutes, mostly at the same outputs: of 3,600 streams
of 2 to 77 labels without drift, each looked at 50 times, 0.2 % raised one at any level, 1 of them at 0.1."""
DROP = 0.05
"""A champion that is right less often by less than this has not drifted enough to matter."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one share-out lies from another."""

    index: float
    """Population stability index: below 0.1 little, above 0.25 much (Siddiqi 2006, "Credit risk scorecards", ch. 9)."""
    beyond_chance: bool
    most: Any
    """The cell that moved most."""
    before: float
    """Its share then, and recently."""
    recent: float


def shift(before: Mapping[Any, int], recent: Mapping[Any, int]) -> Shift | None:
    """From counts by cell; None where either side has fewer than MIN_OUTPUTS, or all is one cell.

    Without drift the index is about (1/n + 1/m) times chi-squared with a degree of freedom less than cells (Yurdakul
    and Naranjo 2020, "Statistical properties of the population stability index", Journal of Risk Model Validation).
    """
    n, m = sum(before.values()), sum(recent.values())
    if min(n, m) < MIN_OUTPUTS:
        return None
    cells = sorted({*before, *recent}, key=str)
    counts = np.array([[side.get(cell, 0) for cell in cells] for side in (before, recent)], dtype=np.float64)
    rare = counts.sum(0) * min(n, m) / (n + m) < LEAST_IN_A_CELL
    names: list[Any] = [cell for cell, is_rare in zip(cells, rare, strict=True) if not is_rare]
    if rare.any():
        counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(1)])
        names.append("others")
    if len(names) < 2:
        return None
    # Half a count more in each cell: an empty one would make the index infinite.
    shares = (counts + 0.5) / (counts + 0.5).sum(1, keepdims=True)
    from scipy.stats import chi2  # 70 MB, which only a check for drift needs

    terms = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    index, most = float(terms.sum()), int(terms.argmax())
    by_chance = (1 / n + 1 / m) * float(chi2.isf(CHANCE, len(names) - 1))
    return Shift(index, index > by_chance, names[most], float(shares[0][most]), float(shares[1][most]))


def accuracy_drop(before: tuple[int, int], lately: tuple[int, int]) -> float | None:
    """Chance of such a drop if there were none: Fisher's exact test, one-sided. (right, answers) on each side.

    None: too few answers, no drop that matters, or it may well be chance (Fisher 1935, "The logic of inductive
    inference").
    """
    (right, n), (right_lately, m) = before, lately
    if min(n, m) < MIN_ANSWERS or right / n - right_lately / m < DROP:
        return None
    from scipy.stats import fisher_exact

    p = float(fisher_exact([[right_lately, m - right_lately], [right, n - right]], alternative="less").pvalue)
    return p if p <= CHANCE else None


def words(what: str, moved: Shift | None, level: float, outputs: int) -> str | None:
    """The sentence of a run's why, where the shift is at the level and beyond chance; else None."""
    if moved is None or moved.index < level or not moved.beyond_chance:
        return None
    most = f"{moved.most}: {100 * moved.before:.0f} % before, {100 * moved.recent:.0f} % now"
    return f"drift: {what} of {outputs} new outputs have moved (index {moved.index:.2f}, level {level:g}; {most})"
