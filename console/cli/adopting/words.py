"""Words of a dry run: facts about the project and planned changes, as plain data and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelloop.reading.ids import UserId
from labelloop.reading.texts import counted
from labelloop.versions.version import PIPELINE
from sync.adopting.settings import planned
from sync.adopting.survey import Survey

if TYPE_CHECKING:
    from console.cli.adopting.plan import Plan
    from sync.adopting.newcomers import Before

LONGEST_VALUE = 60


def report(plan: Plan, survey: Survey, names: Mapping[UserId, str], total: int) -> dict[str, Any]:
    """Return everything that an adoption finds and would change, as plain JSON. `total`: all tasks of the project."""
    spec, before = plan.spec, plan.before
    config = spec.config
    changes = planned(plan.settings, spec, PIPELINE) if before is None or _state(before) != "adopted" else {}
    return {
        "project": {"id": survey.project_id, "title": plan.settings["title"]},
        "loop": spec.name,
        "before": None if before is None else {"state": _state(before), "tasks": total - survey.tasks},
        "form": {
            "answer": config.answer.name,
            "control": config.answer.tag,
            "kind": config.kind.words,
            "controls": [
                {"control": one.tag, "name": one.name, "kind": one.kind.words, "labels": list(one.labels)}
                for one in config.answer.parts
            ],
            "beside": [f"{one.tag} {one.name!r}" for one in config.answer.beside],
            "labels": list(spec.labels),
            "fields": list(config.data_fields),
        },
        "learner": spec.learner.name,
        "without_learner": spec.without_learner,
        **survey.to_json(names),
        "changes": {name: {"from": was, "to": will} for name, (was, will) in changes.items()},
    }


def sentences(found: Mapping[str, Any], url: str, folder: Path) -> Iterable[str]:
    """Yield the report as lines for people. `folder`: where the loop's files would be."""
    tasks, given, guessed = found["tasks"], found["annotations"], found["predictions"]
    project, form = found["project"], found["form"]
    yield f"project {project['id']} {project['title']!r} in Label Studio at {url}"
    yield f"  {_begun(found)}, in {folder}. This was a dry run: nothing was changed."
    yield "form"
    yield from _about_answer(form)
    yield f"  people see {', '.join(f'${name}' for name in form['fields']) or 'no field'}"
    yield f"  learner: {found['learner']}"
    if found["without_learner"]:
        yield f"    {found['without_learner']}"
    if found["before"]:
        yield f"{found['before']['tasks']:,} of the project's tasks are stored already; the next lines leave them out"
    yield from _about_tasks(tasks)
    yield from _about_annotations(given)
    yield from _about_predictions(guessed)
    yield "people"
    for name, n in found["people"].items():
        yield f"  {name}: {counted(n, 'annotation')}"
    if not found["people"]:
        yield "  nobody has answered yet" if not found["before"] else "  nobody has answered these tasks yet"
    yield "settings of the project that change; `labelloop release` restores them"
    if not found["changes"]:
        yield "  none: the loop has set them"
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


def _state(before: Before) -> str:
    if before.is_released:
        return "released"
    return "adopted" if before.adoption.adopted_at is not None else "begun"


def _begun(found: Mapping[str, Any]) -> str:
    """Return the sentence about the loop that the project is or would be."""
    name = f"the loop {found['loop']!r}"
    return {
        None: f"would be {name}",
        "adopted": f"is that of {name} already: another run would take in the tasks that came since",
        "begun": f"is half adopted by {name}: another run would take in the rest",
        "released": f"was given back by {name}: another run would join the two again",
    }[found["before"] and found["before"]["state"]]


def _about_answer(form: Mapping[str, Any]) -> Iterable[str]:
    if form["controls"]:
        yield f"  the answer is {form['kind']}"
        for one in form["controls"]:
            yield f"    {one['control']} {one['name']!r}: {one['kind']}{_labels(one['labels'])}"
        first = form["controls"][0]["name"]
        yield (
            f"    if not all of them are the answer, name those that are, such as --answer {first}. A control "
            "named `comment` is a remark beside the answer"
        )
        return
    yield f"  the answer is {form['kind']}, from {form['control']} {form['answer']!r}{_labels(form['labels'])}"
    if form["beside"]:
        yield f"  each region with its {', '.join(form['beside'])}"


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


def _labels(labels: list[str]) -> str:
    if not labels:
        return ""
    return f", {counted(len(labels), 'label')}: " + ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")


def _value(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
