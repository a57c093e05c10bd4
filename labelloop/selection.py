"""Selection: which of the most useful outputs people get next, so that no two of them teach the same.

The best by utility are candidates; they are clustered, and the most useful of each cluster comes first. Utility first,
then variety among the best: that is as good as methods that weigh the two against each other over all that waits, or
better, at a fraction of their cost (docs/performance.md).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from labelloop.clusters import Ints, Vectors, kmeans, nearest
from labelloop.features import Features
from labelloop.strategies import top_k

DIVERSITY = 0.7
"""11 candidates a place. Any number from 3 to 30 is as good on digits, intents, questions to a bank and SMS."""
WIDEST = 30
"""Candidates for each place at diversity 1."""
MOST = 4_000
"""Candidates are never more, unless there are more places."""
FLAT = 2e-3
"""Utilities this close say nothing about what to ask first, as where the pipeline gives neither probabilities nor
confidence."""
NEIGHBOURS = 20
_CROWD = 5
"""A cluster that is to stand for others has so many members on average."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An output that waits."""

    output_id: UUID
    key: str
    utility: float


@dataclass(frozen=True, slots=True)
class Pick:
    """A candidate that was chosen."""

    output_id: UUID
    why_also: str
    """What its features said for it, in a few words; "" where nothing did."""


def reach(places: int, diversity: float) -> int:
    """How many of the most useful are candidates for so many places, open tasks counted."""
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity is from 0 to 1, not {diversity}")
    return max(places, min(math.ceil(places * math.pow(WIDEST, diversity)), MOST))


def select(
    candidates: Sequence[Candidate],
    n: int,
    *,
    diversity: float = DIVERSITY,
    features: Features | None = None,
    open_: Features | None = None,
    recent: Features | None = None,
    seed: int = 0,
) -> list[Pick]:
    """The `n` to push next, the first to come in first; all of them where there are fewer. Ties by key.

    `features` are those of the candidates, in their order; `open_` those of the tasks that stand open (and of answers
    that the model has not learned from yet), `recent` those of the tasks pushed last. With diversity 0, or without
    features, these are the n best by utility. Else near-duplicates, of each other or of open and recent tasks, come
    last; the others come from clusters that open tasks do not cover, the most useful of each. An item that cannot be
    read is like nothing else. Where utilities say nothing (FLAT), the most typical of the largest clusters come first.
    """
    utilities = np.array([candidate.utility for candidate in candidates], dtype=np.float64)
    wide = reach(n + len(open_ or ()), diversity)
    _check(n, utilities, features, open_, recent)
    order = sorted(range(len(candidates)), key=lambda row: (-utilities[row], candidates[row].key))
    if diversity == 0 or features is None:
        return [Pick(candidates[row].output_id, "") for row in order[:n]]

    shown = {int(group) for some in (open_, recent) if some is not None for group in some.groups}
    first, again = _once(order, features.groups, shown)
    first = first[:wide]
    flat = bool(first) and utilities[first[0]] - utilities[first[-1]] <= FLAT
    # What an open task will teach is no news. Where nothing is known yet, neither is what was asked before.
    covering = [some for some in (open_, recent if flat else None) if some is not None]
    spread = _spread(
        features.vectors[first],
        features.readable[first],
        n,
        np.concatenate([features.vectors[:0], *(some.vectors[some.readable] for some in covering)]),
        seed,
        typical=flat,
    )
    picks = list(dict.fromkeys([*(first[place] for place in spread.order[:n]), *again, *order]))[:n]
    places, late = {row: place for place, row in enumerate(first)}, set(again)
    copies, news = Counter(features.groups.tolist()), spread.without(recent)

    def why_also(row: int) -> str:
        if row in late:
            return "nearly the same as another"
        words = spread.words(places[row], news, recent) if row in places else []
        if (others := copies[int(features.groups[row])] - 1) > 0:
            words.append(f"{others} nearly the same {'wait' if others > 1 else 'waits'}")
        return "; ".join(words)

    return [Pick(candidates[row].output_id, why_also(row)) for row in picks]


def diverse(
    utilities: npt.NDArray[np.floating],
    vectors: npt.NDArray[np.floating],
    n: int,
    *,
    diversity: float = DIVERSITY,
    open_: npt.NDArray[np.floating] | None = None,
    seed: int = 0,
) -> Ints:
    """Positions of the `n` to ask next, as `select` would choose, for arrays: no near-duplicates, ties by position.

    `vectors` has the shape (n_samples, d) and may be as large as the disk: only the candidates' rows are read. `open_`,
    shape (any, d), is what is asked already.
    """
    utilities = np.asarray(utilities)
    if vectors.ndim != 2 or len(vectors) != len(utilities):
        raise ValueError(f"vectors of the shape {vectors.shape} for {len(utilities)} utilities")
    if open_ is not None and open_.shape[1:] != vectors.shape[1:]:
        raise ValueError(f"vectors have {vectors.shape[1]} numbers, those of open tasks {open_.shape[-1]}")
    covering = np.empty((0, vectors.shape[1]), np.float32) if open_ is None else np.asarray(open_, dtype=np.float32)
    best = top_k(utilities, reach(n + len(covering), diversity))
    if diversity == 0 or not len(best):
        return np.asarray(best[:n], dtype=np.int64)
    chosen = np.asarray(vectors[best], dtype=np.float32)
    _finite(chosen, covering)
    flat = bool(utilities[best[0]] - utilities[best[-1]] <= FLAT)
    spread = _spread(chosen, np.ones(len(best), dtype=bool), n, covering, seed, typical=flat)
    return np.asarray(best[spread.order[:n]], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Spread:
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

    def words(self, place: int, news: Collection[int], recent: Features | None) -> list[str]:
        """What the clusters say of a candidate; `news` are those without recent tasks."""
        label = int(self.labels[place])
        words = [f"unlike the last {len(recent)}"] if recent is not None and label in news else []
        others = int(self.sizes[label]) - 1 if label >= 0 else 0
        if others >= max(_CROWD, 2 * float(self.sizes.mean())):
            words.append(f"like {others} others that wait")
        return words


def _spread(
    vectors: Vectors, readable: npt.NDArray[np.bool_], n: int, covering: Vectors, seed: int, *, typical: bool
) -> _Spread:
    """As many clusters as there will be tasks; an open task counts as picked from its own."""
    m, k = len(vectors), n + len(covering)
    labels = np.full(m, -1, dtype=np.int64)
    if n >= m or not readable.any():
        return _Spread(np.arange(m), labels, np.empty(0, np.int64), vectors[:0])
    if typical:
        k = min(k, max(n, m // _CROWD))
    found, centres = kmeans(np.concatenate([vectors[readable], covering]), k, np.random.default_rng(seed))
    mine = int(readable.sum())
    labels[readable], taken = found[:mine], np.bincount(found[mine:], minlength=len(centres))
    sizes = np.bincount(found[:mine], minlength=len(centres))
    value = -np.arange(m, dtype=np.float64)
    if typical:
        value[readable] = _typicality(vectors[readable], found[:mine])
    # What cannot be read is a cluster of its own: nothing of it has been picked yet.
    level = np.zeros(m, dtype=np.int64)
    for label in range(len(centres)):
        members = np.flatnonzero(labels == label)
        level[members[np.argsort(-value[members], kind="stable")]] = taken[label] + np.arange(len(members))
    crowd = np.where(labels >= 0, sizes[labels], 1) if typical else np.zeros(m)
    return _Spread(np.lexsort((np.arange(m), -crowd, level)), labels, sizes, centres)


def _typicality(vectors: Vectors, labels: Ints) -> npt.NDArray[np.float64]:
    """Near to its neighbours in the cluster, hence like many. Hacohen, Dekel and Weinshall 2022, "Active learning on a
    budget: opposite strategies suit high and low budgets" (TypiClust), section 3."""
    typicality = np.empty(len(vectors))
    for label in np.unique(labels):
        members = vectors[labels == label].astype(np.float64)
        squares = (members * members).sum(1)
        away = np.sqrt(np.maximum(squares[:, None] + squares - 2 * members @ members.T, 0))
        close = np.sort(away, axis=1)[:, 1 : NEIGHBOURS + 1]
        typicality[labels == label] = 1 / (close.mean(1) + 1e-9) if close.shape[1] else 0
    return typicality


def _once(order: Sequence[int], groups: Ints, shown: set[int]) -> tuple[list[int], list[int]]:
    """The first of each group that was not shown, and the others; both in order."""
    first: list[int] = []
    again: list[int] = []
    seen = set(shown)
    for row in order:
        group = int(groups[row])
        (again if group in seen else first).append(row)
        seen.add(group)
    return first, again


def _check(n: int, utilities: npt.NDArray[np.float64], features: Features | None, *others: Features | None) -> None:
    if n < 0:
        raise ValueError(f"{n} outputs cannot be picked")
    if np.isnan(utilities).any():
        raise ValueError(f"candidate {int(np.isnan(utilities).argmax())} has no number for a utility, but NaN")
    if features is None:
        return
    if len(features) != len(utilities):
        raise ValueError(f"features of {len(features)} items for {len(utilities)} candidates")
    for other in others:
        if other is not None and other.vectors.shape[1] != features.vectors.shape[1]:
            raise ValueError(
                f"candidates have vectors of {features.vectors.shape[1]} numbers, open or recent tasks of "
                f"{other.vectors.shape[1]}: read them together"
            )
    _finite(features.vectors, *(other.vectors for other in others if other is not None))


def _finite(*arrays: Vectors) -> None:
    for array in arrays:
        if not np.isfinite(array).all():
            raise ValueError(f"row {int((~np.isfinite(array)).any(1).argmax())} of the vectors has NaN or infinity")
