"""Projects that cannot be adopted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelloop.store.database import Database
from tests.support.hops.adopted_project import House, differences, guess, house, their_project
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Row


@pytest.fixture
def our(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio, tmp_path) as found:
        yield found


@pytest.mark.parametrize("what", ["unknown", "token", "form", "cohort", "server", "names", "taken", "mark"])
def test_a_project_that_cannot_be_adopted_is_refused_with_the_reason_and_left_alone(our: House, what: str) -> None:
    settings: Row = {"label_config": '<View><Text name="text" value="$text"/></View>'}
    project = their_project(our.web, **(settings if what == "form" else {}))
    guesses = [guess("cat", 0.5, "pipeline")] if what == "names" else []
    project.add([{"data": {"text": "t", "i": "http://x"}, "predictions": guesses}])
    number, more = project.id, list[str]()
    if what == "unknown":
        number = 987654
    if what == "token":
        more = ["--token", "f" * 40]
    if what == "cohort":
        change = {"maximum_annotations": 2, "overlap_cohort_percentage": 50}
        our.web.patch(f"/api/projects/{project.id}/", json=change).raise_for_status()
    if what == "server":
        more = ["--url", "http://localhost:1", "--token", "x"]
    if what == "mark":
        mark = "labelloop:0b0e7a54-1111-4222-8333-0123456789ab"
        our.web.patch(f"/api/projects/{project.id}/", json={"description": mark}).raise_for_status()
    if what == "taken":
        our.sql("insert into loops (name, spec, labels_xml) values ('other', '{}', '') returning name")
        our.sql(
            "insert into projects (loop, label_studio_url, project_id, signing_key) "
            "values ('other', %(u)s, %(p)s, 'k') returning loop",
            u=our.server.url,
            p=project.id,
        )
    before = project.whole()
    done = our.adopt(number, *more)
    wanted = {
        "unknown": "there is no project 987654",
        "token": "refuses the token",
        "form": "because of its form",
        "cohort": "50 % of its tasks",
        "server": "the services work with Label Studio at",
        "names": "predictions of the model version 'pipeline'",
        "taken": "is that of loop 'other'",
        "mark": "belongs to a loop of another labelloop",
    }[what]
    assert done.exit_code in (1, 2)
    assert wanted in done.output
    assert "Traceback" not in done.output
    assert differences(project.whole(), before) == []
    assert list(our.settings.loops_dir.iterdir()) == []
