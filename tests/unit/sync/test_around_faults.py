"""Reading around tasks at which Label Studio fails: nothing is searched for twice, and no list hides a known one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from labelloop.errors import Unreachable
from labelloop.labelstudio.answers import FAULT
from labelloop.labelstudio.faults import MOST_FAULTS, around_faults
from labelloop.reading.ids import TaskId


class Failed(Exception):
    status_code = 500


class Lists:
    """The tasks 1 to 60 of a Label Studio that answers 500 to every list with one of `faulty`."""

    def __init__(self, faulty: Collection[int], shown: Collection[int] = range(1, 61)) -> None:
        self.faulty, self.shown, self.requests = set(faulty), shown, 0

    def __call__(self, after: int, n: int, up_to: int | None = None, without: Collection[TaskId] = ()) -> list[Any]:
        self.requests += 1
        found = [id_ for id_ in self.shown if after < id_ and (up_to is None or id_ <= up_to) and id_ not in without][
            :n
        ]
        if self.faulty & set(found):
            raise Unreachable("Label Studio answered 500") from Failed()
        return [{"id": id_} for id_ in found]


def test_more_faulty_tasks_than_may_be_searched_for_are_read_around_if_they_are_known() -> None:
    faulty = range(2, 2 + 2 * (MOST_FAULTS + 4), 2)
    known = {TaskId(id_) for id_ in faulty}
    page = around_faults(Lists(faulty), TaskId(0), 60, known)
    assert [item["id"] for item in page if FAULT in item] == list(faulty)
    assert [item["id"] for item in page] == list(range(1, 61))
    with pytest.raises(Unreachable):
        around_faults(Lists(faulty), TaskId(0), 60, set())


def test_a_list_without_a_known_task_does_not_forget_it() -> None:
    known = {TaskId(7), TaskId(9)}
    others = Lists([7, 9], shown=[8, 9, 10])
    assert [item["id"] for item in around_faults(others, TaskId(0), 60, known)] == [8, 9, 10]
    assert known == {7, 9}
    mended = Lists([9])
    around_faults(mended, TaskId(0), 60, known)
    assert known == {9}
