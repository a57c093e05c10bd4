"""Entries of the record in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.versions.version import short

Facts = Mapping[str, Any]

_BECAME = {
    "waiting": "waits for people",
    "passed": "passes: no person is asked",
    "accepted": "passes unseen by a certificate",
    "pushing": "is on its way to Label Studio",
    "in_review": "is shown to people",
    "answered": "is answered",
    "quarantined": "is quarantined",
    "withdrawn": "is withdrawn: its task is gone",
}
_STAGES = {
    "challenger": "waits for a decision",
    "champion": "becomes the champion",
    "refused": "is refused",
    "retired": "is retired",
}


def words(
    what: str,
    key: str,
    operation: str,
    before: Facts | None,
    after: Facts | None,
    names: Mapping[str, str],
    *,
    of_row: bool,
    is_newest: bool,
) -> str:
    """Return the entry in words.

    `names` has labels and people by table and key. `of_row`: an output is named. `is_newest`: the row is as this entry
    left it.
    """
    name = names.get(f"{what}/{key}")
    if operation == "forget":
        return f"what tells the content of {what} {key} was deleted"
    if operation == "delete":
        return f"{_noun(what, key)} was deleted"
    if what == "feedback":
        label = names.get(f"label of feedback/{key}") if is_newest else None
        return _feedback(after or {}, name or "a reviewer", label, is_new=operation == "insert")
    said = _said(what, key, operation, before or {}, after or {}, name)
    if said is None:
        verb = "was recorded" if operation == "insert" else "changed"
        return f"{_noun(what, key)} {verb}: {_facts(after or {})}"
    return f"output {name or key} {said}" if what == "outputs" and of_row else said


def _said(what: str, key: str, operation: str, before: Facts, after: Facts, name: str | None) -> str | None:
    is_new = operation == "insert"
    if what == "outputs":
        if is_new:
            return f"arrived, and {_BECAME[after['state']]}"
        return "was edited" if before == after else _BECAME[after["state"]]
    if what == "tasks":
        if is_new:
            return f"is task {after['task']} in Label Studio, for {_people(after['overlap'])}"
        if before.get("task") != after["task"]:
            return f"is task {after['task']} in Label Studio, before task {before.get('task')}"
        if before.get("instance") != after["instance"]:
            return f"is task {after['task']} of another project in Label Studio"
        return f"is asked of {_people(after['overlap'])}, before {_people(before.get('overlap'))}"
    if what == "annotation_versions" and is_new:
        person = name or f"user {after['user']}"
        if after["deleted"]:
            return f"annotation {after['annotation'] or f'of {person}'} was deleted"
        number = f" (annotation {after['annotation']})" if after["annotation"] else ""  # none over HTTP
        return f"{person} {'skipped the task' if after['skipped'] else 'answered'}{number}"
    if what == "answers" and is_new:
        if not after["agreed"]:
            return "there is no clear answer"
        return f"the answer is {name or 'a label'}, by {_people(after['reviewers'])}"
    if what == "adjudications" and is_new:
        return f"adjudicated by {name or 'an adjudicator'}: the answer is final"
    if what == "repeats":
        return f"has the answer of output {after['original']}"
    if what == "outcomes" and is_new:
        return f"the pipeline goes on with: {after['outcome']}"
    if what == "model_versions":
        return f"{'was trained, and ' if is_new else ''}{_STAGES[after['stage']]}"
    if what == "promotions" and is_new:
        previous = after["previous"]
        place = f"version {short(previous)}" if previous else "the pipeline's own outputs"
        serves = f"version {short(after['version'])}" if after["version"] else "the pipeline"
        return f"{serves} serves in place of {place} (epoch {key.rpartition('/')[2]})"
    if what == "retrain_runs":
        return f"run {key[:8]} is {after['status']}"
    if what == "decisions" and is_new:
        return f"decision about run {after['run'][:8]}: {after['decision']}"
    return None


def _feedback(after: Facts, person: str, label: str | None, *, is_new: bool) -> str:
    approval = {True: "approved", False: "corrected"}.get(after["approval"], "answered")
    said = f"feedback of {person}: {label} ({approval})" if label is not None else f"feedback of {person}: {approval}"
    return said if is_new else f"{said}, changed"


def _noun(what: str, key: str) -> str:
    return f"{what} {key}"


def _facts(facts: Facts) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items()) or "no facts"


def _people(n: object) -> str:
    return "1 person" if n in (1, None) else f"{n} people"
