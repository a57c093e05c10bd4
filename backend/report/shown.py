"""What reports say in words, and what they show of an item. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, assert_never
from urllib.parse import urlsplit
from uuid import UUID

from labelloop.store.questions.runs import Decision
from labelloop.versions.runs import RetrainRun, RunStatus

LONGEST_TEXT = 400
"""Characters of a field of an item's data."""
LARGEST_IMAGE = 100_000
"""Characters of an image's data: URI; a larger one is left to Label Studio."""
RASTER = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")
"""An SVG can hold programs, so it is none of these."""


NEEDS = ("decision", "failed", "fault", "drift", "unreadable", "disagreement", "shadow", "answers")
"""What a loop may need, the most urgent first. The last two need nobody yet: time and people's answers see to them."""
STATES_WITHOUT_ALERT = ("shadow", "answers")


def verdict(run: RetrainRun, judged_again: UUID | None) -> str:
    """Say how a run stands, in one sentence. `judged_again`: the run that judges its version again, if there is one."""
    name = "the challenger" if run.version_id is None else f"version {run.version_id[:12]}"
    match run.status:
        case RunStatus.QUEUED:
            return "It waits for the backend's worker."
        case RunStatus.RUNNING:
            asked = f" {run.stop_asked_by} has asked for it to be stopped." if run.stop_asked_by else ""
            return f"It trains.{asked}"
        case RunStatus.PROMOTED:
            return f"Promoted: {name} became champion."
        case RunStatus.REFUSED if judged_again:
            return f"The champion changed after its verdict: run {str(judged_again)[:8]} judges {name} again."
        case RunStatus.REFUSED:
            return "Refused: the champion stays."
        case RunStatus.ASKING:
            return f"It passed the gate: {name} waits for a person's decision. Until then the champion stays."
        case RunStatus.SHADOW:
            return f"In shadow: {name} predicts beside the champion, and nobody is shown what it says."
        case RunStatus.STOPPED:
            return f"Stopped by {run.stop_asked_by or 'a person'}: nothing was changed, the champion stays."
        case RunStatus.FAILED:
            return "Failed: it came to no verdict, the champion stays."
    assert_never(run.status)


def refusal(run: RetrainRun, decisions: Sequence[Decision]) -> str | None:
    """Who refused a run: `the gate`, a person's name, or "" where it passed the gate and was refused for another reason
    (the champion changed, a newer run took its place); None: it is not refused.
    """
    if run.status != "refused":
        return None
    if by := next((made.by for made in decisions if made.decision == "refuse" and made.by != "gate"), None):
        return by
    scores = run.evaluation
    passed = scores.get("passed") and (scores.get("shadow") or {}).get("passed", True)
    return "" if passed else "the gate"


def figures(run: RetrainRun) -> str:
    """What a run measured last of both models: "accuracy 4 of 9, the champion 5 of 9"."""
    scores = run.evaluation
    scores = scores.get("shadow") or scores
    mine, theirs, n = scores.get("challenger"), scores.get("champion"), scores.get("holdout") or 0
    if not mine or not theirs or not n:
        return "no held-out answer judged it"
    other = "the champion" if run.champion_id else "the pipeline's own outputs"
    if scores.get("metric") == "score":
        both = [f"{100 * side['accuracy']:.1f}" for side in (mine, theirs)]
        return f"mean score {both[0]} of 100 on {n} answers, {other} {both[1]}"
    return f"accuracy {mine['correct']} of {n}, {other} {theirs['correct']} of {n}"


def needs(loop: Mapping[str, Any], latest: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a loop needs, the most urgent first: {"kind": one of NEEDS, "what": a sentence, "run": id of the run that it
    is about, or null}. `latest`: its last runs, newest first.
    """
    found: list[dict[str, Any]] = []

    def need(kind: str, what: str, run: object = None) -> None:
        found.append({"kind": kind, "what": what, "run": run})

    for run in latest:
        if run["status"] == "asking":
            need("decision", f"run {run['name']} passed the gate and asks for your decision", run["id"])
        if run["status"] == "shadow":
            need("shadow", f"run {run['name']} is in shadow: it is judged when enough is answered", run["id"])
    ended = [run for run in latest if run["status"] not in ("queued", "running")]
    if ended and ended[0]["status"] == "failed":
        need("failed", f"the last run failed: {ended[0]['error']}", ended[0]["id"])
    if loop["waiting"] and not loop["in_review"]:
        need("fault", "outputs wait, and no task stands open in Label Studio: `labelloop doctor` says why")
    if n := loop["quarantined"]:
        need("fault", f"Label Studio refused {n} {'output' if n == 1 else 'outputs'}: `labelloop doctor` says why")
    # A run that drift asked for mends it by being promoted.
    for run in ended[: next((i for i, run in enumerate(ended) if run["status"] == "promoted"), None)]:
        if run["why"].startswith("drift: "):
            need("drift", f"{run['why']}; no version was promoted since", run["id"])
            break
    if ties := loop["agreement"].ties:
        need("disagreement", f"{ties} {'output has' if ties == 1 else 'outputs have'} no answer: people disagree")
    has, wants = loop["held_out_answers"], loop["min_holdout"]
    if loop["answered"] and has < wants:
        need("answers", f"{has} held-out answers, the gate wants {wants}: until then nothing is promoted")
    if n := loop["unreadable_left"]:
        what = "1 answer cannot be read" if n == 1 else f"{n} answers cannot be read"
        need("unreadable", f"{what}, and nobody else is asked: the loop's page says why")
    return sorted(found, key=urgency)


def urgency(need: Mapping[str, Any]) -> int:
    """0 is the most urgent."""
    return NEEDS.index(need["kind"])


def task_url(base: str | None, project: int | None, task: int | None) -> str | None:
    """Where people open a task; None where it stands nowhere, or the address is none for a link."""
    if not base or project is None or task is None or urlsplit(base).scheme not in ("http", "https"):
        return None
    return f"{base.rstrip('/')}/projects/{project}/data?task={task}"


def excerpts(data: Mapping[str, Any]) -> dict[str, str]:
    """An item's fields as text, without ours: long ones cut, images whole or not at all."""
    return {name: _excerpt(value) for name, value in data.items() if not name.startswith("labelloop_")}


def _excerpt(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    if text.startswith("data:"):
        return text if len(text) <= LARGEST_IMAGE else f"{text[:40]}... ({len(text)} characters)"
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"


def is_picture(value: str) -> bool:
    """Whether a browser may be given it as an image: a raster that comes with it, never an address."""
    return len(value) <= LARGEST_IMAGE and RASTER.match(value) is not None
