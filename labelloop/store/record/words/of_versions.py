"""Words for entries about versions, runs, promotions and promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labelloop.store.record.entries import Entry
from labelloop.store.record.names import Names
from labelloop.versions.version import short

_STAGES = {
    "challenger": "waits for a decision",
    "champion": "becomes the champion",
    "refused": "is refused",
    "retired": "is retired",
}


def _versions(e: Entry, names: Names) -> str:
    if e.operation == "update" and not e.changes("stage"):
        return "what is stored of the version changed"
    return f"{'was trained, and ' if e.is_new else ''}{_STAGES[e.now['stage']]}"


def _promotions(e: Entry, names: Names) -> str:
    epoch, version, previous = e.key.rpartition("/")[2], e.now["version"], e.now["previous"]
    if not e.is_new:
        return f"what is stored of the promotion of epoch {epoch} changed"
    place = f"version {short(previous)}" if previous else "the pipeline's own outputs"
    return f"{f'version {short(version)}' if version else 'the pipeline'} serves in place of {place} (epoch {epoch})"


def _runs(e: Entry, names: Names) -> str:
    return f"run {e.key[:8]} is {e.now['status']}"


def _decisions(e: Entry, names: Names) -> str:
    about = f"about run {e.now['run'][:8]}"
    return f"decision {about}: {e.now['decision']}" if e.is_new else f"what is stored of a decision {about} changed"


def _descriptions(e: Entry, names: Names) -> str:
    did = "was described" if e.is_new else "has an edited description"
    return f"version {short(e.now['version'])} {did}"


def _certificates(e: Entry, names: Names) -> str:
    certificate = f"certificate {e.key}"
    if e.is_new:
        return f"{certificate} is in force"
    if e.changes("revoked") and e.now["revoked"]:
        return f"{certificate} was revoked"
    return f"{certificate} {'was edited' if e.now['in_force'] else 'has ended'}"


def _tests(e: Entry, names: Names) -> str:
    test = f"test {e.now['number']} of the promise about {e.now['labeller']}"
    return f"{test} {'begins' if e.is_new else 'was edited' if e.now['open'] else 'has ended'}"


WORDS: Mapping[str, Callable[[Entry, Names], str]] = {
    "model_versions": _versions,
    "promotions": _promotions,
    "retrain_runs": _runs,
    "decisions": _decisions,
    "version_descriptions": _descriptions,
    "certificates": _certificates,
    "promise_tests": _tests,
}
