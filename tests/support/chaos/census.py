"""Count everything anew with SQL and HTTP of its own: nothing here is imported from the code that it checks."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
ASKED = {"in_review", "answered"}
"""States of an output that has a task."""
AT_REST = ASKED | {"passed", "accepted", "waiting"}
"""States that an output may be in when nothing is under way and nobody has deleted a task."""


@dataclass(frozen=True, slots=True)
class Places:
    postgres: str
    label_studio: str
    token: str
    backend: str
    backend_login: tuple[str, str]
    models: Path


def census(
    at: Places,
    acknowledged: Mapping[tuple[str, str], Row],
    tried: Mapping[tuple[str, str], Row],
    may_be: Mapping[int, set[str]],
) -> list[str]:
    """Return every difference, as a sentence; empty if all is well.

    `acknowledged` and `tried`: outputs by loop and key, as pipelines sent them. `may_be`: by annotation in Label
    Studio, the answers of which one must be there.
    """
    with psycopg.connect(at.postgres, row_factory=dict_row) as conn:
        outputs = conn.execute("select id::text, loop, key, data, state::text, label from outputs").fetchall()
        tasks = conn.execute("select output_id::text, loop, label_studio_id from tasks").fetchall()
        projects = conn.execute("select loop, project_id, instance::text from projects").fetchall()
        kept = conn.execute(
            "select distinct on (instance, annotation_id) annotation_id, task_id, output_id::text, result,"
            " was_cancelled, deleted, completed_by, updated_by, updated_at, distrusted from annotation_versions"
            " order by instance, annotation_id, updated_at desc, seq desc"
        ).fetchall()
        answers = conn.execute(
            "select distinct on (output_id) output_id::text, label, reviewers from answers order by output_id, seq desc"
        ).fetchall()
        feedback = conn.execute(
            "select model_output_id::text as output_id, label, annotation_id, reviewer_id from feedback"
        ).fetchall()
        overlaps = {
            row["name"]: int(row["overlap"])
            for row in conn.execute("select name, coalesce(spec->>'overlap', '1') as overlap from loops")
        }
        under_way = conn.execute(
            "select (select count(*) from batches where state in ('intent', 'sending')) as batches,"
            " (select count(*) from retrain_runs where status in ('queued', 'running')) as runs"
        ).fetchone()
        versions = conn.execute("select id, loop, stage::text from model_versions").fetchall()
        promotions = conn.execute("select loop, epoch, version_id from promotions order by loop, epoch").fetchall()
    assert under_way is not None
    headers = {"Authorization": f"Token {at.token}"}
    there: dict[str, list[Row]] = {}
    with httpx.Client(base_url=at.label_studio, headers=headers, timeout=120) as web:
        for project in projects:
            params = {"project": project["project_id"], "fields": "all", "page_size": 100_000}
            there[project["loop"]] = web.get("/api/tasks/", params=params).raise_for_status().json()["tasks"]

    return [
        *(f"{n} {what} under way" for what, n in under_way.items() if n),
        *_submitted(outputs, acknowledged, tried),
        *_shown(outputs, tasks, there),
        *_annotated(kept, there, may_be),
        *_answered(outputs, kept, answers, feedback, overlaps),
        *_models(at, projects, versions, promotions),
    ]


def _submitted(outputs: list[Row], acknowledged: Mapping[tuple[str, str], Row], tried: Any) -> Iterator[str]:
    """Compare the outputs: each acknowledged one is stored once with its content, and no other is stored."""
    stored = Counter((row["loop"], row["key"]) for row in outputs)
    content = {(row["loop"], row["key"]): row["data"] for row in outputs}
    for key, n in stored.items():
        if n > 1:
            yield f"output {key} is stored {n} times"
        if key not in tried:
            yield f"output {key} is stored, and nobody has sent it"
    for key, output in acknowledged.items():
        if key not in stored:
            yield f"output {key} was acknowledged and is not stored"
        elif content[key] != output["data"]:
            yield f"output {key} is stored with other data than it was sent with"


def _shown(outputs: list[Row], tasks: list[Row], there: Mapping[str, list[Row]]) -> Iterator[str]:
    """Compare the tasks: an output in review or answered has the one that Postgres names, any other has none."""
    named = {row["output_id"]: row["label_studio_id"] for row in tasks}
    found: dict[str, list[int]] = defaultdict(list)
    for task in (task for of_loop in there.values() for task in of_loop):
        found[task["data"].get("labelloop_output", "")].append(task["id"])
    for row in outputs:
        id_, ids = row["id"], found.pop(row["id"], [])
        if row["state"] not in AT_REST:
            yield f"output {id_} is {row['state']}"
        elif (row["state"] in ASKED and ids != [named.get(id_)]) or (
            row["state"] not in ASKED and (ids or id_ in named)
        ):
            yield f"output {id_} is {row['state']}; Postgres names task {named.get(id_)}, Label Studio has {ids}"
    yield from (f"tasks {ids} in Label Studio are of no output: {id_!r}" for id_, ids in found.items())


def _annotated(kept: list[Row], there: Mapping[str, list[Row]], may_be: Mapping[int, set[str]]) -> Iterator[str]:
    """Compare the annotations: both sides have the same ones with the same content, and all acknowledged ones."""
    ours = {row["annotation_id"]: row for row in kept if not row["deleted"]}
    theirs = {a["id"]: a for tasks in there.values() for task in tasks for a in task["annotations"]}
    for one in sorted(ours.keys() - theirs.keys()):
        yield f"annotation {one} is in Postgres and not in Label Studio"
    for one in sorted(theirs.keys() - ours.keys()):
        yield f"annotation {one} is in Label Studio and not in Postgres"
    for one in ours.keys() & theirs.keys():
        mine, its = ours[one], theirs[one]
        for name in ("result", "was_cancelled", "completed_by", "updated_by"):
            if mine[name] != its[name]:
                yield f"annotation {one} differs in {name}: {_short(mine[name])} here, {_short(its[name])} there"
        if mine["task_id"] != its["task"] or mine["distrusted"] is not None:
            yield f"annotation {one}: task {mine['task_id']} here, {its['task']} there; {mine['distrusted']}"
    for one, labels in may_be.items():
        now = _label(theirs[one]) if one in theirs else "(deleted)"
        if now not in labels:
            yield f"annotation {one} is {now} in Label Studio; its author said {' or '.join(sorted(labels))}"


def _answered(
    outputs: list[Row], kept: list[Row], answers: list[Row], feedback: list[Row], overlaps: Mapping[str, int]
) -> Iterator[str]:
    """Compare the answers: feedback is that of the annotations, and an answer is the label that they agree on."""
    newest: dict[tuple[str, int], Row] = {}
    for row in sorted(kept, key=lambda row: (row["updated_at"], row["annotation_id"])):
        if not row["deleted"] and not row["was_cancelled"]:
            newest[row["output_id"], row["updated_by"]] = row
    given: dict[str, dict[int, str]] = defaultdict(dict)
    for (output_id, _), row in newest.items():
        given[output_id][row["annotation_id"]] = _label(row)
    said: dict[str, dict[int, str]] = defaultdict(dict)
    for row in feedback:
        said[row["output_id"]][row["annotation_id"]] = row["label"]
    people = Counter((row["output_id"], row["reviewer_id"]) for row in feedback)
    yield from (f"output {one[0]} has {n} answers of one person" for one, n in people.items() if n > 1)
    labels = {row["output_id"]: row["label"] for row in answers}
    for output in outputs:
        id_ = output["id"]
        if said[id_] != given[id_]:
            yield f"output {id_}: feedback {said[id_]}, annotations {given[id_]}"
        counts = Counter(given[id_].values()).most_common()
        enough = sum(n for _, n in counts) >= overlaps[output["loop"]]
        tied = len(counts) > 1 and counts[0][1] == counts[1][1]
        expected = counts[0][0] if counts and enough and not tied else None
        if labels.get(id_) != expected:
            yield f"output {id_} ({output['state']}): answer {labels.get(id_)!r}, its annotations give {expected!r}"
        if (output["state"] == "answered") != enough:
            yield f"output {id_} is {output['state']} with {sum(n for _, n in counts)} answers"


def _models(at: Places, projects: list[Row], versions: list[Row], promotions: list[Row]) -> Iterator[str]:
    """One champion a loop: the last one promoted, whose file is whole, and which serves. Epochs have no gap."""
    last: dict[str, str | None] = {}
    epochs: dict[str, list[int]] = defaultdict(list)
    for row in promotions:
        last[row["loop"]] = row["version_id"]
        epochs[row["loop"]].append(row["epoch"])
    for loop, numbers in epochs.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"loop {loop} has the epochs {numbers}"
    for project in projects:
        loop = project["loop"]
        champions = [row["id"] for row in versions if row["loop"] == loop and row["stage"] == "champion"]
        if champions != [one for one in [last.get(loop)] if one]:
            yield f"loop {loop}: champions {champions}, and the last promotion was of {last.get(loop)}"
        for id_ in champions:
            file = at.models / f"{id_}.skops"
            if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != id_:
                yield f"loop {loop}: the file of the champion {id_} is missing or damaged"
        if champions:
            body = {"project": f"{project['project_id']}.0"}
            served = httpx.post(f"{at.backend}/setup", json=body, auth=at.backend_login, timeout=30).text
            if f'"{champions[0][:12]}"' not in served:
                yield f"loop {loop}: the backend serves {served.strip()[:300]}, and not {champions[0]}"


def _label(annotation: Mapping[str, Any]) -> str:
    if annotation["was_cancelled"]:
        return "(skip)"
    chosen: Iterable[Any] = (region["value"].get("choices", []) for region in annotation["result"] or [])
    return ", ".join(label for labels in chosen for label in labels)


def _short(value: object) -> str:
    return json.dumps(value, default=str)[:120]
