"""Judge: gathers what the gate reads of a run, and what the record keeps beside its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.learners.of_spec import field_of
from labelloop.answers.item_scores import item_score
from labelloop.errors import Failed
from labelloop.gate import Cost, Gate, GateDecision, Judged, Reuse
from labelloop.gate.slices import Fact
from labelloop.labeling import structured
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import PIPELINE, short

MOST_LABELS = 100
"""Of a confusion matrix that is shown whole and can be read."""
Row = Mapping[str, Any]


def judge(
    database: Database, spec: LoopSpec, run: RetrainRun, outcome: Mapping[str, Any]
) -> tuple[GateDecision, dict[str, Any]]:
    """The verdict on what a run made, and its scores as `retrain_runs` keeps them. `outcome`: what the child said."""
    with database.transaction() as conn:
        rows = verdicts.held_out(conn, run.id, text_field(spec))
        shares = verdicts.looks(conn, run, spec.gate.min_holdout)
        version = version_store.get(conn, outcome["version"])
    reuse = Reuse.of(spec.gate.alpha, shares, ignored=spec.gate.reuse == "ignore")
    speed, size = outcome.get("speed") or {}, None if version is None else version.size_bytes
    cost = Cost(speed.get("champion_ms"), speed.get("challenger_ms"), size)
    items = [judged(spec, row) for row in rows]
    decision = gate(spec).judge(items, incumbent(run), reuse=reuse, cost=cost, seed=run.seed)
    more = {
        "confusion": confusion(spec.config, rows),
        "reviewers": reviewers(rows),
        "identity": outcome.get("identity"),
    }
    return decision, decision.evaluation(outcome["trained_on"]) | more


def gate(spec: LoopSpec, min_holdout: int | None = None) -> Gate:
    """The rules of the loop."""
    said = spec.gate
    return Gate(
        min_holdout=min_holdout or said.min_holdout,
        alpha=said.alpha,
        floor=said.floor,
        min_gain=said.min_gain,
        max_ece=said.max_ece,
        max_slowdown=said.max_slowdown,
        max_size_mb=said.max_size_mb,
    )


def incumbent(run: RetrainRun) -> str:
    """What sentences call the one that the run was judged against."""
    return f"champion {short(run.champion_id)}" if run.champion_id else f"the {PIPELINE}'s own outputs"


def judged(spec: LoopSpec, row: Row) -> Judged:
    """One answered item with what both models said, as the gate reads it."""
    answer, said = row["label"], (row["champion_label"], row["challenger_label"])
    return Judged(
        answer,
        *said,
        item_scores=(item_score(spec.config, answer, said[0]), item_score(spec.config, answer, said[1])),
        confidences=(row["champion_confidence"], row["challenger_confidence"]),
        facts=facts(spec, row),
    )


def facts(spec: LoopSpec, row: Row) -> dict[str, Fact]:
    """What the slices of gate.slices are cut by."""
    fields = {f"data.{name}": _fact(value) for name, value in sorted(row["fields"].items())}
    known: dict[str, Fact] = {
        "label": _labels(spec.config, row["label"]),
        "source": row["source"],
        "reviewer": tuple(row["people"]) or None,
        "length": row["length"],
        "time": row["resolved_at"],
    }
    wanted: dict[str, Fact] = {}
    for name in spec.gate.slices:
        wanted |= fields if name == "data" else {name: (known | fields).get(name)}
    return wanted


def text_field(spec: LoopSpec) -> str | None:
    """The field that the learner reads, whose length is a slice; None where none is named."""
    try:
        return field_of(spec)
    except Failed:
        return None


def confusion(config: LabelingConfig, rows: Sequence[Row]) -> dict[str, Any] | None:
    """Answers counted by what was said of them; None where they are structured or their labels too many to read."""
    seen = {row[name] for row in rows for name in ("label", "champion_label", "challenger_label")} - {None}
    labels = [label for label in config.labels if label in seen] + sorted(seen - set(config.labels))
    if config.kind is not Kind.LABEL or not labels or len(labels) > MOST_LABELS:
        return None
    place: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
    found: dict[str, Any] = {"labels": labels}
    for who in ("champion", "challenger"):
        counts = [[0] * (len(labels) + 1) for _ in labels]
        for row in rows:
            counts[place[row["label"]]][place.get(row[f"{who}_label"], -1)] += 1
        found[who] = counts
    return found


def reviewers(rows: Sequence[Row]) -> dict[str, Any]:
    """How far the people behind the answers agree, where several answered the same item."""
    shares = [row["agreement"] for row in rows if row["reviewers"] > 1 and row["agreement"] is not None]
    return {
        "people": len({person for row in rows for person in row["people"]}),
        "answered_by_several": len(shares),
        "agreement": sum(shares) / len(shares) if shares else None,
    }


def _labels(config: LabelingConfig, answer: str) -> Fact:
    """The labels that an answer names; a number is itself."""
    try:
        if config.kind is Kind.LABELS:
            return tuple(structured.read_labels(answer))
        if config.kind is Kind.SPANS:
            return tuple(sorted({span.label for span in structured.read_spans(answer)}))
        if config.kind is Kind.NUMBER:
            return structured.read_number(answer)
    except ValueError:
        return None
    return answer


def _fact(value: object) -> Fact:
    if isinstance(value, bool):
        return str(value).lower()
    return float(value) if isinstance(value, int | float) else str(value)
