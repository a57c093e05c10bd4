"""The deep look beside Label Studio: what people change there is told, and nothing is while all work as they should."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from console.cli import main
from console.doctor import Level, examine_deep, exit_status, fix_safe
from console.doctor.deep import Status, look_twice
from console.doctor.deepest import places
from labelloop.queue.tasks import sign
from labelloop.store.database import Database
from tests.support.crowd import sign_up, work
from tests.support.hops.deep_loop import LOOP, data_only, looked
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Row, SyncLoop, sync_loop


@pytest.fixture
def pets(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.settings = replace(loop.settings, models_dir=tmp_path, data_dir=tmp_path)
        yield loop


def test_what_somebody_changes_in_label_studio_is_told_and_repaired(pets: SyncLoop) -> None:
    where = places(pets.settings)
    assert looked(where) == {}, "an empty loop"
    pets.submit(10)
    pets.push()
    assert looked(where) == {}, "after the first push"
    tasks = pets.tasks()
    first, second, changed = (pets.annotate(task["id"], "cat") for task in tasks[:3])
    pets.pull(full=True)
    assert looked(where) == {}

    def import_(data: Row) -> Callable[[], object]:
        made = pets.web.post(
            f"/api/projects/{pets.project_id}/import?return_task_ids=true", json=[{"data": data}]
        ).raise_for_status()
        return lambda: pets.web.delete(f"/api/tasks/{made.json()['task_ids'][0]}/").raise_for_status()

    def patch(task: Row, **data: str) -> Callable[[], object]:
        pets.web.patch(f"/api/tasks/{task['id']}/", json={"data": {**task["data"], **data}}).raise_for_status()
        return lambda: pets.web.patch(f"/api/tasks/{task['id']}/", json={"data": task["data"]}).raise_for_status()

    def predict(task: Row) -> Callable[[], object]:
        body = {"task": task["id"], "model_version": "pipeline", "score": 0.5, "result": []}
        made = pets.web.post("/api/predictions/", json=body).raise_for_status().json()
        return lambda: pets.web.delete(f"/api/predictions/{made['id']}/").raise_for_status()

    def told(invariant: str) -> None:
        found = looked(where)
        assert {id_: verdict.status for id_, verdict in found.items()} == {invariant: Status.VIOLATED}, found

    unknown = str(uuid4())
    signed = {"labelloop_output": unknown, "labelloop_sig": sign(pets.project.signing_key, unknown)}
    changes: dict[str, Callable[[], Callable[[], object]]] = {
        "I4": lambda: patch(tasks[3], text="another item"),
        "I4 ": lambda: patch(tasks[3], labelloop_sig="0" * 64),
        "I4  ": lambda: patch(tasks[3], labelloop_label="eel"),
        "I5": lambda: import_({**tasks[4]["data"], **signed}),
        "I5 ": lambda: import_({**tasks[4]["data"], "labelloop_sig": "none"}),
        "I17": lambda: predict(tasks[5]),
    }
    for invariant, change in changes.items():
        undo = change()
        told(invariant.strip())
        undo()
        assert looked(where) == {}

    undo = patch(tasks[3], text="an item that may be another")
    pets.pull()
    told("I4")
    accepted = CliRunner().invoke(
        main,
        ["alerts", "accept", "--kind", "data edited", "--why", "it may"],
        env=pets.settings.to_env() | {"USER": "a"},
    )
    assert accepted.exit_code == 0, accepted.output
    assert looked(where) == {}, "a person has accepted what the task shows"
    undo()
    pets.pull()

    repaired: dict[str, Callable[[], object]] = {
        "I3": lambda: import_(tasks[4]["data"]),
        "I4": lambda: pets.web.delete(f"/api/tasks/{tasks[6]['id']}/").raise_for_status(),
        "I6": lambda: pets.annotate(tasks[7]["id"], "dog"),
        "I6 ": lambda: pets.edit(changed, "dog"),
        "I7": lambda: pets.web.delete(f"/api/annotations/{first}/").raise_for_status(),
        "I7 ": lambda: pets.web.delete(f"/api/tasks/{tasks[1]['id']}/").raise_for_status(),
    }
    for invariant, act in repaired.items():
        act()
        told(invariant.strip())
        suspects = look_twice(where, LOOP, 0)
        assert Status.VIOLATED not in {verdict.status for verdict in suspects}, "without time nothing is sure"
        assert Status.SUSPECT in {verdict.status for verdict in suspects}
        assert fix_safe(pets.settings, LOOP)
        assert looked(where) == {}
    assert second not in {row["annotation_id"] for row in pets.sql("select annotation_id from annotations")}
    assert pets.states() == {"in_review": 6, "answered": 2, "withdrawn": 2}


@pytest.mark.timeout(600)
def test_nothing_is_violated_while_a_push_a_pull_and_people_are_at_work(
    pets: SyncLoop, label_studio: LabelStudio
) -> None:
    pets.submit(20)
    pets.push()
    over = threading.Event()

    def at_work() -> None:
        while not over.is_set():
            pets.submit(1)
            pets.push()
            pets.pull()

    threads = [
        threading.Thread(target=at_work),
        threading.Thread(target=work, args=(pets, sign_up(label_studio, 2)), kwargs={"most": 8}),
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            verdicts = look_twice(data_only(pets.settings), LOOP, settle_s=8)
            wrong = [verdict for verdict in verdicts if verdict.status is Status.VIOLATED]
            assert wrong == []
    finally:
        over.set()
        for thread in threads:
            thread.join()
    pets.pull()
    assert looked(places(pets.settings)) == {}


def test_it_is_never_green_if_it_could_not_look(pets: SyncLoop) -> None:
    pets.submit(1)
    pets.push()
    away = replace(places(pets.settings), label_studio_url="http://127.0.0.1:9")
    unknown = looked(away)
    assert set(unknown) == {"I3", "I4", "I5", "I6", "I7", "I17", "I19"}
    assert {verdict.status for verdict in unknown.values()} == {Status.UNKNOWN}
    gone = replace(pets.settings, database_url="postgresql://nobody@127.0.0.1:9/nothing")
    for settings in (gone, replace(pets.settings, label_studio_url="http://127.0.0.1:9")):
        assert exit_status(examine_deep(settings, LOOP, 0)) == 2
    assert exit_status(examine_deep(pets.settings, LOOP, 0)) == 0

    pets.annotate(pets.tasks()[0]["id"], "cat")
    found = examine_deep(pets.settings, LOOP, 0)
    assert exit_status(found) == 0, "a suspect is a hint"
    [suspect] = [finding for finding in found if finding.level is Level.HINT]
    assert suspect.check == "I6 annotations"
    done = CliRunner().invoke(main, ["doctor", "--fix", "safe", "--settle", "1", "--json"], env=pets.settings.to_env())
    said = json.loads(done.stdout)
    assert any("answers 1" in words for words in said["fixed"])
    levels = {one["check"]: one["level"] for one in said["findings"] if one["check"].startswith("I")}
    assert set(levels.values()) == {"ok"}, levels
