"""Tasks that are lost in Label Studio, doubled or foreign: the doctor tells each, and the printed line repairs it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from console.doctor import Finding
from console.doctor.tasks import Differences, differences
from labelloop.errors import Failed, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.queue.tasks import KnownTask
from labelloop.store.database import Database
from sync import recreate as recreating
from sync.pull.restored import LabelStudioIsOlder
from sync.pull.sweep import Standing
from sync.recreate import recreate
from tests.support.house import House, house
from tests.support.servers import LabelStudio, label_studio_database

N = 24
"""More than people delete."""


@pytest.fixture
def pets(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio.url, label_studio.token, tmp_path) as pets:
        pets.loop.submit(N)
        pets.repair(next(finding for finding in pets.examine() if finding.check == "project"))
        yield pets


def _ill(pets: House) -> dict[str, Finding]:
    """Without the doorbell's time, which is the machine's."""
    return {check: finding for check, finding in pets.ill().items() if check != "doorbell"}


def _answer(pets: House, n: int) -> None:
    for task in pets.loop.tasks()[:n]:
        pets.loop.annotate(task["id"], "cat")
    pets.loop.pull()
    assert pets.loop.states()["answered"] == n


def _answers(pets: House) -> list[tuple[str, str]]:
    rows = pets.loop.sql(
        "select o.key, a.label from outputs o cross join lateral"
        " (select label from answers where output_id = o.id order by seq desc limit 1) a"
        " where o.state = 'answered' order by o.key"
    )
    return [(row["key"], row["label"]) for row in rows]


def test_a_project_whose_tasks_are_all_deleted_is_told_and_recreated_with_its_answers(pets: House) -> None:
    _answer(pets, 2)
    answers, old = _answers(pets), pets.loop.project_id
    pets.loop.web.delete(f"/api/projects/{old}/tasks/").raise_for_status()
    with pytest.raises(Failed, match="project recreate --loop pets"):
        pets.loop.pull(full=True)

    ill = _ill(pets)
    assert set(ill) == {"tasks"}
    assert f"{N} of {N} tasks are gone from Label Studio (2 of them answered)" in ill["tasks"].says
    pets.repair(ill["tasks"])

    assert _ill(pets) == {}
    assert pets.loop.project_id != old
    assert _answers(pets) == answers
    assert pets.loop.states() == {"answered": 2, "in_review": N - 2}
    assert pets.loop.tasks_an_output() == [1] * (N - 2)
    assert pets.loop.web.get("/api/webhooks/", params={"project": old}).json() == []
    task = pets.loop.tasks()[0]
    pets.loop.annotate(task["id"], "dog")
    pets.loop.pull(full=True)
    assert pets.loop.states() == {"answered": 3, "in_review": N - 3}

    again = recreate(pets.loop.database, pets.loop.gateway, pets.loop.spec, pets.settings)
    assert (again["recreated"], again["pushed"]) == (False, 0)


@pytest.mark.alone
def test_a_late_webhook_of_the_old_project_changes_nothing(pets: House) -> None:
    old, task = pets.loop.project_id, pets.loop.tasks()[0]["id"]
    pets.loop.web.delete(f"/api/projects/{old}/").raise_for_status()
    recreate(pets.loop.database, pets.loop.gateway, pets.loop.spec, pets.settings)
    body = {"action": "ANNOTATION_CREATED", "project": {"id": old}, "task": {"id": task}}
    headers = {"X-Labelloop-Secret": pets.settings.hook_secret}
    rung = httpx.post(f"{pets.sync.url}/hooks/label-studio/pets", json=body, headers=headers)
    assert rung.status_code == 404
    assert pets.loop.sql("select * from pull_requests") == []
    pets.loop.pull(full=True)
    assert pets.loop.states() == {"in_review": N}


@pytest.mark.parametrize("step", ["_let_go", "ensure_project", "push"])
def test_killed_at_any_step_another_call_ends_it(pets: House, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pets.loop.web.delete(f"/api/projects/{pets.loop.project_id}/tasks/").raise_for_status()
    really = getattr(recreating, step)

    def dies(*args: object, **named: object) -> object:
        really(*args, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recreating, step, dies)
        with pytest.raises(KeyboardInterrupt):
            recreate(pets.loop.database, pets.loop.gateway, pets.loop.spec, pets.settings)
    recreate(pets.loop.database, pets.loop.gateway, pets.loop.spec, pets.settings)
    assert pets.loop.states() == {"in_review": N}
    assert pets.loop.tasks_an_output() == [1] * N


def test_another_label_studio_is_not_taken_for_a_loss(pets: House, label_studio: LabelStudio) -> None:
    elsewhere = Gateway(label_studio.url.replace("127.0.0.1", "localhost"), label_studio.token)
    with pytest.raises(UsageError, match="LABELLOOP_LABEL_STUDIO_URL"):
        recreate(pets.loop.database, elsewhere, pets.loop.spec, pets.settings)
    assert pets.loop.states() == {"in_review": N}


def test_missing_doubled_and_foreign_tasks_are_told_and_gone_after_the_printed_repairs(pets: House) -> None:
    _answer(pets, 1)
    web, project, tasks = pets.loop.web, pets.loop.project_id, pets.loop.tasks()
    answered = next(task for task in tasks if task["is_labeled"])
    open_, twin, changed = [task for task in tasks if not task["is_labeled"]][:3]
    for task in (answered, open_):
        web.delete(f"/api/tasks/{task['id']}/").raise_for_status()
    web.post(f"/api/projects/{project}/import", json=[{"data": twin["data"]}, {"data": {"text": "somebody's"}}])
    data = {**changed["data"], "labelloop_output": twin["data"]["labelloop_output"]}
    web.patch(f"/api/tasks/{changed['id']}/", json={"data": data}).raise_for_status()

    ill = _ill(pets)
    assert set(ill) >= {"tasks", "tasks twice", "tasks of others"}
    assert answered["data"]["labelloop_output"] in ill["tasks"].says
    assert open_["data"]["labelloop_output"] in ill["tasks"].says
    assert "1 answered" in ill["tasks"].says
    assert twin["data"]["labelloop_output"] in ill["tasks twice"].says
    assert str(changed["id"]) in ill["tasks of others"].says

    web.patch(f"/api/tasks/{changed['id']}/", json={"data": changed["data"]}).raise_for_status()
    foreign = next(task for task in pets.loop.tasks() if "labelloop_output" not in task["data"])
    web.delete(f"/api/tasks/{foreign['id']}/").raise_for_status()
    for check in ("tasks", "tasks twice"):
        pets.repair(ill[check])
    assert not {"tasks", "tasks twice", "tasks of others"} & set(_ill(pets))


def test_a_difference_seen_only_once_is_not_reported() -> None:
    at = datetime.now(UTC)
    rows = [KnownTask(one, n, at, OutputState.IN_REVIEW, 0) for n, one in enumerate("ab")]  # type: ignore[arg-type]
    both = [Standing(n, 0, one) for n, one in enumerate("ab")]  # type: ignore[arg-type]
    states = {"a": "in_review", "b": "in_review", "c": "pushing"}
    late = differences(rows, both[:1], states)  # type: ignore[arg-type]
    assert late == Differences(missing=frozenset("b"))
    assert late & differences(rows, both, states) == Differences()  # type: ignore[arg-type]
    on_its_way = [*both, Standing(7, 0, "c")]  # type: ignore[arg-type]
    assert differences(rows, on_its_way, states) == Differences()  # type: ignore[arg-type]


def test_a_label_studio_that_was_restored_to_before_an_answer_takes_none_back(
    pets: House, label_studio_postgres: str
) -> None:
    _answer(pets, 3)
    before, tasks = _answers(pets), pets.loop.tasks()
    answered = [task["id"] for task in tasks if task["annotations"]]
    theirs = label_studio_database(label_studio_postgres, pets.loop.project.instance)
    with psycopg.connect(theirs) as conn:  # as it was before two of the answers, and before two tasks
        conn.execute("delete from task_completion where task_id = any(%s)", [answered[:2]])
        conn.execute(
            "update task set updated_at = updated_at - interval '1 hour', is_labeled = false where id = any(%s)",
            [answered[:2]],
        )
    for full in (False, True):
        with pytest.raises(LabelStudioIsOlder, match="project recreate --loop pets"):
            pets.loop.pull(full=full)
    with pytest.raises(LabelStudioIsOlder):
        pets.loop.push()
    assert _answers(pets) == before

    ill = _ill(pets)
    assert "2 tasks in Label Studio lack answers that are stored here" in ill["restored"].says
    pets.repair(ill["restored"])
    assert _answers(pets) == before
    assert pets.loop.states() == {"answered": 3, "in_review": N - 3}
    assert "restored" not in _ill(pets)
