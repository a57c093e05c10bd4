"""The facts of a model card, as a dict of JSON's own types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend import models
from backend.report.card.limits import limits
from labelloop.answers import measures
from labelloop.errors import LabelloopError, UsageError
from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.people import decisions
from labelloop.store.questions import lineage
from labelloop.store.questions.lineage import MakingRun
from labelloop.store.tables import loops
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import JudgedVersion, find, short

MOST_LABELS = 100
"""Labels listed. The rest are added up in one row whose label is None, because numbers would fill pages."""
NO_LABEL = "none of them"
Card = dict[str, Any]


def card(database: Database, version_id: str, models_dir: Path | None = None) -> Card:
    """Return the card of a version; `version_id` may be the first characters of an id.

    Shares are 0 to 1, times are ISO 8601 in UTC, and a value that was not measured is None. With `models_dir` the file
    is read and checked; only the file has the learner's parameters. Raises UsageError if there is no such version.
    """
    with database.transaction() as conn:
        version = version_store.get(conn, find(version_id, version_store.all_ids(conn)))
        assert version is not None
        spec = loops.get(conn, version.loop)
        if spec is None:
            raise UsageError(f"no loop {version.loop!r}")
        evaluation: Mapping[str, Any] = version.scores or {}
        made = {
            "use": _use(spec),
            "data": _data(conn, version, spec.config.answer),
            "metrics": {
                **_metrics(version, evaluation),
                "max_ece": spec.gate.max_ece,
                "score": measures.score_words(spec.config.answer),
            },
            **{key: evaluation.get(key) for key in ("slices", "calibration", "confusion", "speed")},
            "identity": _identity(version, evaluation, lineage.runs_of(conn, version.id)),
        }
    params, trouble = (None, None) if models_dir is None else _read(models_dir, version.id)
    model = {
        "loop": version.loop,
        "version": version.id,
        "name": short(version.id),
        "stage": str(version.stage),
        "learner": version.learner,
        "params": params,
        "classes": version.classes,
        "size_bytes": version.size_bytes,
        "created_at": _time(version.created_at),
        "decided": {"by": version.by, "why": version.why, "at": _time(version.decided_at)},
        "file": {"checked": models_dir is not None, "trouble": trouble},
    }
    found = {"model": model, **made}
    return {**found, "limits": limits(found)}


def _use(spec: LoopSpec) -> Card:
    return {
        "labels": list(spec.labels),
        "former": {label: list(one.to) for label, one in spec.former_labels.items()},
        "fields": list(spec.config.data_fields),
        "trigger": spec.trigger,
        "overlap": spec.overlap,
        "targets": [target.model_dump(mode="json") for target in spec.targets],
    }


def _data(conn: Conn, version: JudgedVersion, control: ControlTag) -> Card:
    tally = lineage.tally(conn, version.id)
    counts = lineage.counts(conn, version.id)
    held_out = [] if version.run_id is None else lineage.held_out(conn, version.run_id)
    people = lineage.reviewers(conn, version.id)
    bad = decisions.distrusted_in(conn, version.id)
    judged = _by_label(control, ((row.label, row.n) for row in held_out))
    taught = _by_label(control, ((row.label, row.n) for row in tally))
    return {
        "answers": counts.answers,
        "accepted": version.accepted,
        "groups": counts.groups,
        "first_at": _time(counts.first_at),
        "last_at": _time(counts.last_at),
        "held_out": sum(row.n for row in held_out),
        "labels": _cut(
            [
                {"label": label, "taught": taught[label], "held_out": judged[label]}
                for label, _ in (taught + judged).most_common()
            ]
        ),
        "lanes": dict(_sum((row.lane, row.n) for row in tally).most_common()),
        "sources": dict(_sum((row.source, row.n) for row in tally).most_common()),
        "reviewers": {"people": len(people), "most_by_one": people[0].answers if people else None},
        "stale": {"changed": counts.changed, "withdrawn": counts.withdrawn},
        "distrusted": {"taught": bad.taught if bad else 0, "judged": bad.judged if bad else 0},
    }


def _metrics(version: JudgedVersion, evaluation: Mapping[str, Any]) -> Card:
    kept = ("holdout", "gain", "detectable", "better", "worse", "p", "loss", "rule", "reuse", "reviewers")
    return {
        "metric": evaluation.get("metric", "accuracy") if evaluation else None,
        "accuracy": evaluation.get("challenger"),
        "against": None if not evaluation else short(version.judged_against),
        "against_accuracy": evaluation.get("champion"),
        **{key: evaluation.get(key) for key in kept},
        "measures": measures.rows(evaluation.get("measures")),
        "reasons": version.reasons or [],
    }


def _identity(version: JudgedVersion, evaluation: Mapping[str, Any], runs: Sequence[MakingRun]) -> Card:
    judging = next((run for run in runs if run.id == version.run_id), None)
    return {
        "sha256": version.id,
        "run": None if judging is None else str(judging.id),
        "cut": None if judging is None else judging.feedback_upto,
        "seed": None if judging is None else judging.seed,
        "runs": [{"id": str(run.id), "status": run.status, "cut": run.feedback_upto} for run in runs],
        **{key: (evaluation.get("identity") or {}).get(key) for key in ("data_sha256", "code", "python", "packages")},
        "replay": None if judging is None else f"labelloop replay {judging.id}",
    }


def _read(models_dir: Path, version_id: str) -> tuple[Card | None, str | None]:
    """Return the learner's parameters and the fault of its file; one of the two is None."""
    try:
        return dict(models.load(models_dir, version_id).params), None
    except LabelloopError as exc:
        return None, str(exc)


def _by_label(control: ControlTag, rows: Iterable[tuple[str, int]]) -> Counter[str]:
    """Count the labels of answers. Each label that an answer names counts."""
    counts: Counter[str] = Counter()
    for answer, n in rows:
        for label in _labels_of(control, answer):
            counts[label] += n
    return counts


def _labels_of(control: ControlTag, answer: str) -> Sequence[str]:
    """Return the labels that an answer names, with a number or a date as one; none for an answer of another kind."""
    if control.kind in (Kind.NUMBER, Kind.DATE):
        return [answer]
    if control.kind in (Kind.TEXT, Kind.ORDER, Kind.OTHER):
        return []
    try:
        return kinds.of(control).labels_in(control, answer) or [NO_LABEL]
    except ValueError:
        return [answer]  # from before the form asked for answers of this kind


def _cut(rows: list[Card]) -> list[Card]:
    if len(rows) <= MOST_LABELS:
        return rows
    rest = rows[MOST_LABELS:]
    total = {key: sum(row[key] for row in rest) for key in ("taught", "held_out")}
    return [*rows[:MOST_LABELS], {"label": None, "others": len(rest), **total}]


def _sum(rows: Iterable[tuple[str, int]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, n in rows:
        counts[name] += n
    return counts


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
