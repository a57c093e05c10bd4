"""Words for entries about outputs and their tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labelloop.store.record.entries import Entry
from labelloop.store.record.names import Names

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


def _outputs(e: Entry, names: Names) -> str:
    if e.operation == "delete":
        return "was deleted"
    if e.is_new:
        return f"arrived, and {_BECAME[e.now['state']]}"
    if e.changes("state"):
        return _BECAME[e.now["state"]]
    return "has the labels of today" if names.change_before(e) is not None else "was edited"


def _tasks(e: Entry, names: Names) -> str:
    task, asked = e.now["task"], e.now["overlap"]
    # 1 is the default, whatever number the loop asks.
    people = f"{asked} people" if asked != 1 else "the number of people that the loop asks"
    if e.operation == "delete":
        return f"is no longer task {task} in Label Studio"
    if e.is_new:
        return f"is task {task} in Label Studio" + (f", for {people}" if asked != 1 else "")
    if e.changes("task"):
        return f"is task {task} in Label Studio, before task {e.was.get('task')}"
    if e.changes("instance"):
        return f"is task {task} of another project in Label Studio"
    return f"is asked of {people}" if e.changes("overlap") else f"what is stored of task {task} changed"


def _repeats(e: Entry, names: Names) -> str:
    original = names.output(e.now["original"])
    return f"has {'no longer ' if e.operation == 'delete' else ''}the answer of output {original}"


def _outcomes(e: Entry, names: Names) -> str:
    if e.is_new:
        return f"the pipeline goes on with: {e.now['outcome']}"
    return "what the pipeline goes on with was edited"


def _accepted(e: Entry, names: Names) -> str:
    by = f"certificate {e.now['certificate']}"
    if e.operation == "delete" or (e.changes("revoked") and e.now["revoked"]):
        return f"does not pass by {by} any more"
    return f"passes by {by}" if e.is_new else f"what passes by {by} was edited"


def _forgotten(e: Entry, names: Names) -> str:
    return f"its data was removed (proof {e.now['proof']})"


def _assignments(e: Entry, names: Names) -> str:
    person = names.person(e.key.partition("/")[2])
    if e.operation == "delete":
        return f"is not assigned to {person} any more"
    if e.now["handed_on"]:
        return f"goes on to another person than {person}, who had not answered"
    return f"is assigned to {person}"


WORDS: Mapping[str, Callable[[Entry, Names], str]] = {
    "outputs": _outputs,
    "tasks": _tasks,
    "repeats": _repeats,
    "outcomes": _outcomes,
    "accepted": _accepted,
    "forgotten_outputs": _forgotten,
    "assignments": _assignments,
}
