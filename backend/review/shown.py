"""What reports say in words, and what they show of an item. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

LONGEST_TEXT = 400
"""Characters of a field of an item's data."""
LARGEST_IMAGE = 100_000
"""Characters of an image's data: URI; a larger one is left to Label Studio."""
RASTER = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")
"""An SVG can hold programs, so it is none of these."""


def verdict(run: Mapping[str, Any]) -> str:
    """How a run stands, in one sentence."""
    name = "the challenger" if run["version_id"] is None else f"version {run['version_id'][:12]}"
    match run["status"]:
        case "queued":
            return "It waits for the backend's worker."
        case "running":
            asked = f" {run['stop_asked_by']} has asked for it to be stopped." if run["stop_asked_by"] else ""
            return f"It trains.{asked}"
        case "promoted":
            return f"Promoted: {name} became champion."
        case "refused":
            return "Refused: the champion stays."
        case "asking":
            return f"It passed the gate: {name} waits for a person's decision. Until then the champion stays."
        case "shadow":
            return f"In shadow: {name} predicts beside the champion, and nobody is shown what it says."
        case "stopped":
            return f"Stopped by {run['stop_asked_by'] or 'a person'}: nothing was changed, the champion stays."
        case "failed":
            return "Failed: it came to no verdict, the champion stays."
    return str(run["status"])


def needs(loop: Mapping[str, Any], latest: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What waits for the reader: {"what": a sentence, "run": id of the run that it is about, or null}."""
    found: list[dict[str, Any]] = []
    for run in latest:
        if run["status"] == "asking":
            found.append({"what": f"run {run['name']} passed the gate and asks for your decision", "run": run["id"]})
        if run["status"] == "shadow":
            found.append(
                {
                    "what": f"run {run['name']} is in shadow: promote or refuse it when enough is answered",
                    "run": run["id"],
                }
            )
    if latest and latest[0]["status"] == "failed":
        found.append({"what": f"the last run failed: {latest[0]['error']}", "run": latest[0]["id"]})
    has, wants = loop["held_out_answers"], loop["min_holdout"]
    if loop["answered"] and has < wants:
        found.append(
            {"what": f"{has} held-out answers, the gate wants {wants}: until then nothing is promoted", "run": None}
        )
    if loop["waiting"] and not loop["in_review"]:
        found.append(
            {"what": "outputs wait, and no task stands open in Label Studio: `labelloop doctor` says why", "run": None}
        )
    if n := loop["unreadable_left"]:
        what = "1 answer cannot be read" if n == 1 else f"{n} answers cannot be read"
        found.append({"what": f"{what}, and nobody else is asked: the loop's page says why", "run": None})
    if ties := loop["agreement"]["ties"]:
        found.append({"what": f"{ties} outputs have no answer, because people disagree", "run": None})
    return found


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
