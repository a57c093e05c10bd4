"""Parts that the reports of loops, runs and versions share.

A report is a dict of JSON's own types: the one source of the pages, of HTTP and of the command line. Shares are 0 to 1,
times are ISO 8601 in UTC. A version has its whole id as `version`, which is None for the pipeline's own outputs; a
short `name`; and as `called` the name that people gave it, or None. A value is None if it was not measured: runs of an
older labelloop measured less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from backend.report.words import with_names
from labelloop.store.database import Conn
from labelloop.store.questions import versions as version_questions
from labelloop.store.tables import versions as version_store
from labelloop.versions.descriptions import Description
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import JudgedVersion, Promotion, short

SHOWN_ITEMS = 100
"""Limit of the disagreements, and of the unreadable answers, in one report."""
Report = dict[str, Any]


def as_json(parts: Mapping[str, Any], called: Mapping[str, Description] | None = None) -> Report:
    """Return a report in JSON's own types. `called` maps version ids to their descriptions."""
    plain: Report = _plain(parts, called or {})
    return plain


def _plain(value: Any, called: Mapping[str, Description]) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name), called) for field in fields(value)}
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item, called) for key, item in value.items()}
        if "called" in plain and plain["version"] in called:
            plain["called"] = called[plain["version"]].name
        return plain
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return str(value)  # a StrEnum is not one of JSON's own types
    if isinstance(value, Sequence):
        return [_plain(item, called) for item in value]
    return value


def picked(row: object, *names: str) -> Report:
    """Return these fields of a row."""
    return {name: getattr(row, name) for name in names}


def named(version_id: str | None) -> Report:
    """Return a version as reports name it; `as_json` fills in `called`."""
    return {"version": version_id, "name": short(version_id), "called": None}


def run_line(run: RetrainRun, names: Mapping[str, str] | None = None) -> Report:
    """Return a run as lists show it. `names` maps the reviewers' numbers in its reasons to names."""
    evaluation = run.evaluation
    kept = ("id", "loop", "why", "status", "requested_at", "started_at", "finished_at", "error", "progress")
    return {
        **picked(run, *kept),
        "name": str(run.id)[:8],
        "version": None if run.version_id is None else named(run.version_id),
        "champion": named(run.champion_id),
        "reasons": [with_names(reason, names or {}) for reason in run.reasons],
        "holdout": evaluation.get("holdout"),
        "trained_on": evaluation.get("trained_on"),
        "gain": evaluation.get("gain"),
    }


def version_line(row: JudgedVersion) -> Report:
    """Return a version as lists show it."""
    kept = (
        "loop",
        "stage",
        "learner",
        "classes",
        "size_bytes",
        "trained_on",
        "accepted",
        "created_at",
        "scores",
        "reasons",
    )
    return {**named(row.id), **picked(row, *kept)}


def described(description: Description | None) -> Report:
    """Return tags and note of a version."""
    return {
        "tags": [] if description is None else description.tags,
        "note": None if description is None else description.note,
    }


def promotion_line(row: Promotion) -> Report:
    """Return a change of champion as lists show it."""
    kept = picked(row, "epoch", "by", "why", "at")
    return {**kept, "version": named(row.version_id), "previous": named(row.previous_id)}


def learning_curve(conn: Conn, loop: str, metric: str) -> list[Report]:
    """Return the training size and the accuracy of each judged version, oldest first.

    `metric`: "accuracy", or "score" if the accuracy is a mean item score.
    """
    return [
        {
            **named(row.id),
            "stage": row.stage,
            "trained_on": row.trained_on,
            "holdout": row.scores.get("holdout"),
            "at": row.created_at,
            "metric": metric,
            **{key: row.scores["challenger"].get(key) for key in ("accuracy", "low", "high")},
        }
        for row in reversed(version_store.list_(conn, loop))
        if row.scores and row.scores.get("challenger")
    ]


def accuracy_of(conn: Conn, loop: str, version_id: str | None) -> Report | None:
    """Return the accuracy of a version in the newest run that judged it; None if no run has."""
    run = version_questions.newest_judging_run(conn, loop, version_id)
    if run is None:
        return None
    side = "challenger" if version_id is not None and run.version_id == version_id else "champion"
    measured = run.scores.get(side)
    if not measured:
        return None
    return {**measured, "holdout": run.scores.get("holdout"), "run": run.id, "at": run.finished_at}
