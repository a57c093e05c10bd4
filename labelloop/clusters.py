"""K-means in plain numpy: the same clusters for the same rows and seed, whatever the number of threads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROUNDS = 10
"""Of Lloyd's steps: the best of each cluster hardly changes after a few."""
Vectors = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def kmeans(vectors: Vectors, k: int, rng: np.random.Generator) -> tuple[Ints, Vectors]:
    """The cluster of each row, and the centres, shape (at most k, d): fewer where fewer rows differ.

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
    """The number of each row's nearest centre; the first of equals."""
    return np.asarray(((centres * centres).sum(1) - 2 * (vectors @ centres.T)).argmin(1), dtype=np.int64)


def _seeds(vectors: Vectors, k: int, rng: np.random.Generator) -> list[int]:
    """Rows far from each other; the first row is one of them."""
    seeds, away = [0], _squares(vectors, 0)
    while len(seeds) < k:
        reach = np.cumsum(away)
        # What is left are copies of seeds; differences this small are rounding.
        if reach[-1] <= 1e-9 * len(vectors):
            break
        draws = np.searchsorted(reach, rng.random(3) * reach[-1], side="right").clip(max=len(vectors) - 1)
        trials = [(np.minimum(away, _squares(vectors, int(row))), int(row)) for row in draws]
        away, row = min(trials, key=lambda trial: float(trial[0].sum()))
        if row in seeds:
            break
        seeds.append(row)
    return seeds


def _squares(vectors: Vectors, row: int) -> npt.NDArray[np.float64]:
    """Squared distances to a row."""
    off = vectors - vectors[row]
    return np.asarray(np.einsum("ij,ij->i", off, off), dtype=np.float64)


def _means(vectors: Vectors, labels: Ints) -> Vectors:
    """The centre of each cluster that has rows."""
    order = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    return np.asarray(np.add.reduceat(vectors[order], starts, axis=0) / sizes[:, None], dtype=np.float32)
