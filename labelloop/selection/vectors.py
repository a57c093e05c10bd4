"""Vectors of items, and their distances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def nearest(vectors: Vectors, centres: Vectors) -> Ints:
    """Return the number of each row's nearest centre; the first of equals."""
    return np.asarray(((centres * centres).sum(1) - 2 * (vectors @ centres.T)).argmin(1), dtype=np.int64)


def squares(vectors: Vectors, others: Vectors) -> Vectors:
    """Return the squared distances of all pairs, shape (len(vectors), len(others)); 0 if only rounding is left."""
    # Products of rows are fast. Around the mean, they are as exact as these numbers can be.
    middle = vectors.mean(0)
    rows, columns = vectors - middle, others - middle
    lengths, of_others = np.einsum("ij,ij->i", rows, rows), np.einsum("ij,ij->i", columns, columns)
    rounding = 1e-5 * float(lengths.max(initial=0))
    found: Vectors = rows @ columns.T
    found *= -2
    found += lengths[:, None]
    found += of_others
    found[found <= rounding] = 0
    return found
