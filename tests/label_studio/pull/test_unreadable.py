"""Unreadable answers, on the real Label Studio: they count nowhere, are reported everywhere, and are asked again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from backend.report.loops import loop_report, overview_report
from console.doctor import answers as doctor
from console.doctor.findings import Level
from labelloop.store.database import Database
from labelloop.store.questions import figures, new_answers, people
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import projects, unreadable
from labelloop.store.tables import tasks as task_store
from sync.service import create_app
from tests.support.raw_answers import answers, change, give, reasons
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, SyncLoop, region, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


@pytest.fixture
def anne(label_studio: LabelStudio) -> httpx.Client:
    return label_studio.sign_up("anne@unreadable.example.org")[1]


@pytest.fixture
def ben(label_studio: LabelStudio) -> httpx.Client:
    return label_studio.sign_up("ben@unreadable.example.org")[1]


def served(loop: SyncLoop, web: httpx.Client) -> list[str]:
    """Keys in the order in which Label Studio serves them to somebody who answers `cat` to all."""
    keys = []
    while (task := loop.next_task(web)) is not None:
        keys.append(task["data"]["labelloop_key"])
        loop.annotate(task["id"], "cat", web=web)
    return keys


def test_an_empty_submit_counts_nowhere_and_is_asked_of_somebody_else(
    loop: SyncLoop, anne: httpx.Client, ben: httpx.Client
) -> None:
    [key] = loop.submit(1)
    loop.push()
    give(loop, key, [], anne)
    loop.pull()
    assert loop.states() == {"in_review": 1}
    assert answers(loop) == []
    assert loop.sql("select * from feedback") == []
    assert reasons(loop) == ["Choices 'label': nothing was given"]
    intake = create_app(replace(loop.settings, intake_token="s"), loop.database).test_client()
    status = intake.get(f"/v1/loops/pets/outputs/{key}", headers={"Authorization": "Bearer s"}).get_json()
    assert (status["state"], status["unreadable"]) == ("in_review", ["Choices 'label': nothing was given"])
    with loop.database.transaction() as conn:
        assert unreadable.outputs(conn, "pets") == 1
        assert figures.lost_between_hops(conn, "pets", 1) == 0
        assert new_answers.count(conn, "pets") == 0
        [anne_] = people.work(conn, "pets")
        assert (anne_.answered, anne_.unreadable, anne_.median_s) == (0, 1, None)
        summary = overview_report(conn)["loops"][0]
        assert (summary["unreadable"], summary["answered"], summary["response"]["answers"]) == (1, 0, 0)
        assert summary["needs_you"] == []
        [shown] = loop_report(conn, "pets", label_studio_url="http://studio")["unreadable_answers"]
        assert (shown["key"], shown["reviewer"], shown["again"]) == (key, "anne", True)
        assert shown["task"] == f"http://studio/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}"
        found = doctor.unreadable("pets", unreadable.list_(conn, "pets"))
    assert found.level is Level.HINT
    assert "1 cannot be read, and somebody else is asked: Choices 'label': nothing was given (1)" in found.says
    assert f"/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}" in found.says

    assert loop.next_task(ben) is None, "Label Studio takes it for answered"
    loop.push()
    assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (2, False)
    assert loop.next_task(anne) is None
    assert served(loop, ben) == [key]
    loop.pull()
    loop.push()
    assert loop.states() == {"answered": 1}
    assert answers(loop) == [("cat", 1)]
    behind = loop.sql("select reviewer from answer_sources")
    assert [row["reviewer"] for row in behind] == ["ben@unreadable.example.org"]
    with loop.database.transaction() as conn:
        assert unreadable.outputs(conn, "pets") == 0
        assert unreadable.list_(conn, "pets") == []


def test_an_unreadable_answer_is_asked_of_at_most_two_more_people(
    loop: SyncLoop, anne: httpx.Client, ben: httpx.Client
) -> None:
    [key] = loop.submit(1)
    loop.push()
    for web in (anne, ben):
        give(loop, key, [], web)
        loop.pull()
        loop.push()
        assert loop.next_task(loop.web) is not None
    give(loop, key, [])
    loop.pull()
    loop.push()
    assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (3, True)
    told = loop.task_of(key)["updated_at"]
    loop.push()
    assert loop.task_of(key)["updated_at"] == told
    assert loop.states() == {"in_review": 1}
    loop.spec = loop.spec.model_copy(update={"queue": loop.spec.queue.model_copy(update={"window": 1})})
    loop.submit(1)
    assert loop.push().pushed == 1, "what nobody is asked any more fills no place of the window"
    with loop.database.transaction() as conn:
        found = doctor.unreadable("pets", unreadable.list_(conn, "pets"))
        [needed] = overview_report(conn)["loops"][0]["needs_you"]
    assert needed["what"].startswith("3 answers cannot be read, and nobody else is asked")
    assert found.level is Level.FAULT
    assert found.says.startswith("3 cannot be read, and nobody else is asked")
    assert f"task={loop.task_of(key)['id']}" in found.repair


def test_an_edit_makes_it_an_answer_and_another_takes_it_back(loop: SyncLoop, anne: httpx.Client) -> None:
    [key] = loop.submit(1)
    loop.push()
    hers = give(loop, key, [], anne)
    loop.pull()
    loop.push()
    change(loop, hers, region("cat"), anne)
    loop.pull()
    assert (loop.states(), reasons(loop), answers(loop)) == ({"answered": 1}, [], [("cat", 1)])
    loop.push()
    assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (1, True), "nobody else is asked now"

    change(loop, hers, region("cow"), anne)
    loop.pull()
    assert loop.states() == {"in_review": 1}
    assert loop.sql("select * from feedback") == []
    assert answers(loop) == [("cat", 1), (None, 0)]
    assert reasons(loop) == ["Choices 'label': 'cow' was given, but labels.xml has no such label"]
    with loop.database.transaction() as conn:
        assert feedback_store.reviewers(conn, loop.project.instance), "who answered is still known"


def test_a_label_that_the_form_lacks_is_read_when_the_form_has_it(loop: SyncLoop, anne: httpx.Client) -> None:
    renamed, fine = loop.submit(2)
    loop.push()
    other = XML.replace('value="eel"', 'value="Eel"')
    give(loop, renamed, region("Eel"), anne)
    give(loop, fine, region("cat"), anne)
    loop.pull()
    assert reasons(loop) == ["Choices 'label': 'Eel' was given, but labels.xml has no such label"]
    assert answers(loop) == [("cat", 1)]
    loop.push()
    assert loop.task_of(renamed)["overlap"] == 1, "another person would be asked with a form that lacks it too"
    with loop.database.transaction() as conn:
        found = doctor.unreadable("pets", unreadable.list_(conn, "pets"))
    assert found.level is Level.FAULT
    assert "labels.xml" in found.repair

    loop.pull()
    assert answers(loop) == [("cat", 1)], "it is not read again with the form that it was read with"
    loop.spec = loop.spec.model_copy(update={"labels_xml": other})
    report = loop.pull()
    assert (report.outputs, report.answers) == (1, 1)
    assert answers(loop) == [("cat", 1), ("Eel", 1)]
    assert (loop.states(), reasons(loop)) == ({"answered": 2}, [])


def test_only_the_readable_one_of_two_answers_counts(
    database: Database, label_studio: LabelStudio, anne: httpx.Client, ben: httpx.Client
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2) as loop:
        [key] = loop.submit(1)
        loop.push()
        give(loop, key, [], anne)
        give(loop, key, region("dog"), ben)
        loop.pull()
        loop.push()
        assert (loop.states(), answers(loop)) == ({"in_review": 1}, [])
        assert (loop.task_of(key)["overlap"], loop.task_of(key)["is_labeled"]) == (3, False)
        give(loop, key, region("dog"))
        loop.pull()
        assert answers(loop) == [("dog", 2)]
        assert [row["agreement"] for row in loop.sql("select agreement from answers")] == [1.0]
        assert len(loop.sql("select * from answer_sources")) == 2


def test_an_answer_whose_author_was_deleted_before_it_was_pulled_is_asked_again(
    loop: SyncLoop, label_studio: LabelStudio, anne: httpx.Client
) -> None:
    gone = label_studio.sign_up("gone@unreadable.example.org")[1]
    [key] = loop.submit(1)
    loop.push()
    give(loop, key, region("cat"), gone)
    user = gone.get("/api/current-user/whoami").json()["id"]
    loop.web.delete(f"/api/users/{user}/").raise_for_status()
    loop.pull()
    assert loop.states() == {"in_review": 1}
    assert "deleted in Label Studio" in reasons(loop)[0]
    loop.push()
    assert served(loop, anne) == [key]


def test_an_output_whose_project_was_lost_is_asked_anew_as_if_nobody_had_been_asked(
    loop: SyncLoop, anne: httpx.Client
) -> None:
    [key] = loop.submit(1)
    loop.push()
    give(loop, key, [], anne)
    loop.pull()
    with loop.database.transaction() as conn:
        assert task_store.wait_again(conn, "pets", "a test") == 1
    assert reasons(loop) == []
    assert loop.push().pushed == 1
    newest = max(loop.tasks(), key=lambda task: task["id"])
    assert (newest["data"]["labelloop_key"], newest["overlap"]) == (key, 1)


def test_the_answer_of_a_project_that_was_lost_stays_when_the_form_changes(
    loop: SyncLoop, anne: httpx.Client, ben: httpx.Client
) -> None:
    """An unreadable answer of the current project is read again; those of the lost project stay as they are."""
    [key] = loop.submit(1)
    loop.push()
    give(loop, key, [], anne)
    give(loop, key, region("cat"), ben)
    loop.pull()
    assert (loop.states(), answers(loop), len(reasons(loop))) == ({"answered": 1}, [("cat", 1)], 1)
    with loop.database.transaction() as conn:
        task_store.wait_again(conn, "pets", "a test")
        projects.replace(conn, "pets", b"another key")
    loop.spec = loop.spec.model_copy(update={"labels_xml": XML.replace("eel", "emu")})
    loop.push()
    loop.pull()
    assert (loop.states(), answers(loop)) == ({"answered": 1}, [("cat", 1)])
    assert len(loop.sql("select * from feedback")) == 1


def test_answers_that_an_older_labelloop_took_are_read_again(loop: SyncLoop, anne: httpx.Client) -> None:
    """As the migration leaves it: answered without a label, and noted as read with no form."""
    [key] = loop.submit(1)
    loop.push()
    give(loop, key, [], anne)
    loop.pull()
    loop.do(
        """
        insert into feedback (model_output_id, reviewer_id, annotation_id, created_at, updated_at)
            select output_id, reviewer_id, 1, now(), now() from unreadable;
        insert into answers (output_id, loop, reviewers) select output_id, loop, 1 from unreadable;
        update outputs set state = 'answered';
        update unreadable set form = '', reason = 'not read again yet', ask = false
        """
    )
    loop.pull()
    assert loop.states() == {"in_review": 1}
    assert reasons(loop) == ["Choices 'label': nothing was given"]
    assert loop.sql("select * from feedback") == []
