"""The findings of doctor in the order of the tasks that Label Studio serves."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from console.doctor import order
from console.doctor.findings import Level
from labelloop.labelstudio.inspection import Served
from labelloop.queue.tasks import order_score
from labelloop.reading.ids import TaskId
from labelloop.store.questions.health import OpenTask
from sync.project.mend import to_mend
from tests.support.data.findings import is_fault

V = "pipeline"


OURS = [order.Ours(TaskId(10 + i), f"k{i}", priority, V) for i, priority in enumerate((0.9, 0.6, 0.3))]


SERVED = [Served(task.task_id, order_score(task.priority), (V,)) for task in OURS]


def open_tasks(tasks: list[order.Ours]) -> dict[TaskId, OpenTask]:
    return {t.task_id: OpenTask(uuid4(), t.task_id, t.key, t.priority, t.shown_version) for t in tasks}


def test_our_order_served_is_well() -> None:
    assert order.scores("pets", SERVED, OURS, V).level is Level.OK
    assert order.order("pets", SERVED, OURS, V).level is Level.OK
    assert order.order("pets", [], [], V).level is Level.OK
    assert order.order("pets", SERVED[1:], OURS, V).level is Level.OK, "one was answered meanwhile"


def test_another_order_is_measured_and_its_first_place_named() -> None:
    wrong = [SERVED[0], replace(SERVED[2], score=0.2), replace(SERVED[1], score=0.3)]
    assert is_fault(order.order("pets", wrong, OURS, V), "Spearman 0.50", "place 2", "task 12", "expected task 11")
    assert is_fault(order.scores("pets", wrong, OURS, V), "2 of 3", "a different order score than ours")
    tied = [SERVED[0], *(replace(task, score=0.5) for task in SERVED[1:])]
    assert is_fault(order.order("pets", tied, OURS, V), "Spearman 0.87", "in any order"), "ours by chance"
    flat = [replace(task, score=None) for task in reversed(SERVED)]
    assert is_fault(order.order("pets", flat, OURS, V), "all order scores are equal")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"versions": ()}, "no prediction of 'pipeline'"),
        ({"versions": ("v9",), "score": None}, "no prediction of 'pipeline'"),
        ({"score": None}, "has no order score"),
        ({"score": order_score(0.6)}, "the order score of another"),
        ({"score": 0.123}, "a different order score than ours"),
    ],
)
def test_a_score_that_cannot_rank_is_a_fault_and_is_mended(change: dict[str, object], says: str) -> None:
    served = [*SERVED[:2], replace(SERVED[2], **change)]  # type: ignore[arg-type]
    assert is_fault(order.scores("pets", served, OURS, V), says)
    rows = open_tasks(OURS)
    assert to_mend(served, rows, V) == [12]
    assert to_mend(SERVED, rows, V) == []


def test_a_renewal_on_its_way_is_no_fault() -> None:
    """Its new predictions stand beside the old ones, and its places are those of the next version."""
    half = [replace(OURS[0], priority=0.1, shown_version="next"), *OURS[1:]]
    served = [replace(SERVED[0], versions=(V, "next")), *SERVED[1:]]
    assert order.scores("pets", served, half, V).level is Level.OK
    assert "1 more tasks await" in order.order("pets", served, half, V).says
    assert to_mend(served, open_tasks(half), V) == []


def test_more_than_one_member_makes_the_order_random() -> None:
    assert is_fault(order.members("pets", 2), "2 members")
    assert order.members("pets", 1).level is Level.OK
    assert order.members("pets", None).level is Level.OK


numbers = st.lists(st.tuples(*[st.integers(0, 6).map(float)] * 2), min_size=2, max_size=30)


@given(numbers)
def test_spearman_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    ours = order.spearman(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(stats.spearmanr(a, b).statistic)


@given(st.permutations(range(6)))
def test_the_first_out_of_place_is_none_in_order_and_never_the_last(found: list[int]) -> None:
    first = order.first_out_of_place(range(6), found)
    assert (first is None) == (found == list(range(6)))
    assert first is None or (first < 5 and found[:first] == list(range(first)))
