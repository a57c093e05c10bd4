"""Judge: gather the input of the gate for a run, and the evaluation that is recorded with its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from backend.learners.of_spec import field_of
from labelloop.answers.item_scores import item_score
from labelloop.answers.measures import measured
from labelloop.errors import Failed
from labelloop.gate import Cost, Gate, GateDecision, Judged, Reuse
from labelloop.gate.slices import Fact
from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import EarlierItem, JudgedItem
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import PIPELINE, short

MOST_LABELS = 100
"""Labels in a confusion matrix that is shown whole and still readable."""


def judge(
    database: Database, spec: LoopSpec, run: RetrainRun, outcome: Mapping[str, Any]
) -> tuple[GateDecision, dict[str, Any]]:
    """Return the gate's verdict on a run's version, and its evaluation as `retrain_runs` keeps it.

    `outcome`: the outcome of the training child.
    """
    with database.transaction() as conn:
        rows = verdicts.held_out(conn, run.id, text_field(spec))
        reuse = _reuse(conn, spec, run, rows)
        version = version_store.get(conn, outcome["version"])
    speed, size = outcome.get("speed") or {}, None if version is None else version.size_bytes
    cost = Cost(speed.get("champion_ms"), speed.get("challenger_ms"), size)
    items = [judged(spec, row) for row in rows]
    decision = gate(spec).judge(items, incumbent(run), reuse=reuse, cost=cost, seed=run.seed)
    more = {
        "answers_upto": outcome.get("answers_upto", run.cut),
        "rule": spec.gate.rule_in_force,
        "max_loss": spec.gate.largest_loss if spec.gate.rule_in_force == "expected_loss" else None,
        "confusion": confusion(spec.config, rows),
        "measures": {
            "champion": measured(spec.config, ((row.label, row.champion_label) for row in rows)),
            "challenger": measured(spec.config, ((row.label, row.challenger_label) for row in rows)),
        },
        "reviewers": reviewers(rows),
        "identity": outcome.get("identity"),
        "accepted": outcome.get("accepted"),
    }
    return decision, decision.evaluation(outcome["trained_on"]) | more


def _reuse(conn: Conn, spec: LoopSpec, run: RetrainRun, rows: Sequence[JudgedItem]) -> Reuse:
    """Return the earlier use of the held-out answers, which `alpha` pays for."""
    kind = spec.gate.reuse_of_answers
    if spec.gate.rule_in_force == "expected_loss" or kind != "bound":
        shares = verdicts.looks(conn, run, spec.gate.min_holdout)
        return Reuse.of(spec.gate.level, shares, ignored=kind == "ignore")
    looks: dict[UUID, dict[UUID, float]] = {}
    for look in verdicts.earlier(conn, run, spec.gate.min_holdout):
        looks.setdefault(look.run_id, {})[look.output_id] = _difference(spec, look)
    today = {row.output_id: _difference(spec, row) for row in rows}
    return Reuse.bounded(spec.gate.level, [*looks.values(), today], np.random.default_rng(run.seed))


def _difference(spec: LoopSpec, row: JudgedItem | EarlierItem) -> float:
    """Return the item score of the challenger minus that of the incumbent."""
    scores = (item_score(spec.config, row.label, said) for said in (row.challenger_label, row.champion_label))
    challenger, champion = scores
    return challenger - champion


def gate(spec: LoopSpec, min_holdout: int | None = None) -> Gate:
    """Return the gate with the loop's rules."""
    rules = spec.gate
    return Gate(
        min_holdout=min_holdout or rules.min_holdout,
        alpha=None if rules.rule_in_force == "expected_loss" else rules.level,
        max_loss=rules.largest_loss,
        floor=rules.floor,
        watch=rules.watch,
        min_gain=rules.min_gain,
        max_ece=rules.max_ece,
        max_slowdown=rules.max_slowdown,
        max_size_mb=rules.max_size_mb,
    )


def incumbent(run: RetrainRun) -> str:
    """Return the name for messages of the version or outputs that the run was judged against."""
    return f"champion {short(run.champion_id)}" if run.champion_id else f"the {PIPELINE}'s own outputs"


def judged(spec: LoopSpec, row: JudgedItem) -> Judged:
    """Return an answered item with both models' predictions, as the gate reads it."""
    answer, said = row.label, (row.champion_label, row.challenger_label)
    return Judged(
        answer,
        *said,
        item_scores=(item_score(spec.config, answer, said[0]), item_score(spec.config, answer, said[1])),
        confidences=(row.champion_confidence, row.challenger_confidence),
        facts=facts(spec, row),
    )


def facts(spec: LoopSpec, row: JudgedItem) -> dict[str, Fact]:
    """Return the item's facts by which gate.slices divides the hold-out set."""
    fields = {f"data.{name}": _fact(value) for name, value in sorted(row.fields.items())}
    known: dict[str, Fact] = {
        "label": _labels(spec.config, row.label),
        "source": row.source,
        "reviewer": tuple(row.people) or None,
        "length": row.length,
        "time": row.resolved_at,
    }
    wanted: dict[str, Fact] = {}
    for name in spec.gate.slices:
        wanted |= fields if name == "data" else {name: (known | fields).get(name)}
    return wanted


def text_field(spec: LoopSpec) -> str | None:
    """Return the field that the learner reads, whose length is a slice; None if the loop has none."""
    try:
        return field_of(spec)
    except Failed:
        return None


def confusion(config: LabelingConfig, rows: Sequence[JudgedItem]) -> dict[str, Any] | None:
    """Return confusion matrices of both models; None if answers are structured or have more than MOST_LABELS labels."""
    labelled = {
        "champion": [(row.label, row.champion_label) for row in rows],
        "challenger": [(row.label, row.challenger_label) for row in rows],
    }
    seen = {label for pairs in labelled.values() for pair in pairs for label in pair if label is not None}
    labels = [label for label in config.labels if label in seen] + sorted(seen - set(config.labels))
    if config.kind is not Kind.LABEL or not labels or len(labels) > MOST_LABELS:
        return None
    place: dict[str | None, int] = {label: i for i, label in enumerate(labels)}
    found: dict[str, Any] = {"labels": labels}
    for who, pairs in labelled.items():
        counts = [[0] * (len(labels) + 1) for _ in labels]
        for answer, given in pairs:
            counts[place[answer]][place.get(given, -1)] += 1
        found[who] = counts
    return found


def reviewers(rows: Sequence[JudgedItem]) -> dict[str, Any]:
    """Return the annotators' number, and their mean agreement on items that several of them answered."""
    shares = [row.agreement for row in rows if row.reviewers > 1 and row.agreement is not None]
    return {
        "people": len({person for row in rows for person in row.people}),
        "answered_by_several": len(shares),
        "agreement": sum(shares) / len(shares) if shares else None,
    }


def _labels(config: LabelingConfig, answer: str) -> Fact:
    """Return the labels that an answer names, or the number that it is; None for one without labels."""
    try:
        if config.kind is Kind.NUMBER:
            return kinds.number.read_number(answer)
        if config.kind is Kind.LABEL:
            return answer
        return kinds.of(config.answer).labels_in(config.answer, answer) or None
    except ValueError:
        return None


def _fact(value: object) -> Fact:
    if isinstance(value, bool):
        return str(value).lower()
    return float(value) if isinstance(value, int | float) else str(value)
