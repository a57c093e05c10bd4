"""A changed `overlap` in the real Label Studio: only what is missing is asked, and no answer is unsettled."""

from __future__ import annotations

import httpx
import pytest

from labelloop.store.database import Database
from sync.project.asks import is_told
from sync.pull.opinions import settle_opinions
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Recorder, SyncLoop, change, sync_loop

Answers = dict[str, tuple[str | None, int, int]]


def answers(loop: SyncLoop) -> Answers:
    """Return by key the newest answer, its people, and the number of answers that there ever were."""
    rows = loop.sql(
        "select o.key, (array_agg(a.label order by a.seq desc))[1] as label,"
        " (array_agg(a.reviewers order by a.seq desc))[1] as people, count(*) as n"
        " from answers a join outputs o on o.id = a.output_id group by o.key"
    )
    return {row["key"]: (row["label"], row["people"], row["n"]) for row in rows}


def state(loop: SyncLoop, key: str) -> str:
    return str(loop.sql("select state::text from outputs where key = %(key)s", key=key)[0]["state"])


def work(loop: SyncLoop, web: httpx.Client, label: str = "cat", at_most: int = 20) -> list[str]:
    """Answer all that Label Studio serves to this person; return the keys."""
    keys: list[str] = []
    while len(keys) < at_most and (task := loop.next_task(web)) is not None:
        keys.append(task["data"]["labelloop_key"])
        loop.annotate(task["id"], label, web=web)
    return sorted(keys)


@pytest.mark.timeout(300)
def test_only_missing_answers_are_asked_and_nothing_is_unsettled(database: Database, label_studio: LabelStudio) -> None:
    anne, ben, carla = [label_studio.sign_up(f"{name}@overlap.example.org")[1] for name in ("anne", "ben", "carla")]
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        first = sorted(loop.submit(2))
        loop.push()
        hers = {task["data"]["labelloop_key"]: loop.annotate(task["id"], "dog", web=anne) for task in loop.tasks()}
        loop.pull()

        # from one person to two, while nothing is open
        change(loop, overlap=2)
        loop.push()
        assert is_told(database, loop.spec)
        assert work(loop, ben) == [], "answered by one person, when that was enough"
        second = sorted(loop.submit(3))
        loop.push()
        assert work(loop, ben) == second
        change(loop, overlap=1)
        loop.push()
        loop.pull()
        assert loop.states() == {"answered": 5}, "one person is enough again"
        assert work(loop, carla) == []

        # from one to two to three, while some are open
        third = sorted(loop.submit(3))
        loop.push()
        loop.annotate(loop.task_of(third[0])["id"], "cat", web=anne)
        change(loop, overlap=2)
        loop.push()
        loop.pull()
        assert (state(loop, third[0]), answers(loop).get(third[0])) == ("in_review", None), "it came after the change"
        assert work(loop, ben) == third
        assert work(loop, carla) == third[1:], "the first one has two answers"
        loop.pull()
        change(loop, overlap=3)
        loop.push()
        assert loop.states() == {"answered": 8}, "two were enough for the answers that came before"
        before = answers(loop)
        assert [work(loop, web) for web in (anne, ben, carla)] == [[], [], []]

        loop.edit(hers[first[0]], "eel", web=anne)
        loop.pull()
        assert (state(loop, first[0]), answers(loop)[first[0]]) == ("answered", ("eel", 1, 2)), "she changed her mind"
        assert {key: said for key, said in answers(loop).items() if key != first[0]} == {
            key: said for key, said in before.items() if key != first[0]
        }

        # from three to one: what has enough is settled, and who still has it open loses nothing
        last = sorted(loop.submit(2))
        loop.push()
        loop.annotate(loop.task_of(last[0])["id"], "cat", web=ben)
        loop.pull()
        open_in_her_browser = loop.task_of(last[0])["id"]
        change(loop, overlap=1)
        loop.push()
        assert (state(loop, last[0]), answers(loop)[last[0]]) == ("answered", ("cat", 1, 1))
        assert state(loop, last[1]) == "in_review", "nobody has answered it"
        loop.annotate(open_in_her_browser, "cat", web=carla)
        loop.pull()
        assert answers(loop)[last[0]] == ("cat", 2, 2)
        assert work(loop, anne) == [last[1]]
        loop.pull()
        loop.push()
        assert loop.states() == {"answered": 10}
        assert [work(loop, web) for web in (anne, ben, carla)] == [[], [], []]
        # 2 by one person, 3 by one, 3 by two, 2 by one, and the one that was open in a browser
        assert len(loop.sql("select 1 from feedback")) == 2 + 3 + 6 + 2 + 1
        assert not settle_opinions(database, loop.spec).answers


def test_a_killed_change_is_completed_and_one_in_label_studio_is_undone(
    database: Database, label_studio: LabelStudio
) -> None:
    ben = label_studio.sign_up("ben@killed.example.org")[1]
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        one, other = sorted(loop.submit(2))
        loop.push()
        loop.annotate(loop.task_of(one)["id"], "dog")
        loop.pull()
        change(loop, overlap=2)

        class Killed(Recorder):
            def reopen_task(self, *_: object, **__: object) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loop.push(Killed(label_studio.url, label_studio.token))
        assert not is_told(database, loop.spec)
        loop.push()
        assert is_told(database, loop.spec)
        assert {key: (task["overlap"], task["is_labeled"]) for key in (one, other) if (task := loop.task_of(key))} == {
            one: (1, True),
            other: (2, False),
        }

        loop.web.patch(f"/api/projects/{loop.project_id}/", json={"maximum_annotations": 3}).raise_for_status()
        loop.connect()
        assert work(loop, ben) == [other]
        assert work(loop, loop.web) == [other]
        loop.pull()
        assert loop.states() == {"answered": 2}
