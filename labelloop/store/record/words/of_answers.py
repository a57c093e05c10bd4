"""Words for entries about what people answered, and about what of it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labelloop.store.record.entries import Entry
from labelloop.store.record.names import Names


def _annotations(e: Entry, names: Names) -> str:
    person = names.get("annotation_versions", e.key) or (f"user {e.now['user']}" if e.now["user"] else "a person")
    annotation = e.now["annotation"]
    if not e.is_new:
        return f"what is stored of an answer of {person} changed"
    if e.now["deleted"]:
        return f"annotation {annotation or f'of {person}'} was deleted"
    number = f" (annotation {annotation})" if annotation else ""  # none over HTTP
    return f"{person} {'skipped the task' if e.now['skipped'] else 'answered'}{number}"


def _feedback(e: Entry, names: Names) -> str:
    person = names.person(e.now["reviewer"])
    if e.operation == "delete":
        return f"feedback of {person} does not count any more"
    said = {True: "approved", False: "corrected"}.get(e.now["approval"], "answered")
    label = names.get("feedback", e.key) if e.id in names.newest else None
    said = said if label is None else f"{label} ({said})"
    return f"feedback of {person}: {said}{'' if e.is_new else ', changed'}"


def _answers(e: Entry, names: Names) -> str:
    if not e.is_new:
        return "what is stored of an answer changed"
    if not e.now["agreed"]:
        return "there is no clear answer"
    people = "1 person" if e.now["reviewers"] in (1, None) else f"{e.now['reviewers']} people"
    return f"the answer is {names.get('answers', e.key) or 'a label'}, by {people}"


def _adjudications(e: Entry, names: Names) -> str:
    return f"adjudicated by {names.person(e.now['reviewer'])}: the answer is final"


def _unreadable(e: Entry, names: Names) -> str:
    answer = names.answer(e.now["annotation_version"])
    if e.operation == "delete" or not e.now["open"]:
        return f"the earlier reason why {answer} does not count has ended"
    return f"{answer} does not count{'' if e.is_new else ', for another reason'}"


def _exclusions(e: Entry, names: Names) -> str:
    answer, alert = names.answer(e.now["annotation_version"]), f"alert {e.now['alert']}"
    if e.operation == "delete" or not e.now["in_force"]:
        return f"{alert} no longer keeps {answer} from counting"
    return f"{answer} does not count: {alert}"


def _alerts(e: Entry, names: Names) -> str:
    alert, state = f"alert {e.key} ({e.now['kind']})", e.now["state"]
    if e.operation == "delete":
        return f"{alert} was deleted"
    if e.is_new:
        person = names.get("alerts", e.key)
        by = f" by {person}" if person else ""
        return f"alert {e.key}: {e.now['kind']}{by}{'' if state == 'open' else f', and {state}'}"
    if e.changes("state"):
        return f"{alert} is open again" if state == "open" else f"{alert} was {state}"
    if e.changes("ended") and e.now["ended"]:
        return f"{alert} is over: Label Studio has what the loop has"
    return f"{alert} has new facts"


def _person_decisions(e: Entry, names: Names) -> str:
    person = names.person(e.now["reviewer"])
    if not e.is_new:
        return f"what is stored of a decision about {person} changed"
    if e.now["ends"] is not None:
        return f"answers of {person} count again"
    until = f" until {_time(e.now['until'])}" if e.now["until"] else ""
    return f"answers of {person} do not count from {_time(e.now['since'])}{until}"


def _label_changes(e: Entry, names: Names) -> str:
    change = f"change {e.key} of the labels"
    if not e.is_new:
        return f"what is stored of {change} was edited"
    return f"{change}: {names.get('label_changes', e.key) or e.now['kind']}"


def _time(iso: str) -> str:
    return iso[:19].replace("T", " ")


WORDS: Mapping[str, Callable[[Entry, Names], str]] = {
    "annotation_versions": _annotations,
    "feedback": _feedback,
    "answers": _answers,
    "adjudications": _adjudications,
    "unreadable": _unreadable,
    "exclusions": _exclusions,
    "alerts": _alerts,
    "person_decisions": _person_decisions,
    "label_changes": _label_changes,
}
