"""A thousand annotated tasks, and two people who go on working while the project is adopted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from labelloop.store.database import Database
from tests.support.hops.adopted_project import House, guess, house, their_project
from tests.support.servers import LabelStudio
from tests.support.sync_loop import region

ANN, BEN = "ann@adopt.example", "ben@adopt.example"


@pytest.fixture
def our(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio, tmp_path) as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_annotated_tasks_worked_in_by_two_people_at_once(our: House) -> None:
    project = their_project(our.web)
    said = [{"result": region(("cat", "dog", "eel")[i % 3]), "ground_truth": False} for i in range(1_000)]
    project.add([{"data": {"text": f"t{i}"}, "annotations": [one]} for i, one in enumerate(said)])
    project.add([{"data": {"text": f"open {i}"}, "predictions": [guess("cat", i / 100)]} for i in range(100)])
    before = project.settings()
    people = [our.person(ANN), our.person(BEN)]

    def work(person: httpx.Client) -> list[int]:
        done = []
        for _ in range(15):
            task = project.next_task(person)
            assert task is not None
            project.annotate(task["id"], "dog", person)
            done.append(task["id"])
        return done

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work, person) for person in people]
        assert our.adopt(project.id).exit_code == 0
        meanwhile = [id_ for one in working for id_ in one.result()]
    with ThreadPoolExecutor(2) as pool:
        after = [id_ for some in pool.map(work, people) for id_ in some]
    assert len(set(meanwhile + after)) == 60, "each task was served to one of them"
    assert our.run("pull", "--full").exit_code == 0
    assert our.states()["answered"] == 1_060
    stored = our.sql("select annotation_id from annotation_versions")
    assert len(stored) == len({row["annotation_id"] for row in stored}) == 1_060

    assert our.run("release").exit_code == 0
    assert project.settings() == before
    assert {p["model_version"] for task in project.tasks() for p in task["predictions"]} == {"bert-1"}
