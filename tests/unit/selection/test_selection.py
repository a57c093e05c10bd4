"""Selection: utility first, then variety; the same for the same input, and never by accident."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.selection.features import Features, read, split
from labelloop.selection.select import FLAT, MOST, Candidate, Pick, diverse, reach, select

in_its_time = settings(deadline=None)
"""A busy machine is no fault."""
Pool = tuple[list[Candidate], Features, int]


def candidates(utilities: Iterable[float]) -> list[Candidate]:
    return [Candidate(UUID(int=i), f"{i:05d}", float(utility)) for i, utility in enumerate(utilities)]


def features(vectors: npt.ArrayLike, readable: Sequence[bool] | None = None) -> Features:
    """Features of items without near-duplicates."""
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    seen = np.ones(len(rows), dtype=bool) if readable is None else np.asarray(readable)
    return Features(rows, np.arange(len(rows)), seen)


def blobs(sizes: Sequence[int], seed: int = 0, d: int = 4) -> npt.NDArray[np.float32]:
    """Rows of well separated heaps, heap after heap."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [10 * np.eye(d)[heap % d] * (1 + heap // d) + rng.normal(0, 0.1, (n, d)) for heap, n in enumerate(sizes)]
    ).astype(np.float32)


def numbers(picks: Sequence[Pick]) -> list[int]:
    return [pick.output_id.int for pick in picks]


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    m = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    # Few different values, so that ties and copies are common.
    utilities = rng.integers(0, 6, m) / 5
    vectors = rng.integers(0, 4, (m, 3)).astype(np.float32)
    readable = rng.random(m) < 0.9
    vectors[~readable] = 0
    groups = np.where(readable, rng.integers(0, m, m), m + np.arange(m))
    return candidates(utilities), Features(vectors, groups, readable), draw(st.integers(0, 45))


@in_its_time
@given(pools(), st.floats(0, 1))
def test_as_many_are_picked_as_asked_for_each_once(pool: Pool, diversity: float) -> None:
    waiting, known, n = pool
    picks = select(waiting, n, diversity=diversity, features=known)
    assert len(picks) == len({pick.output_id for pick in picks}) == min(n, len(waiting))


@in_its_time
@given(pools(), st.randoms())
def test_the_order_in_which_candidates_come_does_not_matter(pool: Pool, random: Random) -> None:
    waiting, known, n = pool
    order = list(range(len(waiting)))
    random.shuffle(order)
    turned = Features(known.vectors[order], known.groups[order], known.readable[order])
    assert select([waiting[i] for i in order], n, features=turned) == select(waiting, n, features=known)


@in_its_time
@given(pools())
def test_with_diversity_0_or_without_features_the_most_useful_are_picked(
    pool: Pool,
) -> None:
    waiting, known, n = pool
    best = sorted(waiting, key=lambda candidate: (-candidate.utility, candidate.key))[:n]
    assert [p.output_id for p in select(waiting, n, diversity=0, features=known)] == [c.output_id for c in best]
    assert [p.output_id for p in select(waiting, n, diversity=1)] == [c.output_id for c in best]


@in_its_time
@given(pools())
def test_the_most_useful_of_all_comes_first_unless_something_stands_for_it(
    pool: Pool,
) -> None:
    waiting, known, n = pool
    best = min(waiting, key=lambda candidate: (-candidate.utility, candidate.key))
    wide = max(c.utility for c in waiting) - min(c.utility for c in waiting) > FLAT
    picks = select(waiting, n, diversity=1, features=known)
    first = [c for c in waiting if n and c.output_id == picks[0].output_id]
    assert not wide or not n or first == [best]


@in_its_time
@given(pools())
def test_the_same_candidates_give_the_same_picks(pool: Pool) -> None:
    waiting, known, n = pool
    once = select(waiting, n, features=known)
    assert select(waiting, n, features=known) == once


def test_one_of_each_heap_is_picked_before_a_second_of_any() -> None:
    heaps = np.repeat(np.arange(4), 10)
    utilities = np.linspace(1, 0.5, 40)  # all of the first heap before all of the second
    picks = select(candidates(utilities), 4, diversity=1, features=features(blobs([10] * 4)))
    assert sorted(heaps[numbers(picks)].tolist()) == [0, 1, 2, 3]
    assert numbers(picks)[0] == 0


def test_the_middle_of_a_heap_is_picked_before_an_odd_one_that_is_a_little_more_useful() -> None:
    middle, odd, other = np.zeros((8, 2)), np.array([[1.0, 0]]), np.array([[20.0, 0]])
    rows = np.concatenate([other, odd, middle])
    utilities = [1.0, 0.95, *[0.9] * 8]
    assert numbers(select(candidates(utilities), 2, diversity=1, features=features(rows))) == [0, 2]
    # A much more useful one is picked wherever it lies.
    assert numbers(select(candidates([1.0, 0.95, *[0.1] * 8]), 2, diversity=1, features=features(rows))) == [0, 1]


def test_utilities_below_0_are_in_the_same_order() -> None:
    rows = blobs([10] * 4)
    utilities = np.linspace(1, 0.5, 40)
    assert diverse(utilities - 2, rows, 4, diversity=1).tolist()[0] == 0
    assert len(set(diverse(utilities - 2, rows, 4, diversity=1) // 10)) == 4


def test_a_top_up_comes_from_what_open_tasks_do_not_cover() -> None:
    rows = blobs([10, 10, 10])
    waiting, stands = split(features(np.concatenate([rows, rows[[0, 10]] + 0.01])), 30, 2)
    picks = select(candidates(np.linspace(1, 0.5, 30)), 1, diversity=1, features=waiting, open_=stands)
    assert numbers(picks) == [20]


def test_what_recent_tasks_cover_comes_after_what_they_do_not() -> None:
    rows = blobs([10, 10, 10])
    waiting, recent = split(features(np.concatenate([rows, rows[[0, 10]] + 0.01])), 30, 2)
    picks = select(candidates(np.linspace(1, 0.5, 30)), 1, diversity=1, features=waiting, recent=recent)
    assert numbers(picks) == [20]


def test_variety_is_sought_among_the_useful_only() -> None:
    # At 5 places and diversity 0.35 the 28 best are candidates: the odd one out is too dull to be asked about.
    rows = blobs([99, 1])
    picks = select(candidates(np.linspace(1, 0, 100)), 5, diversity=0.35, features=features(rows))
    assert reach(5, 0.35) == 28
    assert max(numbers(picks)) < 28


def test_one_copy_comes_first_and_the_others_last() -> None:
    known = features(np.random.default_rng(0).normal(size=(6, 3)))
    known.groups[:] = [0, 0, 0, 1, 2, 3]
    picks = select(candidates([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), 6, features=known)
    assert numbers(picks) == [0, 3, 4, 5, 1, 2]
    assert picks[0].why_also == "2 near-duplicates are waiting"
    assert [pick.why_also for pick in picks[4:]] == ["nearly the same as another"] * 2


def test_a_copy_of_an_open_or_recently_pushed_output_comes_last() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    all_ = Features(vectors, np.array([0, 1, 2, 0, 1]), np.ones(5, dtype=bool))
    waiting, stands, recent = split(all_, 3, 1, 1)
    assert numbers(select(candidates([0.9, 0.8, 0.1]), 3, features=waiting, open_=stands, recent=recent)) == [2, 0, 1]


def test_identical_items_are_picked_by_utility_one_first() -> None:
    known = read("text", "text", [{"text": "the same again"}] * 5)
    assert numbers(select(candidates([0.1, 0.5, 0.3, 0.9, 0.7]), 5, features=known)) == [3, 4, 1, 2, 0]
    # Also where nothing says that they are copies.
    assert numbers(select(candidates([0.1, 0.5, 0.3, 0.9, 0.7]), 3, features=features(np.ones((5, 2))))) == [3, 4, 1]


def test_where_utilities_say_nothing_the_typical_of_the_largest_heap_come_first() -> None:
    sizes = [5, 30, 12]
    rows = blobs(sizes)
    heap = np.repeat(np.arange(3), sizes)
    picks = numbers(select(candidates(1 - 1e-3 * np.random.default_rng(1).random(47)), 3, features=features(rows)))
    assert heap[picks].tolist() == [1, 2, 0]
    for pick in picks:
        own = rows[heap == heap[pick]]
        away = np.linalg.norm(own - own.mean(0), axis=1)
        assert np.linalg.norm(rows[pick] - own.mean(0)) <= np.median(away)


def test_where_utilities_say_nothing_what_was_asked_lately_is_not_asked_again() -> None:
    rows = blobs([30, 20])
    all_ = features(np.concatenate([rows, rows[:1] + 0.01]))
    waiting, recent = split(all_, 50, 1)
    assert numbers(select(candidates(np.ones(50)), 1, features=waiting, recent=recent))[0] >= 30


def test_what_cannot_be_read_comes_where_its_utility_says() -> None:
    rows = np.concatenate([np.zeros((2, 4), np.float32), blobs([20, 20])])
    known = features(rows, [False] * 2 + [True] * 40)
    utilities = [0.99, 0.1, *np.linspace(1, 0.5, 40)]
    assert numbers(select(candidates(utilities), 3, diversity=1, features=known)) == [2, 0, 22]
    nothing = features(np.zeros((3, 4)), [False] * 3)
    assert numbers(select(candidates([0.2, 0.9, 0.5]), 2, diversity=1, features=nothing)) == [1, 2]


def test_an_empty_pool_gives_an_empty_pick() -> None:
    for texts in ([], [None]):
        known, stands = split(read("text", "text", [{"text": text} for text in (*texts, "open")]), len(texts), 1)
        waiting = candidates([0.5] * len(texts))
        assert len(select(waiting, 3, features=known, open_=stands, recent=stands)) == len(texts)
        assert select(waiting, 0, features=known) == []


def test_the_reason_says_what_the_clusters_say() -> None:
    rows = blobs([40, 4, 4])
    all_ = features(np.concatenate([rows, rows[:3] + 0.01]))
    waiting, recent = split(all_, 48, 3)
    picks = select(candidates(np.linspace(1, 0.5, 48)), 3, diversity=1, features=waiting, recent=recent)
    assert [pick.why_also for pick in picks] == [
        "unlike the last 3",
        "unlike the last 3",
        "like 39 other waiting outputs",
    ]


def test_bad_input_is_refused_and_the_given_value_is_named() -> None:
    waiting = candidates([0.5, 0.4])
    with pytest.raises(ValueError, match="vectors of 3 numbers, open or recent tasks of 2"):
        select(waiting, 1, features=features(np.ones((2, 3))), open_=features(np.ones((1, 2))))
    with pytest.raises(ValueError, match="features of 3 items for 2 candidates"):
        select(waiting, 1, features=features(np.ones((3, 3))))
    with pytest.raises(ValueError, match="row 1 of the vectors has NaN"):
        select(waiting, 1, features=features([[0.0, 1.0], [np.nan, 1.0]]))
    with pytest.raises(ValueError, match=r"row 0 .* a number beyond 1e\+12"):
        diverse(np.array([0.5, 0.4]), np.array([[2e12, 1.0], [0.0, 1.0]]), 1)
    with pytest.raises(ValueError, match="candidate 1 has NaN"):
        select(candidates([0.5, np.nan]), 1)
    with pytest.raises(ValueError, match="diversity is from 0 to 1, not 2"):
        select(waiting, 1, diversity=2)
    with pytest.raises(ValueError, match="-1 outputs"):
        select(waiting, -1)


def test_candidates_are_bounded() -> None:
    assert [reach(50, d) for d in (0, 0.5, 0.7)] == [50, 571, 1510]
    assert reach(500, 1) == MOST
    assert reach(9000, 1) == 9000


def test_arrays_are_selected_from_as_candidates_are() -> None:
    rng = np.random.default_rng(0)
    utilities, vectors = rng.random(500), rng.normal(size=(500, 8)).astype(np.float32)
    stands = vectors[:5] + 0.01
    expected = select(candidates(utilities), 20, features=features(vectors), open_=_apart(features(stands)))
    assert diverse(utilities, vectors, 20, open_=stands).tolist() == numbers(expected)
    assert diverse(utilities, vectors, 20, open_=stands, seed=7).tolist() == numbers(expected), "nothing is drawn"
    assert diverse(utilities, vectors, 7, diversity=0).tolist() == np.argsort(-utilities, kind="stable")[:7].tolist()
    assert diverse(utilities[:3], vectors[:3], 7).tolist() == np.argsort(-utilities[:3], kind="stable").tolist()
    assert diverse(np.empty(0), np.empty((0, 8)), 7).tolist() == []


def _apart(known: Features) -> Features:
    """Groups that are nobody else's."""
    return Features(known.vectors, known.groups + 10_000, known.readable)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 2\) for 4 utilities"):
        diverse(np.ones(4), np.ones((3, 2)), 1)
    with pytest.raises(ValueError, match="vectors have 2 numbers, those of open tasks 5"):
        diverse(np.ones(3), np.ones((3, 2)), 1, open_=np.ones((1, 5)))
    with pytest.raises(ValueError, match="utility 1 is not a number"):
        diverse(np.array([0.1, np.nan]), np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match="row 0 of the vectors"):
        diverse(np.array([0.1, 0.9]), np.array([[1.0, 1.0], [np.inf, 1.0]]), 1)
