"""Push, on the real Label Studio and the real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelloop.errors import Ambiguous, Failed, Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.reading.ids import TaskId
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.questions import health
from labelloop.store.tables import batches, jobs, loops, pool
from sync.intake.status import statuses
from sync.push.batches import PushReport, adopt
from sync.worker import SyncJobs
from tests.support.network.faultproxy import Proxy, proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


@pytest.fixture
def faults(label_studio: LabelStudio) -> Iterator[Proxy]:
    with proxy(label_studio.url) as server:
        yield server


@pytest.fixture
def shaky(faults: Proxy, database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    """A loop that sees Label Studio through the proxy; its project is there already."""
    with sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop:
        loop.push()
        yield loop


def test_push_twice_is_push_once(loop: SyncLoop) -> None:
    loop.submit(7)
    assert loop.push() == PushReport(pushed=7)
    assert loop.push() == PushReport()
    assert loop.tasks_an_output() == [1] * 7
    assert loop.states() == {"in_review": 7}


def test_the_window_holds_the_most_useful_and_is_filled_again(loop: SyncLoop) -> None:
    spec = loop.spec
    loop.spec = spec.model_copy(update={"queue": spec.queue.model_copy(update={"window": 3, "diversity": 0.0})})
    keys = loop.submit(5, confidences=[0.7, 0.5, 0.6, 0.4, 0.55])
    loop.push()
    assert {task["data"]["labelloop_key"] for task in loop.tasks()} == {keys[i] for i in (3, 1, 4)}

    loop.annotate(loop.task_of(keys[3])["id"], "dog")
    loop.pull()
    loop.push()
    assert {task["data"]["labelloop_key"] for task in loop.tasks()} == {keys[i] for i in (3, 1, 4, 2)}


def test_near_duplicates_are_not_in_the_window_together(loop: SyncLoop) -> None:
    """The most useful forty say the same but for a number; twelve others are worth less, and differ."""
    spec = loop.spec
    loop.spec = spec.model_copy(update={"queue": spec.queue.model_copy(update={"window": 6})})
    order = "please cancel the order number {} that I placed on your site last week, and send me my money back"
    alike = [loop.submit(1, confidences=[0.4], data={"text": order.format(1000 + i)})[0] for i in range(40)]
    subjects = "lions rivers bread chess winter trains violins maps bees glass castles storms".split()
    for subject in subjects:
        loop.submit(1, confidences=[0.6], data={"text": f"everything about {subject}: {subject} here, {subject} there"})
    assert loop.push() == PushReport(pushed=6)
    tasks = loop.tasks()
    [one] = [task for task in tasks if task["data"]["labelloop_key"] in alike]
    assert one["data"]["labelloop_why"] == "The model hesitates between cat (40 %) and dog (36 %)", "why they are asked"
    assert one["data"]["labelloop_statistic"] == "least_confidence 0.60; 39 near-duplicates are waiting"
    assert loop.push() == PushReport(), "what is more useful, but nearly the same, is not better"

    for task in tasks:
        loop.annotate(task["id"], "cat")
    loop.pull()
    assert loop.push() == PushReport(pushed=6)
    assert sum(task["data"]["labelloop_key"] in alike for task in loop.tasks()) == 1, "nor is it asked soon after"


def test_a_skipped_output_leaves_its_place_to_another(loop: SyncLoop) -> None:
    spec = loop.spec
    loop.spec = spec.model_copy(update={"queue": spec.queue.model_copy(update={"window": 3})})
    loop.submit(6)
    assert loop.push() == PushReport(pushed=3)
    skipped = []
    while (task := loop.next_task()) is not None:
        skipped.append(task["id"])
        loop.annotate(task["id"], "cat", skip=True)
    loop.do("delete from procrastinate_jobs")
    loop.pull()
    assert [row["task_name"] for row in loop.sql("select task_name from procrastinate_jobs")] == [jobs.PUSH]
    assert loop.push() == PushReport(pushed=3)
    assert loop.push() == PushReport()
    assert loop.states() == {"in_review": 6}
    served = loop.next_task()
    assert served is not None
    assert served["id"] not in skipped


def test_with_two_people_a_task_a_task_keeps_its_place_until_nobody_is_asked_any_more(
    database: Database, label_studio: LabelStudio
) -> None:
    """One changes the other's annotation beside his own: two stand, one reviewer spoke, and nobody is served it."""
    anne = label_studio.sign_up("anne@push.example.org")[1]
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2) as loop:
        queue = loop.spec.queue.model_copy(update={"window": 1})
        loop.spec = loop.spec.model_copy(update={"queue": queue, "reviewers_may_edit": (label_studio.email,)})
        loop.submit(2)
        loop.push()
        [task] = loop.tasks()
        hers = loop.annotate(task["id"], "cat", web=anne)
        loop.pull()
        assert loop.push() == PushReport()
        loop.annotate(task["id"], "dog")
        loop.edit(hers, "dog")
        loop.pull()
        assert loop.states() == {"in_review": 1, "waiting": 1}
        assert loop.push() == PushReport(pushed=1)


def test_people_are_served_the_most_useful_first_with_its_prelabel(loop: SyncLoop) -> None:
    confidences = [0.7, 0.45, 0.62, 0.51, 0.78, 0.4]
    keys = loop.submit(len(confidences), confidences=confidences)
    loop.push()
    served = []
    while (task := loop.next_task()) is not None:
        served.append(task["data"]["labelloop_key"])
        filled_in = [region["value"]["choices"] for region in task["predictions"][0]["result"]]
        # Neither cat 0.40 nor dog 0.36 is filled in.
        assert filled_in == ([] if served == [keys[5]] else [["cat"]])
        loop.annotate(task["id"], "cat")
    assert served == [key for _, key in sorted(zip(confidences, keys, strict=True))]


def test_a_poisoned_output_is_quarantined_and_the_others_go_in(loop: SyncLoop) -> None:
    keys = loop.submit(6)
    [bad] = loop.submit(1, data={"title": "without the text that the form shows"}, confidences=[0.5])
    keys += loop.submit(3)
    assert loop.push() == PushReport(pushed=9, quarantined=1)
    [row] = loop.sql("select state::text, state_reason from outputs where key = %(key)s", key=bad)
    assert row["state"] == "quarantined"
    assert '"text" key is expected in task data' in row["state_reason"]
    with loop.database.transaction() as conn:
        [refused] = health.refused(conn, loop.spec.name)
        told = {one["key"]: one["reason"] for one in statuses(conn, loop.spec, [*keys, bad])}
    assert (refused.key, refused.n, refused.reason) == (bad, 1, row["state_reason"])
    assert {key: reason for key, reason in told.items() if reason} == {bad: row["state_reason"]}
    assert loop.tasks_an_output() == [1] * 9
    assert loop.push() == PushReport()


def test_outputs_are_not_quarantined_if_label_studio_refuses_the_whole_batch(loop: SyncLoop) -> None:
    loop.submit(6, data={"title": "none of them has the text that the form shows"})
    for _ in range(2):
        with pytest.raises(Failed, match="takes none of 6 outputs"):
            loop.push()
    assert loop.states() == {"waiting": 6}
    assert loop.sql("select count(*) as n from pool")[0]["n"] == 6


def test_a_labeling_config_that_was_changed_in_label_studio_poisons_nothing(loop: SyncLoop) -> None:
    loop.submit(3)
    loop.push()
    config = loop.spec.labels_xml.replace("$text", "$body")
    loop.web.patch(f"/api/projects/{loop.project_id}/", json={"label_config": config}).raise_for_status()
    loop.submit(3)
    with pytest.raises(Failed, match="labeling config of project"):
        loop.push()
    assert loop.states() == {"in_review": 3, "waiting": 3}


def test_a_new_form_of_the_loop_is_sent_before_the_next_tasks(loop: SyncLoop) -> None:
    """Also by a push that read the earlier spec, and without a check of the project."""
    loop.submit(1)
    loop.push()
    new = parse("pets", YAML.replace("eel", "emu"), XML.replace("eel", "emu"))
    with loop.database.transaction() as conn:
        loops.register(conn, new)
    loop.submit(1)
    assert loop.push(check=False).pushed == 1
    assert '"emu"' in loop.gateway.project(loop.project_id).labels_xml
    loop.push()
    assert '"emu"' in loop.gateway.project(loop.project_id).labels_xml, "the earlier form is not sent again"


def test_the_worker_sends_a_new_form_though_no_output_waits(loop: SyncLoop) -> None:
    worker = SyncJobs(loop.settings, loop.database, loop.gateway)
    loop.submit(1)
    worker.push("pets")
    with loop.database.transaction() as conn:
        loops.register(conn, parse("pets", YAML.replace("eel", "emu"), XML.replace("eel", "emu")))
    worker.push("pets")
    assert '"emu"' in loop.gateway.project(loop.project_id).labels_xml


def test_a_new_form_that_label_studio_refuses_keeps_tasks_out_of_the_old_form(loop: SyncLoop) -> None:
    [key] = loop.submit(1)
    loop.push()
    loop.annotate(loop.task_of(key)["id"], "eel")
    with loop.database.transaction() as conn:
        loops.register(conn, parse("pets", YAML, XML.replace('name="label"', 'name="answer"')))
    loop.submit(1)
    with pytest.raises(Failed, match="refuses the new form of loop 'pets'"):
        loop.push(check=False)
    assert loop.states()["waiting"] == 1


@pytest.mark.parametrize("fault", ["drop reply", "cut reply", "answer 502"])
def test_an_import_whose_answer_is_lost_is_adopted_not_repeated(shaky: SyncLoop, faults: Proxy, fault: str) -> None:
    shaky.submit(5)
    faults.arm(fault)
    with pytest.raises(Ambiguous):
        shaky.push()
    assert shaky.states() == {"pushing": 5}
    assert shaky.push() == PushReport(adopted=5)
    assert shaky.tasks_an_output() == [1] * 5
    assert shaky.states() == {"in_review": 5}
    assert faults.imports == 1


def test_without_a_connection_nothing_is_left_hanging(loop: SyncLoop) -> None:
    loop.push()
    loop.submit(4)
    with pytest.raises(Unreachable):
        loop.push(Gateway("http://127.0.0.1:9", loop.settings.label_studio_token))
    assert loop.states() == {"waiting": 4}
    assert loop.sql("select count(*) as n from pool")[0]["n"] == 4
    assert loop.push() == PushReport(pushed=4)


def test_a_worker_that_was_paused_does_not_send_a_batch_that_another_gave_up(loop: SyncLoop) -> None:
    loop.push()
    loop.submit(2)
    with loop.database.transaction() as conn:
        [first, second] = [row["output_id"] for row in conn.execute("select output_id from pool order by 1")]
        batch = batches.intend(conn, loop.spec.name, "pipeline", 2)
        pool.take(conn, batch, {first: 0.4, second: 0.5})
        batches.start(conn, batch)
    # ... here its owner is paused, and another pushes.
    assert loop.push() == PushReport(put_back=2, pushed=2)
    with loop.database.transaction() as conn:
        assert not batches.send(conn, batch)
        assert adopt(conn, loop.project, batch, {first: TaskId(1), second: TaskId(2)}) == (0, 0)
    assert loop.tasks_an_output() == [1, 1]


def test_a_project_whose_creation_was_not_answered_is_found_not_made_again(
    faults: Proxy, database: Database, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop:
        loop.submit(1)
        faults.strikes = "/api/projects/"
        faults.arm("drop reply")
        with pytest.raises(Ambiguous):
            loop.push()
        assert loop.push() == PushReport(pushed=1)
        assert loop.gateway.find_projects(str(loop.project.instance)) == [loop.project_id]
