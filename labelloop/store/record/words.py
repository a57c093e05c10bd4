"""Entries of the record in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
) -> str:
    """Return the entry in words. `names` has labels and people by table and key; `of_row`: the row is named too."""
    name = names.get(f"{what}/{key}")
    if operation == "forget":
        return f"what tells the content of {what} {key} was deleted"
    if operation == "delete":
        return f"{_noun(what, key)} was deleted"
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
        return f"is asked of {_people(after['overlap'])}, before {_people(before.get('overlap'))}"
    if what == "annotation_versions" and is_new:
        person = name or f"user {after['user']}"
        if after["deleted"]:
            return f"annotation {after['annotation']} was deleted in Label Studio"
        return f"{person} {'skipped the task' if after['skipped'] else 'answered'} (annotation {after['annotation']})"
    if what == "feedback":
        approval = {True: "approved", False: "corrected"}.get(after["approval"], "answered")
        return f"feedback of {name or 'a reviewer'} ({approval})" + ("" if is_new else ", changed")
    if what == "answers" and is_new:
        if not after["agreed"]:
            return "there is no clear answer"
        return f"the answer is {name or 'a label'}, by {_people(after['reviewers'])}"
    if what == "repeats":
        return f"has the answer of output {after['original']}"
    if what == "outcomes" and is_new:
        return f"the pipeline goes on with: {after['outcome']}"
    if what == "model_versions":
        return f"{'was trained, and ' if is_new else ''}{_STAGES[after['stage']]}"
    if what == "promotions" and is_new:
        previous = after["previous"]
        place = f"version {str(previous)[:8]}" if previous else "the pipeline's own outputs"
        serves = f"version {str(after['version'])[:8]}" if after["version"] else "the pipeline"
        return f"{serves} serves in place of {place} (epoch {key.rpartition('/')[2]})"
    if what == "retrain_runs":
        return f"run {key[:8]} is {after['status']}"
    if what == "decisions" and is_new:
        return f"decision about run {after['run'][:8]}: {after['decision']}"
    return None


def _noun(what: str, key: str) -> str:
    return f"{what} {key}"


def _facts(facts: Facts) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items()) or "no facts"


def _people(n: object) -> str:
    return "1 person" if n in (1, None) else f"{n} people"
