"""Spread: the distribution of candidates among clusters, and the order of tasks that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.selection.clusters import Ints, Vectors, kmeans, nearest
from labelloop.selection.features import Features
from labelloop.threads import one_thread

CROWD = 5
"""Mean number of members of a cluster that is to represent its members."""
NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """Candidates among clusters. A place is a candidate's position, the most useful first."""

    order: Ints
    """Places in the order of selection."""
    labels: Ints
    """Cluster of each place; -1 if the candidate cannot be read."""
    sizes: Ints
    """Number of candidates in each cluster."""
    centres: Vectors

    def without(self, items: Features | None) -> set[int]:
        """Return the clusters that contain none of these items; the empty set if there are no items."""
        if items is None or not items.readable.any() or not len(self.centres):
            return set()
        return set(range(len(self.centres))) - set(nearest(items.vectors[items.readable], self.centres).tolist())


def lay_out(
    vectors: Vectors,
    readable: npt.NDArray[np.bool_],
    n: int,
    covering: Vectors,
    seed: int,
    *,
    typical: bool,
    utilities: npt.NDArray[np.floating],
) -> Spread:
    """Cluster the candidates into as many clusters as there will be tasks. An open task counts as selected from its
    cluster.

    `utilities` are those of the candidates, the highest first.
    """
    m, k = len(vectors), n + len(covering)
    labels = np.full(m, -1, dtype=np.int64)
    if n >= m or not readable.any():
        return Spread(np.arange(m), labels, np.empty(0, np.int64), vectors[:0])
    if typical:
        k = min(k, max(n, m // CROWD))
    mine = int(readable.sum())
    value = -np.arange(m, dtype=np.float64)
    with one_thread:
        found, centres = kmeans(np.concatenate([vectors[readable], covering]), k, np.random.default_rng(seed))
        if typical:
            value[readable] = typicality(vectors[readable], found[:mine])
        else:
            above = utilities - min(0.0, float(utilities[-1]))  # a product with a negative number would turn the order
            value[readable] = above[readable] * closeness(vectors[readable], found[:mine], centres)
            value[0] = np.inf  # the most useful of all is the first of its cluster
    labels[readable], taken = found[:mine], np.bincount(found[mine:], minlength=len(centres))
    sizes = np.bincount(found[:mine], minlength=len(centres))
    # Unreadable candidates form a cluster of their own, from which nothing has been selected yet.
    level = np.zeros(m, dtype=np.int64)
    for label in range(len(centres)):
        members = np.flatnonzero(labels == label)
        level[members[np.argsort(-value[members], kind="stable")]] = taken[label] + np.arange(len(members))
    crowd = np.where(labels >= 0, sizes[labels], 1) if typical else np.zeros(m)
    return Spread(np.lexsort((np.arange(m), -crowd, level)), labels, sizes, centres)


def closeness(vectors: Vectors, labels: Ints, centres: Vectors) -> npt.NDArray[np.float64]:
    """Return a number for each row, 0 to 1: 1 in the centre of its cluster, 0.5 in the mean distance of all rows.

    An item at the edge of its cluster tells less about the others there; many of them are odd or incorrect.
    """
    away = np.sqrt(np.square(vectors - centres[labels], dtype=np.float64).sum(axis=1))
    return np.asarray(1 / (1 + away / max(float(away.mean()), 1e-12)), dtype=np.float64)


def typicality(vectors: Vectors, labels: Ints) -> npt.NDArray[np.float64]:
    """Return a number for each row that is higher the nearer it is to its neighbours in the cluster.

    Hacohen, Dekel and Weinshall 2022, "Active learning on a budget: opposite strategies suit high and low budgets"
    (TypiClust), section 3.
    """
    found = np.empty(len(vectors))
    for label in np.unique(labels):
        members = vectors[labels == label].astype(np.float64)
        squares = (members * members).sum(1)
        away = np.sqrt(np.maximum(squares[:, None] + squares - 2 * members @ members.T, 0))
        close = np.sort(away, axis=1)[:, 1 : NEIGHBOURS + 1]
        found[labels == label] = 1 / (close.mean(1) + 1e-9) if close.shape[1] else 0
    return found
