"""The demo's `lost` and `duplicated` can fail: each damage that they are to show is done, and shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console.demo.figures import report
from labelloop.store.database import Database
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

DAMAGES = {
    "feedback that is gone": "delete from feedback",
    "answers that are gone": "delete from answers",
    "an output that forgot its answer": "update outputs set state = 'in_review' where state = 'answered'",
    "annotations that are gone": "delete from annotation_versions",
}


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.submit(4)
        loop.push()
        for key in keys(loop)[:3]:
            loop.annotate(loop.task_of(key)["id"], "cat")
        loop.pull()
        yield loop


def keys(loop: SyncLoop) -> list[str]:
    return [row["key"] for row in loop.sql("select key from outputs order by key")]


def figures(loop: SyncLoop, given: int = 3, more: tuple[str, ...] = ()) -> tuple[int, int]:
    shown = report(loop.database, loop.gateway, loop.spec, [*keys(loop), *more], given)
    assert shown["label_studio"] == {"tasks": 4, "annotations": 3}
    return shown["lost"], shown["duplicated"]


def test_where_all_is_well_both_are_none(loop: SyncLoop) -> None:
    assert figures(loop) == (0, 0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_row_that_is_gone_from_postgres_is_lost(loop: SyncLoop, damage: str) -> None:
    loop.do(DAMAGES[damage])
    assert figures(loop)[0] > 0


def test_an_accepted_output_or_saved_answer_that_is_nowhere_is_lost(loop: SyncLoop) -> None:
    assert figures(loop, more=("never-stored",)) == (1, 0)
    assert figures(loop, given=5) == (2, 0)


def test_a_second_answer_of_one_person_on_one_task_is_a_duplicate(loop: SyncLoop) -> None:
    loop.annotate(loop.task_of(keys(loop)[0])["id"], "cat")
    loop.pull()
    shown = report(loop.database, loop.gateway, loop.spec, keys(loop), 3)
    assert (shown["lost"], shown["duplicated"]) == (0, 1)
