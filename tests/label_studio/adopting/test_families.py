"""Projects of other forms than one Choices: adopted with their answers, worked in, and given back as they were."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from labelloop.labeling.config import LabelingConfig
from labelloop.labelstudio.gateway import Gateway
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.pull.pull import pull
from tests.support.data.editor_results import data_for, written
from tests.support.hops.adopted_project import House, TheirProject, differences, house, their_project
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Row

ANN, BEN = "ann@families.example", "ben@families.example"
TEXT = '<Text name="text" value="$text"/>'
AB = '<Label value="a"/><Label value="b"/>'


class Family(NamedTuple):
    form: str
    """The tags inside the View."""
    answer: Any
    """The answer of a person who uses every control once, as tests.support.data.editor_results writes it."""


FAMILIES = {
    "spans": Family(f'{TEXT}<Labels name="label" toName="text">{AB}</Labels>', [[0, 2, "a"]]),
    "drawn": Family(
        '<Image name="image" value="$image"/><PolygonLabels name="shape" toName="image"><Label value="x"/>'
        '</PolygonLabels><BrushLabels name="mask" toName="image"><Label value="y"/></BrushLabels>',
        {
            "shape": [{"label": "x", "polygon": [[10, 10], [40, 10], [40, 60]]}],
            "mask": [{"label": "y", "mask": [6, 4, [8, 3, 3, 3, 7]]}],
        },
    ),
    "marked": Family(
        f'<Audio name="sound" value="$it"/><Labels name="heard" toName="sound">{AB}</Labels>'
        f'<Paragraphs name="talk" value="$talk" layout="dialogue"/><ParagraphLabels name="read" toName="talk">{AB}'
        "</ParagraphLabels>",
        {
            "heard": [{"label": "a", "start": 0.5, "end": 1.5}],
            "read": [{"label": "a", "start": [0, 0], "end": [0, 5]}],
        },
    ),
    "several": Family(
        f'{TEXT}<Rating name="stars" toName="text"/><TextArea name="why" toName="text"/><Taxonomy name="topic" '
        'toName="text"><Choice value="A"><Choice value="a1"/></Choice><Choice value="B"/></Taxonomy>'
        '<List name="answers" value="$items"/><Ranker name="rank" toName="answers"/><Novelty name="unknown"/>',
        {"stars": 3, "why": "some words", "topic": ["A"], "rank": ["b", "a", "c"]},
    ),
}


@pytest.fixture
def our(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[House]:
    with house(database, label_studio, tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def people(label_studio: LabelStudio) -> Iterator[list[httpx.Client]]:
    made = [
        httpx.Client(
            base_url=label_studio.url, timeout=60, headers={"Authorization": f"Token {label_studio.sign_up(email)[0]}"}
        )
        for email in (ANN, BEN)
    ]
    yield made
    for one in made:
        one.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_project_of_this_form_is_adopted_worked_in_and_given_back(
    our: House, people: list[httpx.Client], name: str
) -> None:
    family, (ann, ben) = FAMILIES[name], people
    xml = f"<View>{family.form}</View>"
    config = LabelingConfig.parse(xml, ())
    project = their_project(our.web, label_config=xml, title=f"Family {name}")
    ids = filled(project, config, ann)
    before = project.whole()
    done = our.adopt(project.id, "--loop", "family")
    assert done.exit_code == 0, done.output
    assert states(our) == dict.fromkeys(ids, "in_review") | {ids[0]: "answered"}
    assert answers(our) == [family.answer]
    [guessed] = our.sql("select model_version from outputs where result is not null")
    assert guessed["model_version"] == "v2", "the newest of several"

    task = project.next_task(ben)
    assert task is not None
    say(project, task["id"], written(config), ben)
    with our.database.transaction() as conn:
        spec = loops.get(conn, "family")
    assert spec is not None
    gateway = Gateway(our.server.url, our.server.token)
    pull(our.database, gateway, spec)
    gateway.close()
    assert states(our)[task["id"]] == "answered"
    assert answers(our) == [family.answer, family.answer]

    done = our.run("release")
    assert done.exit_code == 0, done.output
    after = project.whole()
    there, new = before["tasks"][task["id"]], after["tasks"][task["id"]]
    assert len(new["annotations"]) == len(there["annotations"]) + 1
    new |= {name: there[name] for name in ("annotations", "is_labeled")}
    assert differences(after, before) == []


def filled(project: TheirProject, config: LabelingConfig, ann: httpx.Client) -> list[int]:
    """Import four tasks: one with an answer of Ann's, one with two predictions, one that she skipped, one with a draft.

    One has fields that are named like those of labelloop.
    """
    data = data_for(config, {"image": "https://x.example/1.png", "it": "https://x.example/1.wav"})
    ids = project.add([{"data": {**data, "nr": i}} for i in range(3)])
    strange = {"labelloop_output": str(uuid.uuid4()), "labelloop_sig": "0" * 64, "labelloop_key": "theirs"}
    ids += project.add([{"data": {**data, **strange}}])
    result = written(config)
    say(project, ids[0], result, ann)
    for version in ("v1", "v2"):
        guess = {"task": ids[1], "model_version": version, "score": 0.4, "result": result}
        project.web.post(f"/api/projects/{project.id}/import/predictions", json=[guess]).raise_for_status()
    say(project, ids[2], [], ann, was_cancelled=True)
    draft = {"result": result}
    ann.post(f"/api/tasks/{ids[3]}/drafts", params={"project": project.id}, json=draft).raise_for_status()
    return ids


def say(project: TheirProject, task: int, result: list[Row], person: httpx.Client, **more: Any) -> None:
    body = {"result": result, "lead_time": 2, **more}
    person.post(f"/api/tasks/{task}/annotations/?project={project.id}", json=body).raise_for_status()


def states(our: House) -> dict[int, str]:
    rows = our.sql(
        "select label_studio_id, state::text from adopted_tasks a join outputs o on o.id = a.output_id order by 1"
    )
    return {row["label_studio_id"]: row["state"] for row in rows}


def answers(our: House) -> list[Any]:
    return [json.loads(row["label"]) for row in our.sql("select label from answers order by seq")]
