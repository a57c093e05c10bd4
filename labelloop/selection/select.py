"""Selection: choose the tasks that people get next from the most useful outputs, so that no two of them are redundant.

The best by utility are candidates. They are clustered, and each cluster gives the candidate whose utility times its
closeness to the cluster's centre is highest: useful, and not an oddity. So utility comes first and variety second.
Methods that weigh the two against each other over the whole pool cost much more, and some of them need fewer labels.
The comparison is in docs/engineers/efficiency.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import numpy as np
import numpy.typing as npt

from labelloop.selection.clusters import Ints, Vectors
from labelloop.selection.features import Features
from labelloop.selection.spread import CROWD, Spread, lay_out
from labelloop.strategies import top_k

DIVERSITY = 0.7
"""Default diversity, which gives 30 candidates a place. On intents and SMS, 11 candidates took more labels than 30, and
on digits as many (docs/engineers/efficiency.md).
"""
WIDEST = 130
"""Candidates for each place at diversity 1."""
MOST = 2_000
"""Largest number of candidates, unless there are more places."""
FLAT = 2e-3
"""Difference below which utilities give no order. It happens if a pipeline sends neither probabilities
nor confidence.
"""
Utilities = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A waiting output."""

    output_id: UUID
    key: str
    utility: float


@dataclass(frozen=True, slots=True)
class Pick:
    """A selected candidate."""

    output_id: UUID
    why_also: str
    """Reason for the selection from its features, in a few words; "" if there is none."""


def reach(places: int, diversity: float) -> int:
    """Return how many of the most useful outputs are candidates for this many places, open tasks included."""
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
    keep: Callable[[Iterable[UUID]], Iterable[UUID]] = iter,
    seed: int = 0,
) -> list[Pick]:
    """Return the `n` outputs to push next, in the order of the push; all of them if there are fewer. Ties are broken by
    key.

    `features` are those of the candidates, in their order. `open_` are those of the open tasks, and of answers that the
    model has not yet been trained on. `recent` are those of the tasks pushed last. `keep` gets all candidates in order
    and leaves out those that must not come.

    With diversity 0, or without features, these are the n best by utility. Otherwise near-duplicates of each other or
    of open and recent tasks come last. The others come from clusters without open tasks: of each cluster the
    one whose utility times its closeness to the centre is highest. The most useful of all comes first, unless its
    cluster has an open task. An item that cannot be read is similar to nothing. If utilities are all alike (FLAT), the
    most typical of the largest clusters come first.
    """
    utilities = np.array([candidate.utility for candidate in candidates], dtype=np.float64)
    wide = reach(n + len(open_ or ()), diversity)
    _check(n, utilities, features, open_, recent)
    order = sorted(range(len(candidates)), key=lambda row: (-utilities[row], candidates[row].key))

    def taken(rows: Iterable[int]) -> list[int]:
        row_of = {candidates[row].output_id: row for row in rows}  # in the order of rows, each once
        return [row_of[id_] for id_ in islice(keep(row_of), n)]

    if diversity == 0 or features is None:
        return [Pick(candidates[row].output_id, "") for row in taken(order)]

    shown = {int(group) for some in (open_, recent) if some is not None for group in some.groups}
    first, again = _first_of_groups(order, features.groups, shown)
    found = _leading(utilities[first], wide)
    first, flat = first[: len(found)], _flat(found)
    # An open task already covers its cluster. If no model knows anything yet, recent tasks do so as well.
    covering = [some for some in (open_, recent if flat else None) if some is not None]
    spread = lay_out(
        features.vectors[first],
        features.readable[first],
        n,
        np.concatenate([features.vectors[:0], *(some.vectors[some.readable] for some in covering)]),
        seed,
        typical=flat,
        utilities=found,
    )
    picks = taken([*(first[place] for place in spread.order), *again, *order])
    places, late = {row: place for place, row in enumerate(first)}, set(again)
    copies, news = Counter(features.groups.tolist()), spread.without(recent)

    def why_also(row: int) -> str:
        if row in late:
            return "nearly the same as another"
        words = _words(spread, places[row], news, recent) if row in places else []
        if (others := copies[int(features.groups[row])] - 1) > 0:
            words.append(f"{others} {'near-duplicates are' if others > 1 else 'near-duplicate is'} waiting")
        return "; ".join(words)

    return [Pick(candidates[row].output_id, why_also(row)) for row in picks]


def diverse(
    utilities: Utilities,
    vectors: npt.NDArray[np.floating],
    n: int,
    *,
    diversity: float = DIVERSITY,
    open_: npt.NDArray[np.floating] | None = None,
    seed: int = 0,
) -> Ints:
    """Return the positions of the `n` items to push next, as `select` would choose them, for arrays. Ties are broken by
    position.

    It does not look for near-duplicates. `vectors` has the shape (n_samples, d) and may be as large as the disk: only
    the candidates' rows are read. `open_`, shape (any, d), are the vectors of open tasks.
    """
    utilities = np.asarray(utilities)
    if vectors.ndim != 2 or len(vectors) != len(utilities):
        raise ValueError(f"vectors of the shape {vectors.shape} for {len(utilities)} utilities")
    if open_ is not None and open_.shape[1:] != vectors.shape[1:]:
        raise ValueError(f"vectors have {vectors.shape[1]} numbers, those of open tasks {open_.shape[-1]}")
    covering = np.empty((0, vectors.shape[1]), np.float32) if open_ is None else np.asarray(open_, dtype=np.float32)
    wide = reach(n + len(covering), diversity)
    best = top_k(utilities, max(wide, MOST))
    if diversity == 0 or not len(best):
        return np.asarray(best[:n], dtype=np.int64)
    found = _leading(utilities[best], wide)
    best, flat = best[: len(found)], _flat(found)
    chosen = np.asarray(vectors[best], dtype=np.float32)
    _finite(chosen, covering)
    spread = lay_out(chosen, np.ones(len(best), dtype=bool), n, covering, seed, typical=flat, utilities=found)
    return np.asarray(best[spread.order[:n]], dtype=np.int64)


def _leading(utilities: Utilities, wide: int) -> Utilities:
    """Return the candidates at the head of a descending row: `wide` of them, and more if all of these are equally
    useful.
    """
    head = utilities[:wide]
    return head if not _flat(head) else utilities[: max(len(head), int((utilities[:MOST] >= head[0] - FLAT).sum()))]


def _flat(utilities: Utilities) -> bool:
    return bool(len(utilities)) and bool(utilities[0] - utilities[-1] <= FLAT)


def _words(spread: Spread, place: int, news: Collection[int], recent: Features | None) -> list[str]:
    """Return the reasons from a candidate's cluster; `news` are the clusters without recent tasks."""
    label = int(spread.labels[place])
    words = [f"unlike the last {len(recent)}"] if recent is not None and label in news else []
    if label >= 0 and (others := int(spread.sizes[label]) - 1) >= max(CROWD, 2 * float(spread.sizes.mean())):
        words.append(f"like {others} other waiting outputs")
    return words


def _first_of_groups(order: Sequence[int], groups: Ints, shown: set[int]) -> tuple[list[int], list[int]]:
    """Return the first of each group that was not shown, and the others; both in order."""
    first: list[int] = []
    again: list[int] = []
    seen = set(shown)
    for row in order:
        group = int(groups[row])
        (again if group in seen else first).append(row)
        seen.add(group)
    return first, again


def _check(n: int, utilities: Utilities, features: Features | None, *others: Features | None) -> None:
    if n < 0:
        raise ValueError(f"{n} outputs cannot be picked")
    if np.isnan(utilities).any():
        raise ValueError(f"candidate {int(np.isnan(utilities).argmax())} has NaN as its utility")
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
