"""Spread: how candidates lie among clusters, and in what order that would have them asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.selection.clusters import Ints, Vectors, kmeans, nearest
from labelloop.selection.features import Features
from labelloop.threads import one_thread

CROWD = 5
"""A cluster that is to stand for others has so many members on average."""
NEIGHBOURS = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """Candidates among clusters; a place is a candidate's position, the most useful first."""

    order: Ints
    """Places, the first to be picked first."""
    labels: Ints
    """The cluster of each place; -1 where the candidate cannot be read."""
    sizes: Ints
    """Candidates in each cluster."""
    centres: Vectors

    def without(self, items: Features | None) -> set[int]:
        """The clusters in which none of these items lies; none where there are no items."""
        if items is None or not items.readable.any() or not len(self.centres):
            return set()
        return set(range(len(self.centres))) - set(nearest(items.vectors[items.readable], self.centres).tolist())


def lay_out(
    vectors: Vectors, readable: npt.NDArray[np.bool_], n: int, covering: Vectors, seed: int, *, typical: bool
) -> Spread:
    """As many clusters as there will be tasks; an open task counts as picked from its own."""
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
    labels[readable], taken = found[:mine], np.bincount(found[mine:], minlength=len(centres))
    sizes = np.bincount(found[:mine], minlength=len(centres))
    # What cannot be read is a cluster of its own: nothing of it has been picked yet.
    level = np.zeros(m, dtype=np.int64)
    for label in range(len(centres)):
        members = np.flatnonzero(labels == label)
        level[members[np.argsort(-value[members], kind="stable")]] = taken[label] + np.arange(len(members))
    crowd = np.where(labels >= 0, sizes[labels], 1) if typical else np.zeros(m)
    return Spread(np.lexsort((np.arange(m), -crowd, level)), labels, sizes, centres)


def typicality(vectors: Vectors, labels: Ints) -> npt.NDArray[np.float64]:
    """Near to its neighbours in the cluster, hence like many. Hacohen, Dekel and Weinshall 2022, "Active learning on a
    budget: opposite strategies suit high and low budgets" (TypiClust), section 3."""
    found = np.empty(len(vectors))
    for label in np.unique(labels):
        members = vectors[labels == label].astype(np.float64)
        squares = (members * members).sum(1)
        away = np.sqrt(np.maximum(squares[:, None] + squares - 2 * members @ members.T, 0))
        close = np.sort(away, axis=1)[:, 1 : NEIGHBOURS + 1]
        found[labels == label] = 1 / (close.mean(1) + 1e-9) if close.shape[1] else 0
    return found
