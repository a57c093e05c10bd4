"""A sync worker that is killed during a try loses no delivery: the next worker sends it again, with the same id."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labelloop.store.database import Database
from tests.support.backend_factory import settings_for
from tests.support.hops.callbacks import Desk
from tests.support.network.receiver import receiver
from tests.support.sync_loop import wait_until
from tests.support.workers.sync_worker import Worker


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(database: Database, tmp_path: Path) -> None:
    settings = replace(
        settings_for(database.url, tmp_path),
        label_studio_url="http://127.0.0.1:1",
        label_studio_token="none",
        callback_private="127.0.0.0/8",
    )
    desk = Desk(database)
    with receiver() as there:
        _, secret = desk.callback(there.url("/held"))
        ids = [desk.submit(f"key {i}") for i in range(4)]
        for id_ in ids:
            desk.answer(id_, "dog")
        first = Worker(settings)
        wait_until(lambda: there.arrived, what="a first try")
        first.kill()
        assert desk.states() == ["pending"] * 4
        there.open.set()
        desk.later(0.02)  # longer than a lease
        second = Worker(settings)
        try:
            wait_until(lambda: desk.states() == ["delivered"] * 4, what="the delivery of all")
        finally:
            second.kill()
        first_body, *again = [one.body for one in there.arrived if one.id == there.arrived[0].id]
        assert again == [first_body], "the same delivery, once more"
        assert len({one.id for one in there.arrived}) == 4
        assert {one.verified(secret)["data"]["key"] for one in there.arrived} == {f"key {i}" for i in range(4)}
