"""Sentences of the reports, and excerpts of items. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, assert_never
from urllib.parse import urlsplit
from uuid import UUID

from backend.decide.judge import MOST_LABELS
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.store.questions.runs import Decision
from labelloop.versions.runs import RetrainRun, RunStatus

LONGEST_TEXT = 400
"""Characters shown of a field of an item's data."""
LARGEST_IMAGE = 100_000
"""Characters of an image's data: URI. A larger image is shown in Label Studio only."""
RASTER = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")
"""Images that a page may show. An SVG can hold programs, so it is not one of them."""


NEEDS = ("decision", "alerts", "failed", "fault", "drift", "promise", "unreadable", "disagreement", "shadow", "answers")
"""Kinds of needs of a loop, the most urgent first."""
STATES_WITHOUT_ALERT = ("shadow", "answers")
"""Needs that end by themselves as people answer: the loop counts as idle."""


def verdict(run: RetrainRun, judged_again: UUID | None) -> str:
    """Return the state of a run in one sentence. `judged_again`: the run that judges its version again, if any."""
    name = "the challenger" if run.version_id is None else f"version {run.version_id[:12]}"
    match run.status:
        case RunStatus.QUEUED:
            return "Queued: it starts when the backend's worker is free."
        case RunStatus.RUNNING:
            asked = f" {run.stop_asked_by} has asked to stop it." if run.stop_asked_by else ""
            return f"Training.{asked}"
        case RunStatus.PROMOTED:
            return f"Promoted: {name} became champion."
        case RunStatus.REFUSED if judged_again:
            return f"Refused: the champion stays. Run {str(judged_again)[:8]} judges {name} again, or has done so."
        case RunStatus.REFUSED:
            return "Refused: the champion stays."
        case RunStatus.ASKING:
            return f"Passed the gate: {name} needs a person's decision. Until then the champion stays."
        case RunStatus.SHADOW:
            return f"In shadow: {name} predicts beside the champion; its predictions are shown to nobody."
        case RunStatus.STOPPED:
            return f"Stopped by {run.stop_asked_by or 'a person'}: nothing has changed, the champion stays."
        case RunStatus.FAILED:
            return "Failed without a verdict: the champion stays."
    assert_never(run.status)


def refusal(run: RetrainRun, decisions: Sequence[Decision]) -> str | None:
    """Return the refuser of a run: "the gate" or a person's name; None if the run is not refused.

    It is "" if the run passed the gate and was refused for another reason: the champion changed, or a newer run
    replaced it.
    """
    if run.status != "refused":
        return None
    if by := next((made.by for made in decisions if made.decision == "refuse" and made.by != "gate"), None):
        return by
    evaluation = run.evaluation
    passed = evaluation.get("passed") and (evaluation.get("shadow") or {}).get("passed", True)
    return "" if passed else "the gate"


def figures(run: RetrainRun) -> str:
    """Return the last measurement of both models, as in "accuracy 44.4 % (4 of 9), the champion 55.6 % (5 of 9)"."""
    evaluation = run.evaluation
    evaluation = evaluation.get("shadow") or evaluation
    mine, theirs, n = evaluation.get("challenger"), evaluation.get("champion"), evaluation.get("holdout") or 0
    if not mine or not theirs or not n:
        return "it was judged on no held-out answer"
    other = "the champion" if run.champion_id else "the pipeline's own outputs"
    if evaluation.get("metric") == "score":
        both = [f"{100 * side['accuracy']:.1f}" for side in (mine, theirs)]
        return f"mean item score {both[0]} % on {n} answers, {other} {both[1]} %"
    both = [f"{100 * side['correct'] / n:.1f} % ({side['correct']} of {n})" for side in (mine, theirs)]
    return f"accuracy {both[0]}, {other} {both[1]}"


def no_confusion(config: LabelingConfig, evaluation: Mapping[str, Any]) -> str | None:
    """Return why a run has no confusion matrix; None if it has one."""
    if evaluation.get("confusion"):
        return None
    if config.kind is not Kind.LABEL:
        return f"There is none: it needs one label an item, and this loop asks for {config.kind.words}."
    if "confusion" not in evaluation:
        return "There is none: the run measured nothing or is of an older labelloop."
    if not evaluation.get("holdout"):
        return "There is none: there was no held-out answer."
    return f"There is none: there are more than {MOST_LABELS} labels."


def needs(loop: Mapping[str, Any], latest: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the needs of a loop, the most urgent first.

    Each is {"kind": one of NEEDS, "what": a sentence, "run": id of the run that it is about, or None}. `loop` is the
    summary of the loop, `latest` its last runs, newest first.
    """
    found: list[dict[str, Any]] = []

    def need(kind: str, what: str, run: object = None) -> None:
        found.append({"kind": kind, "what": what, "run": run})

    if n := loop["alerts"]:
        what = "1 alert is" if n == 1 else f"{n} alerts are"
        need("alerts", f"{what} open: what people did to the work of others does not count until somebody decides")
    for run in latest:
        if run["status"] == "asking":
            need("decision", f"run {run['name']} passed the gate and needs your decision", run["id"])
        if run["status"] == "shadow":
            need("shadow", f"run {run['name']} is in shadow: it is judged after enough answers", run["id"])
    ended = [run for run in latest if run["status"] not in ("queued", "running")]
    if ended and ended[0]["status"] == "failed":
        need("failed", f"the last run failed: {ended[0]['error']}", ended[0]["id"])
    if loop["waiting"] and not loop["in_review"]:
        need("fault", "outputs are waiting, but no task is open in Label Studio: `labelloop doctor` finds the cause")
    if n := loop["media_held"]:
        held = "1 output is" if n == 1 else f"{n} outputs are"
        need("fault", f"{held} held back, because no browser can read the media: `labelloop doctor --media` tells why")
    if n := loop["quarantined"] - loop["media_held"]:
        refused = "1 output" if n == 1 else f"{n} outputs"
        need("fault", f"Label Studio refused {refused}: `labelloop doctor` finds the cause")
    # A promoted version ends the drift that its run was started for.
    for run in ended[: next((i for i, run in enumerate(ended) if run["status"] == "promoted"), None)]:
        if run["why"].startswith("drift: "):
            need("drift", f"{run['why']}; no version has been promoted since", run["id"])
            break
    for what in loop["ended_promises"]:
        need("promise", what)
    if ties := loop["agreement"].ties:
        tied = "1 output has" if ties == 1 else f"{ties} outputs have"
        need("disagreement", f"{tied} no agreed answer: people disagree")
    has, wants = loop["held_out_answers"], loop["min_holdout"]
    if loop["answered"] and has < wants and not loop["without_learner"]:
        need("answers", f"{has} of {wants} held-out answers that the gate needs: until then nothing is promoted")
    if n := loop["unreadable_left"]:
        what = "1 answer cannot be read" if n == 1 else f"{n} answers cannot be read"
        need("unreadable", f"{what}, and nobody else is asked: the loop's page shows the reasons")
    return sorted(found, key=urgency)


def urgency(need: Mapping[str, Any]) -> int:
    """Return the rank of a need; 0 is the most urgent."""
    return NEEDS.index(need["kind"])


def task_url(base: str | None, project: ProjectId | None, task: TaskId | None) -> str | None:
    """Return the address at which people open a task; None if the task is not in Label Studio or `base` is no URL."""
    if not base or project is None or task is None or urlsplit(base).scheme not in ("http", "https"):
        return None
    return f"{base.rstrip('/')}/projects/{project}/data?task={task}"


def excerpts(data: Mapping[str, Any]) -> dict[str, str]:
    """Return an item's fields as text, without labelloop's own. Long texts are cut; images are whole or left out."""
    return {name: _excerpt(value) for name, value in data.items() if not name.startswith("labelloop_")}


def _excerpt(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    if text.startswith("data:"):
        return text if len(text) <= LARGEST_IMAGE else f"{text[:40]}... ({len(text)} characters)"
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"


def is_picture(value: str) -> bool:
    """Return whether a page may show the value as an image: a raster image inside a data: URI, never an address."""
    return len(value) <= LARGEST_IMAGE and RASTER.match(value) is not None
