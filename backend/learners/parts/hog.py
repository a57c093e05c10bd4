"""HOG: histograms of oriented gradients: which way the edges run, cell by cell (Dalal and Triggs 2005).

doi:10.1109/CVPR.2005.177, section 6. Light and contrast cancel out, a shift within a cell changes little.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ORIENTATIONS = 9
"""Directions in half a turn: an edge from dark to light counts like one from light to dark."""
CELLS = 4
"""Cells across the picture, and down."""


def hog(grey: Floats) -> Floats:
    """Return the features of a square picture, shape (side, side), at least CELLS a side.

    Shape ((CELLS - 1)^2 * 4 * ORIENTATIONS,): blocks of 2 x 2 cells, each of unit length, or zeros without any edge.
    """
    down, across = np.gradient(grey)
    strength = np.hypot(down, across)
    # Each gradient is shared by the two orientations between which it lies.
    turn = (np.arctan2(down, across) % np.pi) / np.pi * ORIENTATIONS
    lower = np.floor(turn).astype(int)
    upper_part = turn - lower
    place = np.arange(len(grey)) * CELLS // len(grey)
    cells = np.zeros((CELLS, CELLS, ORIENTATIONS))
    rows, columns = np.meshgrid(place, place, indexing="ij")
    np.add.at(cells, (rows, columns, lower % ORIENTATIONS), strength * (1 - upper_part))
    np.add.at(cells, (rows, columns, (lower + 1) % ORIENTATIONS), strength * upper_part)
    blocks = np.stack([cells[i : i + 2, j : j + 2].ravel() for i in range(CELLS - 1) for j in range(CELLS - 1)])
    found: Floats = (blocks / np.sqrt((blocks**2).sum(axis=1, keepdims=True) + 1e-6)).ravel()
    return found
