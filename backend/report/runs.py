"""Reports of runs: the verdict with everything it rests on, and the progress of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from backend.report.disagreements import disagreements
from backend.report.parts import SHOWN_ITEMS, Report, as_json, learning_curve, named, picked, run_line
from backend.report.shown import no_confusion, refusal, verdict
from labelloop.answers import measures
from labelloop.answers.item_scores import item_score
from labelloop.answers.measures import metric_of
from labelloop.errors import UsageError
from labelloop.labeling.config import LabelingConfig
from labelloop.store.database import Conn
from labelloop.store.questions import people
from labelloop.store.questions import runs as run_questions
from labelloop.store.tables import descriptions, loops, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun

EVALUATION = ("better", "worse", "p", "loss", "rule", "max_loss", "gain", "detectable", "reuse", "confusion",
              "calibration", "speed", "size_bytes", "identity", "measures")  # fmt: skip
"""Parts of a run's evaluation that its report has unchanged."""


def run_report(conn: Conn, run_id: UUID | str, *, label_studio_url: str = "") -> Report:
    """Return the report of one run: the verdict in words, and everything it rests on.

    `run_id` may be the first characters of an id. `label_studio_url` is the address at which people open Label Studio,
    if the services use another one. Raises UsageError if there is no such run.
    """
    run = _find_run(conn, run_id)
    evaluation: Mapping[str, Any] = run.evaluation
    champion, parts = version_store.champion(conn, run.loop), run_questions.parts(conn, run.id)
    spec = loops.get(conn, run.loop)
    assert spec is not None
    decisions, again = run_questions.decisions(conn, run.id), run_questions.judged_again_by(conn, run.id)
    names = people.names(conn, run.loop)
    return as_json(
        {
            **run_line(run, names),
            **picked(run, "seed", "heartbeat_at", "error", "log", "stop_asked_by", "tried", "progress"),
            "cut": run.feedback_upto,
            "verdict": verdict(run, again),
            "decisions": decisions,
            "refused_by": refusal(run, decisions),
            "judges": run.judges,
            "judged_again": again,
            "taught": parts.taught,
            "held_out": parts.held_out,
            "champion": _side(run.champion_id, evaluation, "champion"),
            "challenger": None if run.version_id is None else _side(run.version_id, evaluation, "challenger"),
            **{key: evaluation.get(key) for key in EVALUATION},
            "metric": evaluation.get("metric", "accuracy") if evaluation else None,
            "measured": measures.rows(evaluation.get("measures")),
            "slices": _slices(evaluation.get("slices"), names),
            "reviewers": evaluation.get("reviewers") or run_questions.held_out_reviewers(conn, run.id),
            "shadow": _shadow(conn, run, spec.config),
            "disagreements": disagreements(conn, run.id, spec.config, SHOWN_ITEMS, label_studio_url),
            "no_confusion": no_confusion(spec.config, evaluation),
            "curve": learning_curve(conn, run.loop, metric_of(spec.config.answer)),
            "serves": named(None if champion is None else champion.id),
            "epoch": version_store.epoch(conn, run.loop),
        },
        descriptions.newest(conn, run.loop),
    )


def run_progress(conn: Conn, run_id: UUID | str) -> Report:
    """Return {"id", "status", "progress", "stop_asked_by"} of a run; cheap enough for a request every two seconds."""
    run = _find_run(conn, run_id)
    return as_json(picked(run, "id", "status", "progress", "stop_asked_by"))


def _find_run(conn: Conn, run_id: UUID | str) -> RetrainRun:
    wanted = str(run_id).strip().lower()
    hexadecimal = bool(wanted) and set(wanted) <= set("0123456789abcdef-")
    found = run_questions.ids_beginning_with(conn, wanted) if hexadecimal else []
    if len(found) > 1:
        raise UsageError(f"{wanted!r} begins more than one run; give more of it")
    run = runs.get(conn, found[0]) if found else None
    if run is None:
        raise UsageError(f"no run begins with {str(run_id)[:80]!r}")
    return run


def _side(version_id: str | None, evaluation: Mapping[str, Any], side: str) -> Report:
    not_measured = dict.fromkeys(("correct", "accuracy", "low", "high"))
    return {**named(version_id), **not_measured, **(evaluation.get(side) or {})}


def _slices(found: Sequence[Mapping[str, Any]] | None, names: Mapping[str, str]) -> list[Report] | None:
    """Add `shown` to each slice: its value as people read it, which is a reviewer's name and not the number."""
    if found is None:
        return None
    return [{**s, "shown": names.get(s["value"], s["value"]) if s["by"] == "reviewer" else s["value"]} for s in found]


def _shadow(conn: Conn, run: RetrainRun, config: LabelingConfig) -> Report | None:
    """Count the outputs that both versions predicted in shadow, and those whose prediction is correct; None if the run
    is not in shadow.
    """
    if run.status != "shadow":
        return None
    rows = run_questions.shadow(conn, run.id)
    answered = [row for row in rows if row.label is not None]

    def correct(side: str) -> int:
        return sum(item_score(config, str(row.label), getattr(row, f"{side}_label")) == 1 for row in answered)

    return {
        "outputs": len(rows),
        "answered": len(answered),
        "champion_right": correct("champion"),
        "challenger_right": correct("challenger"),
    }
