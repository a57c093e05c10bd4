"""Words for entries about loops, their projects, and what belongs to the whole system."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labelloop.store.record.entries import Entry
from labelloop.store.record.names import Names

_FORGOTTEN = {"key": "an output", "group": "a group of outputs", "person": "a person"}


def _loops(e: Entry, names: Names) -> str:
    loop = f"loop {e.key}"
    if e.is_new:
        return f"{loop} was registered"
    if e.operation == "delete" or (e.changes("removed") and e.now["removed"]):
        return f"{loop} was removed"
    if e.changes("archived"):
        return f"{loop} was {'archived' if e.now['archived'] else 'restored'}"
    return f"{loop} has another spec"


def _specs(e: Entry, names: Names) -> str:
    loop, _, number = e.key.rpartition("/")
    return f"spec {number} of loop {loop} {'was registered' if e.is_new else 'was edited'}"


def _projects(e: Entry, names: Names) -> str:
    if e.operation == "delete":
        return f"loop {e.key} has no project any more"
    if e.is_new or e.changes("project") or e.changes("instance"):
        return f"loop {e.key} has project {e.now['project']} in Label Studio"
    return f"what is stored of project {e.now['project']} changed"


def _adoptions(e: Entry, names: Names) -> str:
    project = f"project {e.now['project']} of Label Studio"
    if e.operation == "delete":
        return f"the adoption of {project} was deleted"
    if e.changes("released") and e.now["released"]:
        return f"{project} was released"
    if e.changes("adopted") and e.now["adopted"]:
        return f"{project} was adopted"
    return f"the adoption of {project} {'begins' if e.is_new else 'has new facts'}"


def _tokens(e: Entry, names: Names) -> str:
    name = names.get("access_tokens", e.key)
    token = f"token {name!r}" if name else "a token"
    if e.is_new:
        return f"{token} was made, for {' and '.join(e.now['scopes'])}"
    if e.operation == "delete":
        return f"{token} was deleted"
    return f"{token} was {'revoked' if e.changes('revoked') and e.now['revoked'] else 'changed'}"


def _callbacks(e: Entry, names: Names) -> str:
    callback = f"callback {e.key}"
    if e.is_new:
        return f"{callback} was added, for {', '.join(e.now['events'])}"
    if e.operation == "delete":
        return f"{callback} was removed"
    if e.changes("paused"):
        return f"{callback} {'is paused' if e.now['paused'] else 'goes on'}"
    return f"{callback} was changed"


def _forgotten(e: Entry, names: Names) -> str:
    did = "was begun, or done at once" if e.is_new else "was finished, or its proof was edited"
    return f"the removal of {_FORGOTTEN[e.now['kind']]} {did} (proof {e.key})"


WORDS: Mapping[str, Callable[[Entry, Names], str]] = {
    "loops": _loops,
    "spec_versions": _specs,
    "projects": _projects,
    "adoptions": _adoptions,
    "access_tokens": _tokens,
    "callbacks": _callbacks,
    "forgotten": _forgotten,
}
