"""Alerts about what people do to the work of others, on the real Label Studio with several people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from labelloop.answers.alerts import AlertKind, AlertState
from labelloop.reading.ids import TaskId
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.project.project import ensure_project
from sync.pull.pull import Memory
from sync.push.batches import PushReport
from tests.support.data.outputs import REGION
from tests.support.hops.pulled import answers
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, region, sync_loop
from tests.support.workers.team import ANNE, BEN, Team

EDITED, SPOOFED, DELETED, FORM, DATA = AlertKind


@pytest.fixture
def team(database: Database, label_studio: LabelStudio) -> Iterator[Team]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield Team(loop, label_studio.sign_up(ANNE)[1], label_studio.sign_up(BEN)[1], Memory())


def test_an_edit_by_another_person_counts_once_it_is_accepted(team: Team) -> None:
    first, second = team.tasks(2)
    mine, other = team.answer(first, "cat"), team.answer(second, "cat")
    team.pull()
    team.edit(mine, "dog")
    team.edit(other, "eel", completed_by=user_id(team.ben))
    team.pull()
    team.pull()
    one, two = team.alerts()
    assert (one.kind, one.person, one.before, one.after, one.annotation_id) == (EDITED, BEN, "cat", "dog", mine)
    assert (two.kind, two.person, two.after) == (EDITED, BEN, "eel"), "whose name it bears makes no difference"
    assert team.said() == [("cat", ANNE), ("cat", ANNE)], "what its author said counts on"

    team.decide(AlertState.ACCEPTED, one)
    team.decide(AlertState.REJECTED, two)
    assert team.said() == [("cat", ANNE), ("dog", BEN)]
    assert answers(team.loop)[-1] == ("dog", 1.0, 1)
    team.edit(mine, "eel")
    team.pull()
    assert team.said() == [("cat", ANNE), ("eel", BEN)], "it is Ben's own answer by now"
    assert team.alerts() == []

    team.decide(AlertState.OPEN, one, two)
    assert team.said() == [("cat", ANNE), ("cat", ANNE)]
    team.decide(AlertState.REJECTED, one)
    team.decide(AlertState.ACCEPTED, two)
    assert team.said() == [("cat", ANNE), ("eel", BEN)]
    assert team.loop.states() == {"answered": 2}
    team.edit(other, "dog", team.anne)
    team.pull()
    assert team.said() == [("cat", ANNE), ("dog", ANNE)], "its author may change it back"
    assert team.alerts() == []


def test_an_answer_in_another_persons_name_counts_for_nobody_until_it_is_accepted(team: Team) -> None:
    first, second = team.tasks(2)
    body = {"result": region("dog"), "completed_by": user_id(team.anne)}
    for task in (first, second):
        team.ben.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status()
    team.pull()
    one, two = team.alerts()
    assert (one.kind, one.person, one.before, one.after) == (SPOOFED, BEN, None, "dog")
    assert team.said() == []
    assert team.loop.states() == {"in_review": 2}
    assert team.loop.push() == PushReport(), "nobody else is asked while it is open"

    team.decide(AlertState.ACCEPTED, one)
    team.decide(AlertState.REJECTED, two)
    assert team.said() == [("dog", BEN)]
    team.loop.push()
    assert task_of(team, second)["overlap"] == 2, "somebody else is asked"
    team.answer(second, "cat")
    team.pull()
    assert team.said() == [("cat", ANNE), ("dog", BEN)]
    assert team.loop.states() == {"answered": 2}


def test_an_approval_that_somebody_changed_is_named_by_the_label_it_gave(
    database: Database, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("approved", YAML)) as loop:
        team = Team(loop, label_studio.sign_up(ANNE)[1], label_studio.sign_up(BEN)[1], Memory())
        [task] = team.tasks(1)
        reject = {**REGION, "value": {"choices": ["reject"]}}
        correction = {**REGION, "from_name": "correction", "value": {"choices": ["eel"]}}
        path = f"/api/tasks/{task}/annotations/?project={loop.project_id}"
        annotation = team.anne.post(path, json={"result": [REGION]}).raise_for_status().json()["id"]
        team.pull()
        team.ben.patch(f"/api/annotations/{annotation}/", json={"result": [reject, correction]}).raise_for_status()
        team.pull()
        [alert] = team.alerts()
        assert (alert.kind, alert.before, alert.after) == (EDITED, "cat", "eel")


def test_a_deletion_by_another_person_can_be_rejected(team: Team) -> None:
    first, second, third, own = team.tasks(4)
    given = [team.answer(task, "cat") for task in (first, second, third, own)]
    team.pull()
    team.delete(f"/api/annotations/{given[0]}/")
    team.delete(f"/api/annotations/{given[3]}/", team.anne)
    team.delete(f"/api/tasks/{second}/")
    team.delete(f"/api/tasks/{third}/")
    team.pull()
    by_annotation, *by_task = sorted(team.alerts(), key=lambda alert: (alert.annotation_id is None, alert.task_id))
    assert (by_annotation.kind, by_annotation.person, by_annotation.before) == (DELETED, BEN, "cat")
    assert [(alert.kind, alert.person, alert.task_id) for alert in by_task] == [
        (DELETED, None, second),
        (DELETED, None, third),
    ], "Label Studio does not tell who deleted a task"
    assert team.said() == []

    team.decide(AlertState.REJECTED, by_annotation, by_task[0])
    team.decide(AlertState.ACCEPTED, by_task[1])
    assert team.said() == [("cat", ANNE), ("cat", ANNE)]
    assert team.loop.states() == {"answered": 2, "withdrawn": 1, "in_review": 1}
    team.pull(full=True)
    assert team.loop.states() == {"answered": 2, "withdrawn": 1, "in_review": 1}
    team.decide(AlertState.OPEN, by_annotation, by_task[0])
    assert team.said() == []
    assert team.loop.states() == {"withdrawn": 2, "in_review": 2}


def test_an_adjudicated_answer_whose_deletion_is_rejected_stays_final(team: Team) -> None:
    team.loop.spec = team.loop.spec.model_copy(update={"overlap": 2, "adjudicators": (ANNE,)})
    [task] = team.tasks(1)
    team.answer(task, "cat")
    team.pull()
    assert team.loop.states() == {"answered": 1}, "one adjudicator is enough"
    team.delete(f"/api/tasks/{task}/")
    team.pull()
    team.decide(AlertState.REJECTED, *team.alerts())
    assert team.loop.states() == {"answered": 1}, "nobody is asked again"


def test_a_task_with_edited_data_takes_no_answer_until_the_edit_is_accepted(team: Team) -> None:
    first, second = team.tasks(2)
    team.loop.spec = team.loop.spec.model_copy(update={"overlap": 2})
    team.answer(first, "cat")
    team.pull()
    for task in (first, second):
        data = {**task_of(team, task)["data"], "text": f"another {task}"}
        team.ben.patch(f"/api/tasks/{task}/", json={"data": data}).raise_for_status()
    team.pull()
    one, two = team.alerts()
    assert (one.kind, one.task_id, one.after) == (DATA, first, f"text: another {first}")
    for task in (first, second):
        team.answer(task, "dog", team.ben)
    team.pull()
    assert team.said() == [("cat", ANNE)]
    assert [alert.id for alert in team.alerts()] == [one.id, two.id]

    team.decide(AlertState.ACCEPTED, one)
    team.answer(first, "eel", team.loop.web)
    team.decide(AlertState.REJECTED, two)
    assert {label for label, _ in team.said()} == {"cat", "dog", "eel"}
    assert task_of(team, second)["data"]["text"].startswith("item "), "it shows its item again"
    assert task_of(team, first)["data"]["text"] == f"another {first}"
    team.answer(second, "cat", team.anne)
    team.pull()
    assert ("cat", ANNE) in team.said()
    assert len(team.said()) == 4
    assert team.alerts() == []
    [ended] = [alert for alert in team.alerts(AlertState.REJECTED) if alert.ended_at]
    assert ended.id == two.id


def test_a_changed_form_is_told_and_answers_given_with_it_do_not_count(team: Team) -> None:
    first, second, third = team.tasks(3)
    team.answer(first, "cat")
    team.pull()
    team.loop.do("update annotation_versions set seen_at = seen_at - interval '10 minutes'")
    form = XML.replace('"eel"', '"newt"')
    path = f"/api/projects/{team.loop.project_id}/"
    team.ben.patch(path, json={"label_config": form}).raise_for_status()
    team.answer(second, "cat")
    team.pull()
    [alert] = team.alerts()
    assert (alert.kind, alert.before) == (FORM, '<Choice value="eel"/>')
    assert alert.after == '<Choice value="newt"/>'
    assert team.said() == [("cat", ANNE)]

    team.loop.push()
    ensure_project(team.loop.database, team.loop.gateway, team.loop.spec, team.loop.settings)
    team.pull()
    team.answer(third, "dog")
    team.pull()
    assert team.said() == [("cat", ANNE), ("dog", ANNE)]
    team.loop.spec = parse("pets", YAML.replace("eel", "newt"), form)
    with team.loop.database.transaction() as conn:
        loops.register(conn, team.loop.spec)
    team.loop.push()
    team.pull()
    assert team.said() == [("cat", ANNE), ("cat", ANNE), ("dog", ANNE)], "the loop has taken the form over"
    [accepted] = team.alerts(None)
    assert (accepted.state, accepted.decided_by) == (AlertState.ACCEPTED, "labels.xml")


def test_ordinary_work_of_three_people_is_no_alert(team: Team) -> None:
    """They submit, skip, change, delete and submit again what is their own, while labelloop writes to the tasks."""
    tasks = team.tasks(6)
    people = [team.anne, team.ben, team.loop.web]
    given = [team.answer(task, "cat", people[i % 3]) for i, task in enumerate(tasks)]
    skipped = team.loop.annotate(tasks[0], "cat", web=team.ben, skip=True)
    team.pull()
    for i in (0, 1, 2):
        team.edit(given[i], "dog", people[i])
    team.edit(skipped, "eel", team.ben, was_cancelled=False)
    for i in (3, 4):
        team.delete(f"/api/annotations/{given[i]}/", people[i % 3])
    team.answer(tasks[3], "eel", people[0])
    team.loop.gateway.reopen_task(tasks[1], 2)
    team.loop.push()
    team.pull()
    project: dict[str, Any] = {"project": team.loop.project_id}
    [prediction] = team.loop.web.get("/api/predictions/", params={"task": tasks[4]} | project).json()
    body = {"model_version": prediction["model_version"], **project, "score": 0.5}
    team.loop.web.patch(f"/api/predictions/{prediction['id']}/", json=body).raise_for_status()
    team.delete(f"/api/annotations/{given[5]}/", people[2])
    team.pull()
    team.pull(full=True)
    assert team.alerts(None) == []
    assert [label for label, _ in team.said()] == ["dog", "dog", "dog", "eel", "eel"]
    assert team.loop.states() == {"answered": 4, "in_review": 2}


def test_a_person_named_in_loop_yaml_may_edit_and_it_is_recorded(team: Team) -> None:
    team.loop.spec = team.loop.spec.model_copy(update={"reviewers_may_edit": ("Ben@alerts.example.org",)})
    [task] = team.tasks(1)
    mine = team.answer(task, "cat")
    team.pull()
    team.edit(mine, "dog")
    team.pull()
    assert team.said() == [("dog", BEN)]
    [recorded] = team.alerts(None)
    assert (recorded.kind, recorded.state, recorded.decided_by) == (EDITED, AlertState.ACCEPTED, "loop.yaml")


def user_id(web: httpx.Client) -> int:
    return int(web.get("/api/current-user/whoami").raise_for_status().json()["id"])


def task_of(team: Team, task: TaskId) -> dict[str, Any]:
    return dict(team.loop.web.get(f"/api/tasks/{task}/").raise_for_status().json())
