"""Open tasks are shared out so that loads are as level as tags and earlier answers let them be."""

from __future__ import annotations

import itertools
from collections import Counter
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.queue.assigning import Item, Shares, Worker, can_answer, rests, share_out, why_nobody

TAGS = ("de", "fr")
Case = tuple[list[Item], list[Worker]]


def person(n: int, *tags: str, **fields: int) -> Worker:
    return Worker(UUID(int=n), frozenset(tags), **fields)  # type: ignore[arg-type]


def task(n: int, *needs: str, wanted: int = 1, **sets: set[int]) -> Item:
    people = {name: frozenset(UUID(int=one) for one in ids) for name, ids in sets.items()}
    return Item(UUID(int=100 + n), wanted, frozenset(needs), **people)


@st.composite
def cases(draw: st.DrawFn, *, people: int = 4, tasks: int = 8, past: bool = True, most: int = 3) -> Case:
    workers = [
        Worker(
            UUID(int=n),
            frozenset(draw(st.sets(st.sampled_from(TAGS)))),
            draw(st.integers(0, 6)),
            idle=past and draw(st.integers(0, 4)) == 0,
            at_work=draw(st.booleans()),
        )
        for n in range(draw(st.integers(1, people)))
    ]
    ids = [worker.id for worker in workers]
    items = []
    for n in range(draw(st.integers(0, tasks))):
        sets = [frozenset(draw(st.sets(st.sampled_from(ids), max_size=2))) if past else frozenset() for _ in range(4)]
        closed, let_go, held, late = sets
        needs = frozenset(draw(st.sets(st.sampled_from(TAGS), max_size=1)))
        items.append(
            Item(
                UUID(int=100 + n),
                draw(st.integers(1, most)),
                needs,
                closed,
                let_go,
                held - closed,
                late & held - closed,
            )
        )
    return items, workers


def loads(workers: list[Worker], shares: Shares) -> dict[UUID, int]:
    given = Counter(id_ for people in shares.given.values() for id_ in people)
    return {worker.id: worker.answers + given[worker.id] for worker in workers}


def after(items: list[Item], shares: Shares) -> list[Item]:
    """The same tasks at the next push, if nobody has answered meanwhile."""
    return [
        Item(
            one.id,
            one.wanted,
            one.needs,
            one.closed,
            one.let_go | shares.handed_on.get(one.id, frozenset()),
            shares.given[one.id],
        )
        for one in items
    ]


@given(cases())
@settings(max_examples=40)
def test_tasks_go_to_different_people_who_can_answer_and_none_can_move_to_a_load_that_is_smaller_by_two(
    case: Case,
) -> None:
    items, workers = case
    shares = share_out(items, workers, 4)
    load, takes = loads(workers, shares), [one for one in workers if not rests(one, workers, 4)]
    for item in after(items, shares):
        able = {worker.id for worker in workers if can_answer(worker, item)}
        assert item.held <= able
        assert len(item.held) == min(item.wanted, len(able)), "no task is left over"
        for holder in item.held:
            for other in takes:
                if other.id in able - item.held - item.let_go:
                    assert load[holder] <= load[other.id] + 1


@given(cases(past=False, most=1))
@settings(max_examples=40)
def test_people_with_the_same_tags_differ_by_at_most_one(case: Case) -> None:
    """A person who answered more before, and now gets nothing, may be ahead by more."""
    items, workers = case
    load = loads(workers, share_out(items, workers))
    for one, other in itertools.permutations(workers, 2):
        if one.tags == other.tags and load[one.id] > one.answers:
            assert load[one.id] <= load[other.id] + 1


@given(cases(people=3, tasks=5, past=False))
def test_no_other_assignment_is_more_level(case: Case) -> None:
    """The sum of the squares of the loads is the smallest of all that are possible: compared with every one."""
    items, workers = case
    choices = []
    for item in items:
        able = [worker.id for worker in workers if can_answer(worker, item)]
        choices.append([*itertools.combinations(able, min(item.wanted, len(able)))])
    best = min(
        sum((one.answers + sum(one.id in people for people in made)) ** 2 for one in workers)
        for made in itertools.product(*choices)
    )
    assert sum(load**2 for load in loads(workers, share_out(items, workers)).values()) == best


@given(cases())
@settings(max_examples=40)
def test_a_second_run_changes_nothing(case: Case) -> None:
    items, workers = case
    first = share_out(items, workers, 3)
    second = share_out(after(items, first), workers, 3)
    assert second.given == first.given
    assert not second.handed_on


@given(st.integers(1, 4), st.integers(0, 30), st.integers(0, 12))
def test_the_best_tasks_are_dealt_to_all_who_get_new_ones(people: int, tasks: int, ahead: int) -> None:
    """Even a person who is behind gets no longer run of the best tasks than the share of new tasks allows."""
    workers = [person(0), *(person(n, answers=ahead) for n in range(1, people))]
    items = [task(n) for n in range(tasks)]
    shares = share_out(items, workers)
    got = Counter(id_ for given_ in shares.given.values() for id_ in given_)
    for n in range(1, tasks + 1):
        sofar = Counter(id_ for item in items[:n] for id_ in shares.given[item.id])
        for worker in workers:
            assert sofar[worker.id] <= got[worker.id] * n / tasks + people


def test_tags_decide_who_can_answer_and_the_person_with_the_rare_tag_gets_less_of_the_rest() -> None:
    both, other = person(1, "de"), person(2)
    shares = share_out([task(n, *(["de"] if n < 2 else [])) for n in range(6)], [both, other])
    assert [shares.given[task(n).id] for n in range(2)] == [{both.id}] * 2
    assert loads([both, other], shares) == {both.id: 3, other.id: 3}


def test_a_late_task_goes_to_a_person_who_is_at_work_and_never_back() -> None:
    rob, mia = person(1), person(2)
    away = [task(0, held={1}, late={1})]
    assert share_out(away, [rob, Worker(mia.id, mia.tags, at_work=False)]).given[away[0].id] == {rob.id}
    moved = share_out(away, [rob, mia])
    assert moved.given[away[0].id] == {mia.id}
    assert moved.handed_on[away[0].id] == {rob.id}
    later = [task(0, held={2}, late={2}, let_go={1})]
    assert share_out(later, [rob, mia]).given[away[0].id] == {mia.id}, "there is nobody else"


def test_an_idle_person_gets_new_tasks_only_if_there_is_nobody_else() -> None:
    idle = Worker(UUID(int=1), frozenset({"de"}), idle=True)
    items = [task(0), task(1), task(2, "de")]
    given_ = share_out(items, [idle, person(2)]).given
    assert [given_[item.id] for item in items] == [{UUID(int=2)}, {UUID(int=2)}, {idle.id}]


def test_after_a_turn_a_person_gets_no_new_tasks_until_the_others_have_given_as_many() -> None:
    ahead, behind, other = person(1, answers=10), person(2, answers=9), person(3, "de", answers=0)
    assert [rests(one, [ahead, behind, other], 10) for one in (ahead, behind, other)] == [True, False, False]
    shares = share_out([task(n) for n in range(3)], [ahead, behind], 10)
    assert loads([ahead, behind], shares) == {ahead.id: 10, behind.id: 12}
    level = [ahead, person(2, answers=10)]
    assert loads(level, share_out([task(0), task(1)], level, 10)) == {ahead.id: 11, behind.id: 11}


def test_a_task_that_nobody_can_answer_says_why() -> None:
    workers = [person(1, "de"), person(2, "fr")]
    assert why_nobody(task(0, "it"), workers) == "nobody has the tag it"
    assert why_nobody(task(0, "de", "fr"), workers) == "nobody has all of the tags de, fr"
    assert why_nobody(task(0, "de", closed={1}), workers) == "everybody who could has answered or skipped it"
    assert share_out([task(0, "it")], workers).given[task(0).id] == set()
