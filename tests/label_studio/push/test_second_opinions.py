"""Second opinions on the real Label Studio: each is asked of one more person, once, and resolves to one answer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from labelloop.store.database import Database
from labelloop.store.tables import prelabels, versions
from labelloop.store.tables.prelabels import Prelabel
from labelloop.versions.version import Stage
from sync.push.batches import PushReport
from sync.push.second import ask, reopen
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.spec = loop.spec.model_copy(
            update={"queue": loop.spec.queue.model_copy(update={"second": 0.5, "window": 10})}
        )
        yield loop


@pytest.fixture
def anne(label_studio: LabelStudio) -> httpx.Client:
    return label_studio.sign_up("anne@second.example.org")[1]


def answered(loop: SyncLoop, anne: httpx.Client, n: int = 3) -> list[str]:
    """Keys of outputs that Anne has answered with `cat`; the first is the most doubtful, the last is not doubtful."""
    keys = loop.submit(n)
    loop.push()
    for key in keys:
        loop.annotate(loop.task_of(key)["id"], "cat", web=anne)
    loop.pull()
    assert loop.states() == {"answered": n}
    for i, key in enumerate(keys):
        doubt(loop, key, 0.9 if i == 0 else 0.6 if i < n - 1 else 0.1)
    return keys


def doubt(loop: SyncLoop, key: str, doubt: float) -> None:
    loop.do(
        "insert into doubts (output_id, loop, doubt, champion, ranker)"
        f" select id, loop, {doubt}, 'v', 'v' from outputs where key = '{key}'"
    )


def answers(loop: SyncLoop, key: str) -> list[tuple[str | None, int]]:
    rows = loop.sql(
        "select a.label, a.reviewers from answers a join outputs o on o.id = a.output_id where o.key = %(key)s"
        " order by seq",
        key=key,
    )
    return [(row["label"], row["reviewers"]) for row in rows]


def state(loop: SyncLoop, key: str) -> str:
    return str(loop.sql("select state::text from outputs where key = %(key)s", key=key)[0]["state"])


def test_a_doubtful_answer_is_asked_of_another_person_and_not_of_the_first(loop: SyncLoop, anne: httpx.Client) -> None:
    first, second, sure = answered(loop, anne)
    assert loop.push() == PushReport(asked_again=2)
    assert [state(loop, key) for key in (first, second, sure)] == ["in_review", "in_review", "answered"]
    assert loop.next_task(anne) is None
    served = loop.next_task()
    assert served is not None
    assert served["data"]["labelloop_key"] in (first, second)
    assert served["annotations"] == [], "who answers does not see what the other said"
    assert loop.push() == PushReport(), "those are on their way"
    assert answers(loop, first) == [("cat", 1)], "the first answer stands until the second is there"

    loop.annotate(loop.task_of(first)["id"], "cat")
    loop.annotate(loop.task_of(second)["id"], "dog")
    loop.pull()
    assert loop.states() == {"answered": 3}
    assert answers(loop, first) == [("cat", 1), ("cat", 2)]
    assert answers(loop, second) == [("cat", 1), (None, 2)], "people who disagree are no answer"
    assert loop.push() == PushReport(), "nobody is asked a third time"
    assert loop.next_task() is None


def test_what_label_studio_was_not_told_or_has_undone_it_is_told_again(loop: SyncLoop, anne: httpx.Client) -> None:
    [key, *_] = answered(loop, anne, 2)
    [row] = loop.sql("select id from outputs where key = %(key)s", key=key)
    assert ask(loop.database, loop.spec, [row["id"]]) == 1
    assert ask(loop.database, loop.spec, [row["id"]]) == 0, "a second call changes nothing"
    # ... here the pusher was killed.
    assert loop.next_task() is None
    loop.push()
    assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (2, False)

    told = loop.task_of(key)["updated_at"]
    reopen(loop.database, loop.gateway, loop.spec, loop.project)
    assert loop.task_of(key)["updated_at"] == told, "it is not told what it knows"

    for overlap in (3, 1):  # somebody changes it for the whole project
        loop.web.patch(
            f"/api/projects/{loop.project_id}/", json={"maximum_annotations": overlap, "overlap_cohort_percentage": 100}
        ).raise_for_status()
    assert loop.task_of(key)["overlap"] == 1
    loop.push()
    assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (2, False)


def test_a_task_that_is_asked_again_stays_open_when_others_come_in(loop: SyncLoop, anne: httpx.Client) -> None:
    [key, *_] = answered(loop, anne, 2)
    assert loop.push() == PushReport(asked_again=1)
    others = loop.submit(3)
    assert loop.push() == PushReport(pushed=3)
    loop.annotate(loop.task_of(others[0])["id"], "dog", web=anne)
    assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (2, False)
    assert loop.task_of(others[1])["overlap"] == 1
    loop.pull()
    assert loop.states() == {"answered": 2, "in_review": 3}


def test_where_nobody_gives_second_opinions_they_do_not_fill_the_window(loop: SyncLoop, anne: httpx.Client) -> None:
    keys = answered(loop, anne, 9)
    loop.submit(20)
    for key in keys:
        loop.do(f"update doubts set doubt = 0.8 where output_id = (select id from outputs where key = '{key}')")
    report = loop.push()
    assert report == PushReport(pushed=5, asked_again=5), "half of a window of 10"
    assert loop.push() == PushReport()


def test_a_second_opinion_that_is_skipped_keeps_no_other_from_being_asked(loop: SyncLoop, anne: httpx.Client) -> None:
    first, second, _ = answered(loop, anne)
    queue = loop.spec.queue.model_copy(update={"second": 0.2, "window": 5})
    loop.spec = loop.spec.model_copy(update={"queue": queue})
    assert loop.push() == PushReport(asked_again=1)
    assert loop.push() == PushReport(), "one at a time"
    loop.annotate(loop.task_of(first)["id"], "cat", skip=True)
    loop.pull()
    assert loop.push() == PushReport(asked_again=1)
    assert [state(loop, key) for key in (first, second)] == ["in_review", "in_review"]
    assert loop.push() == PushReport()


def test_an_answer_that_is_taken_back_meanwhile_waits_for_two(loop: SyncLoop, anne: httpx.Client) -> None:
    [key, *_] = answered(loop, anne, 2)
    loop.push()
    [hers] = loop.task_of(key)["annotations"]
    loop.edit(hers["id"], "eel", web=anne)
    loop.pull()
    assert (state(loop, key), answers(loop, key)[-1]) == ("in_review", ("eel", 1))
    loop.web.delete(f"/api/annotations/{hers['id']}/").raise_for_status()
    loop.pull(full=True)
    assert (state(loop, key), answers(loop, key)[-1]) == ("in_review", (None, 0))
    loop.annotate(loop.task_of(key)["id"], "dog")
    loop.pull()
    assert (state(loop, key), answers(loop, key)[-1]) == ("in_review", ("dog", 1))
    loop.annotate(loop.task_of(key)["id"], "dog", web=anne)
    loop.pull()
    assert (state(loop, key), answers(loop, key)[-1]) == ("answered", ("dog", 2))


def test_a_second_opinion_after_a_promotion_has_the_champions_version_and_not_its_guess(
    loop: SyncLoop, anne: httpx.Client
) -> None:
    """An answered task keeps an old prediction, and Label Studio ranks by the predictions of one version only."""
    champion = "c" * 64
    [key, *_] = answered(loop, anne, 2)
    with loop.database.transaction() as conn:
        versions.insert(conn, loop.spec.name, champion, learner="text", classes=["dog"], size_bytes=1, trained_on=1)
        versions.set_stage(conn, champion, Stage.CHAMPION)
        versions.record_promotion(
            conn, loop.spec.name, epoch=1, version_id=champion, previous_id=None, by="a test", why="to see"
        )
    loop.submit(2)
    loop.do("delete from procrastinate_jobs")
    assert loop.push() == PushReport(pushed=2, asked_again=1)
    assert "backend.prelabel" in {row["task_name"] for row in loop.sql("select task_name from procrastinate_jobs")}
    with loop.database.transaction() as conn:  # as the backend's worker does
        rows = conn.execute("select id from outputs where state = 'in_review'").fetchall()
        prelabels.write(conn, [Prelabel(row["id"], 0.5, "dog", 0.9, champion[:12], champion[:12]) for row in rows])
    assert loop.push() == PushReport(renewed=1)
    served = []
    while (task := loop.next_task()) is not None:
        served.append(task["data"]["labelloop_key"])
        assert task["predictions"][0]["model_version"] == champion[:12]
        if task["data"]["labelloop_key"] == key:  # the champion may have learned Anne's answer: the pipeline's is shown
            assert task["predictions"][0]["result"][0]["value"]["choices"] == ["cat"]
        loop.annotate(task["id"], "dog")
    assert key in served
    assert len(served) == 3
