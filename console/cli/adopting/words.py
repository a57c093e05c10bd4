"""Words of a dry run: facts about the project and planned changes, as plain data and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from console.cli.output import counted
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.versions.version import PIPELINE
from sync.adopting.settings import planned
from sync.adopting.survey import Survey

LONGEST_VALUE = 60


def report(spec: LoopSpec, settings: Mapping[str, Any], survey: Survey, names: Mapping[UserId, str]) -> dict[str, Any]:
    """Return everything that an adoption finds and would change, as plain JSON."""
    config = spec.config
    changes = planned(settings, spec, PIPELINE)
    return {
        "project": {"id": survey.project_id, "title": settings["title"]},
        "loop": spec.name,
        "form": {
            "answer": config.answer.name,
            "control": config.answer.tag,
            "kind": config.kind.words,
            "beside": [f"{one.tag} {one.name!r}" for one in config.answer.beside],
            "labels": list(spec.labels),
            "fields": list(config.data_fields),
        },
        "learner": spec.learner.name,
        **survey.to_json(names),
        "changes": {name: {"from": was, "to": will} for name, (was, will) in changes.items()},
    }


def sentences(found: Mapping[str, Any], url: str, folder: Path) -> Iterable[str]:
    """Yield the report as lines for people. `folder`: where the loop's files would be."""
    tasks, given, guessed = found["tasks"], found["annotations"], found["predictions"]
    project, form = found["project"], found["form"]
    yield f"project {project['id']} {project['title']!r} in Label Studio at {url}"
    yield f"  would be the loop {found['loop']!r}, in {folder}. This was a dry run: nothing was changed."
    yield "form"
    labels = f", {counted(len(form['labels']), 'label')}: {_some(form['labels'])}" if form["labels"] else ""
    yield f"  the answer is {form['kind']}, from {form['control']} {form['answer']!r}{labels}"
    if form["beside"]:
        yield f"  each region with its {', '.join(form['beside'])}"
    yield f"  people see {', '.join(f'${name}' for name in form['fields']) or 'no field'}"
    yield f"  learner: {found['learner']}"
    yield from _about_tasks(tasks)
    yield from _about_annotations(given)
    yield from _about_predictions(guessed)
    yield "people"
    for name, n in found["people"].items():
        yield f"  {name}: {counted(n, 'annotation')}"
    if not found["people"]:
        yield "  nobody has answered yet"
    yield "settings of the project that change; `labelloop release` restores them"
    for name, change in found["changes"].items():
        yield f"  {name}: {_value(change['from'])} -> {_value(change['to'])}"
    yield "what cannot be read"
    lines = list(unreadable(found))
    yield from (f"  {line}" for line in lines or ["nothing: all of it can"])


def unreadable(found: Mapping[str, Any]) -> Iterable[str]:
    """Yield a line for each reason for which tasks, annotations or predictions cannot be read."""
    after = {
        "tasks": "not adopted",
        "annotations": "stored, and no answer",
        "predictions": "the output has no prediction",
    }
    for what, consequence in after.items():
        for row in found[what]["unreadable"]:
            shown = ", ".join(map(str, row["tasks"])) + (", ..." if row["n"] > len(row["tasks"]) else "")
            noun = f"task{'s' * (len(row['tasks']) > 1)} {shown}"
            yield f"{counted(row['n'], what.removesuffix('s'))} ({noun}; {consequence}): {row['reason']}"


def _about_tasks(tasks: Mapping[str, Any]) -> Iterable[str]:
    yield f"{counted(tasks['all'], 'task')}"
    yield f"  {tasks['unanswered']:,} without an answer: they wait for people and are served by rank"
    yield (
        f"  {tasks['answered']:,} with an answer, of which {tasks['held_out']:,} evaluate models and never train one. "
        "People chose these tasks, not chance, so estimates of the error rate leave them out"
    )
    for name, words in (
        ("incomplete", "of these with fewer answers than the project asks for: they stay open for others"),
        ("skipped_only", "only skipped: they stay open for others"),
        ("several_annotations", "with several annotations"),
        ("drafts", "with a draft, which is no answer and stays"),
    ):
        if tasks[name]:
            yield f"  {tasks[name]:,} {words}"


def _about_annotations(given: Mapping[str, Any]) -> Iterable[str]:
    yield f"{counted(given['all'], 'annotation')}"
    for name, words in (
        ("skipped", "skipped"),
        ("replaced_by_a_newer_one", "replaced by a newer one of the same person"),
    ):
        if given[name]:
            yield f"  {given[name]:,} {words}"


def _about_predictions(guessed: Mapping[str, Any]) -> Iterable[str]:
    yield f"{counted(guessed['all'], 'prediction')}"
    for version, n in guessed["versions"].items():
        yield f"  {n:,} of model version {version!r}"
    if guessed["all"]:
        yield f"  {guessed['used']:,} become outputs, at most one a task: the one that annotators see, or the newest"
    if guessed["without_score"]:
        yield f"  {guessed['without_score']:,} of these have no score from 0 to 1, so no confidence"
    if guessed["not_shown"]:
        yield f"  besides these, {counted(guessed['not_shown'], 'prediction')} of the same tasks: in the project only"


def _some(labels: list[str]) -> str:
    return ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")


def _value(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
