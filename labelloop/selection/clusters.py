"""K-means in plain numpy: the same clusters for the same rows and seed, for any number of threads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROUNDS = 10
"""Number of Lloyd's steps: the best row of each cluster hardly changes after a few."""
Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def kmeans(vectors: Vectors, k: int, rng: np.random.Generator) -> tuple[Ints, Vectors]:
    """Return the cluster of each row, and the centres, shape (at most k, d); fewer if fewer than k rows differ.

    Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding"; the best of a few draws each time.
    """
    centres = vectors[_seeds(vectors, k, rng)]
    labels = nearest(vectors, centres)
    for _ in range(ROUNDS):
        centres = _means(vectors, labels)
        before, labels = labels, nearest(vectors, centres)
        if np.array_equal(before, labels):
            break
    return labels, centres


def nearest(vectors: Vectors, centres: Vectors) -> Ints:
    """Return the number of each row's nearest centre; the first of equals."""
    return np.asarray(((centres * centres).sum(1) - 2 * (vectors @ centres.T)).argmin(1), dtype=np.int64)


def _seeds(vectors: Vectors, k: int, rng: np.random.Generator) -> list[int]:
    """Return rows that are far from each other; the first row is one of them."""
    # Distances by products of rows are fast. Around the mean, they are as exact as these numbers can be.
    rows = vectors - vectors.mean(0)
    squares = np.einsum("ij,ij->i", rows, rows)
    rounding = 1e-5 * float(squares.max(initial=0))

    def away_from(chosen: Ints) -> Vectors:
        """Return squared distances of all rows, one line for each chosen row; 0 if only rounding is left."""
        off = squares + squares[chosen, None] - 2 * (rows[chosen] @ rows.T)
        return np.where(off > rounding, off, np.float32(0))

    seeds, away = [0], away_from(np.array([0]))[0]
    while len(seeds) < k:
        reach = np.cumsum(away, dtype=np.float64)
        if reach[-1] == 0:
            break
        draws = np.searchsorted(reach, rng.random(3) * reach[-1], side="right").clip(max=len(rows) - 1)
        trials = np.minimum(away, away_from(draws))
        best = int(trials.sum(1).argmin())
        away = trials[best]
        away[draws[best]] = 0
        seeds.append(int(draws[best]))
    return seeds


def _means(vectors: Vectors, labels: Ints) -> Vectors:
    """Return the centre of each cluster that has rows."""
    order = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    return np.asarray(np.add.reduceat(vectors[order], starts, axis=0) / sizes[:, None], dtype=np.float32)
