"""A skip in the real Label Studio is the person's: others are asked about the item, and this person never again."""

from __future__ import annotations

import httpx

from console.doctor.findings import Level
from console.doctor.project import sampling
from labelloop.store.database import Database
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, change, sync_loop


def served(loop: SyncLoop, web: httpx.Client) -> str | None:
    task = loop.next_task(web)
    return None if task is None else str(task["data"]["labelloop_key"])


def test_a_skip_leaves_the_item_to_others_whatever_somebody_sets_in_label_studio(
    database: Database, label_studio: LabelStudio
) -> None:
    anne, ben, carla = [label_studio.sign_up(f"{name}@skips.example.org")[1] for name in ("anne", "ben", "carla")]
    with sync_loop(database, label_studio.url, label_studio.token) as loop:

        def set_(rule: str) -> None:
            loop.web.patch(f"/api/projects/{loop.project_id}/", json={"skip_queue": rule}).raise_for_status()

        def skip(key: str, web: httpx.Client) -> None:
            loop.annotate(loop.task_of(key)["id"], "cat", web=web, skip=True)
            loop.pull()
            loop.push()

        [one] = loop.submit(1)
        loop.push()
        assert loop.gateway.project(loop.project_id).skip_queue == "REQUEUE_FOR_OTHERS"
        skip(one, anne)
        assert (served(loop, anne), loop.states()) == (None, {"in_review": 1})

        for rule in ("IGNORE_SKIPPED", "REQUEUE_FOR_ME"):
            set_(rule)
            assert sampling("pets", loop.gateway.project(loop.project_id), 1).level is Level.FAULT
            loop.push()
            assert sampling("pets", loop.gateway.project(loop.project_id), 1).level is Level.OK
            assert (served(loop, anne), served(loop, ben)) == (None, one)
        set_("IGNORE_SKIPPED")
        skip(one, carla)  # the task is over for Label Studio, until the push
        assert [served(loop, web) for web in (anne, carla, ben)] == [None, None, one]
        loop.annotate(loop.task_of(one)["id"], "dog", web=ben)
        loop.pull()
        assert loop.states() == {"answered": 1}

        # a skip takes nobody's place if two people are asked
        change(loop, overlap=2)
        [two] = loop.submit(1)
        loop.push()
        skip(two, anne)
        loop.annotate(loop.task_of(two)["id"], "cat", web=ben)
        loop.pull()
        loop.push()
        assert (served(loop, anne), served(loop, ben), served(loop, carla)) == (None, None, two)
        loop.annotate(loop.task_of(two)["id"], "cat", web=carla)
        loop.pull()
        assert loop.states() == {"answered": 2}
        assert [row["reviewers"] for row in loop.sql("select reviewers from answers order by seq")] == [1, 2]
