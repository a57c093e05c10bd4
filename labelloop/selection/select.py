"""Selection: choose the tasks that people get next from the most useful outputs, so that no two of them are redundant.

The best by utility are candidates. Each task is the candidate that covers most of the utility that the tasks before it
leave uncovered: useful, like other useful ones, and not an oddity. So utility comes first and variety second. The
comparison with other rules and libraries is in docs/engineers/efficiency.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from uuid import UUID

import numpy as np
import numpy.typing as npt

from labelloop.selection.features import Features
from labelloop.selection.spread import spread
from labelloop.selection.vectors import Ints, Vectors, nearest
from labelloop.strategies import top_k
from labelloop.threads import one_thread

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
FARTHEST = 1e12
"""Largest number in a vector: squared distances of larger ones would be infinite in single precision."""
CROWD = 5
"""A pick that stands for fewer candidates does not say how many they are."""
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
) -> list[Pick]:
    """Return the `n` outputs to push next, in the order of the push; all of them if there are fewer. Ties are broken by
    key.

    `features` are those of the candidates, in their order. `open_` are those of the open tasks, and of answers that the
    model has not yet been trained on. `recent` are those of the tasks pushed last. `keep` gets all candidates in order
    and leaves out those that must not come.

    With diversity 0, or without features, these are the n best by utility. Otherwise near-duplicates of each other or
    of open and recent tasks come last. Each of the others covers most of the utility that open and recent tasks and
    earlier picks do not cover. The most useful of all comes first, unless an open or recent task covers it. An item
    that cannot be read is similar to nothing. If utilities are all alike (FLAT), the most typical of the largest groups
    come first, each standing for fewer.
    """
    utilities = np.array([candidate.utility for candidate in candidates], dtype=np.float64)
    wide = reach(n + len(open_ or ()), diversity)
    _check(n, utilities, features, open_, recent)
    order = sorted(range(len(candidates)), key=lambda row: (-utilities[row], candidates[row].key))

    def taken(rows: Iterable[int]) -> list[int]:
        row_of: dict[UUID, int] = {}

        def each_once() -> Iterator[UUID]:
            for row in rows:
                if (id_ := candidates[row].output_id) not in row_of:
                    row_of[id_] = row
                    yield id_

        return [row_of[id_] for id_ in islice(keep(each_once()), n)]

    if diversity == 0 or features is None:
        return [Pick(candidates[row].output_id, "") for row in taken(order)]

    shown = {int(group) for some in (open_, recent) if some is not None for group in some.groups}
    first, again = _first_of_groups(order, features.groups, shown)
    found = _leading(utilities[first], wide)
    first, flat = first[: len(found)], _flat(found)
    # Recent tasks cover as open ones do. If no model knows anything yet, they take a share of the candidates too.
    covering = _readable(features, open_, recent if flat else None)
    lately, readable = _readable(features, recent), features.readable[first]
    with one_thread:
        places = spread(features.vectors[first], readable, _weights(found, flat), n, covering, lately)
        picks = taken(chain((first[place] for place in places), again, order))
        words = _words(features, first, picks, covering, lately)
    late, copies = set(again), Counter(features.groups.tolist())

    def why_also(row: int) -> str:
        if row in late:
            return "nearly the same as another"
        said = list(words.get(row, ()))
        if (others := copies[int(features.groups[row])] - 1) > 0:
            said.append(f"{others} {'near-duplicates are' if others > 1 else 'near-duplicate is'} waiting")
        return "; ".join(said)

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
    the candidates' rows are read. `open_`, shape (any, d), are the vectors of open tasks. Nothing is drawn, so `seed`
    makes no difference; it is accepted for callers that give one.
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
    with one_thread:
        places = spread(chosen, np.ones(len(best), dtype=bool), _weights(found, flat), n, covering, covering[:0])
        return np.asarray(best[list(islice(places, n))], dtype=np.int64)


def _leading(utilities: Utilities, wide: int) -> Utilities:
    """Return the candidates at the head of a descending row: `wide` of them, and more if all of these are equally
    useful.
    """
    head = utilities[:wide]
    return head if not _flat(head) else utilities[: max(len(head), int((utilities[:MOST] >= head[0] - FLAT).sum()))]


def _flat(utilities: Utilities) -> bool:
    return bool(len(utilities)) and bool(utilities[0] - utilities[-1] <= FLAT)


def _weights(utilities: Utilities, flat: bool) -> Utilities:
    return np.ones(len(utilities)) if flat else utilities


def _readable(like: Features, *parts: Features | None) -> Vectors:
    known = [some.vectors[some.readable] for some in parts if some is not None]
    return np.concatenate([like.vectors[:0], *known])


def _words(
    features: Features, rows: Sequence[int], picks: Sequence[int], covering: Vectors, recent: Vectors
) -> dict[int, list[str]]:
    """Return the reasons of picks from the candidates' `rows` and the recent tasks for which each stands.

    A pick stands for those that are nearer to it than to other picks and to open tasks.
    """
    among = {row for row in rows if features.readable[row]}
    stand = [row for row in picks if row in among]
    if len(stand) in (0, len(among)):
        return {}
    centres = np.concatenate([features.vectors[stand], covering])
    sizes = np.bincount(nearest(features.vectors[sorted(among)], centres), minlength=len(centres))
    known = set(nearest(recent, centres).tolist())
    words: dict[int, list[str]] = {}
    for label, row in enumerate(stand):
        words[row] = [f"unlike the last {len(recent)}"] if len(recent) and label not in known else []
        if (others := int(sizes[label]) - 1) >= max(CROWD, 2 * float(sizes.mean())):
            words[row].append(f"like {others} other waiting outputs")
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
        if (wrong := ~(np.abs(array) <= FARTHEST).all(1)).any():
            row = int(wrong.argmax())
            raise ValueError(f"row {row} of the vectors has NaN, infinity or a number beyond {FARTHEST:g}")
