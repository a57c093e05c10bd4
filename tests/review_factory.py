"""Factories for tests of the review pages: loops with judged runs, as a worker leaves them in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from backend.promote import switch
from backend.review.pairs import paired
from backend.train import train
from labelloop.store import runs, versions
from labelloop.store.database import Database
from tests.backend_factory import answer, digits_loop, put_into_label_studio, scans

FELL = {"by": "source", "value": "scanner 2", "n": 24, "champion": 0.9, "challenger": 0.7, "gain": -0.2, "low": -0.35,
        "high": -0.05, "fell": True}  # fmt: skip


def judged_loop(database: Database, models_dir: Path, last: str = "asking") -> tuple[UUID, UUID]:
    """A loop of digits in Label Studio's project 30, with a promoted version and, after more answers, a second run.

    150 outputs stand in Label Studio as tasks. Returns both runs.
    """
    spec = digits_loop(database, n=240, answered=60)
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 150)
        conn.execute("update tasks set instance = (select instance from projects)")
    first = judged_run(database, models_dir, spec.name, "promoted")
    _, truths = scans()
    with database.transaction() as conn:
        rows = conn.execute("select id, key from outputs where loop = %s", (spec.name,)).fetchall()
        ids = {row["key"]: row["id"] for row in rows}
        answer(conn, spec.name, {ids[f"item-{i}"]: truths[i] for i in range(60, 200)})
    return first, judged_run(database, models_dir, spec.name, last)


def judged_run(database: Database, models_dir: Path, loop: str, status: str) -> UUID:
    """A run that really trained and judged, with every score that a gate leaves; `promoted` makes it champion."""
    with database.transaction() as conn:
        champion = versions.champion(conn, loop)
        run_id = runs.request(conn, loop, "60 new answers")
        runs.claim(conn, loop, None if champion is None else champion["id"])
        epoch = versions.epoch(conn, loop)
    assert run_id is not None
    outcome = train(database, models_dir, run_id)
    with database.transaction() as conn:
        held_out = runs.items(conn, run_id, "holdout")
        scores = scores_of(held_out, outcome["trained_on"])
        reasons = [f"{scores['better']} better, {scores['worse']} worse, p = {scores['p']:.2g}"]
        runs.finish(conn, run_id, status, reasons=reasons, version_id=outcome["version"], scores=scores)
        if status == "promoted":
            switch(conn, loop, outcome["version"], by="gate", why=reasons[0], epoch=epoch)
    return run_id


def scores_of(held_out: Sequence[dict[str, Any]], trained_on: int) -> dict[str, Any]:
    """As `retrain_runs.scores` keeps them; slices, confusion and gain are counted, the rest is made up."""
    rows = [{"label": i["label"], "one": i["champion_label"], "other": i["challenger_label"]} for i in held_out]
    pair = paired(rows, "champion", "challenger")
    labels = sorted({row["label"] for row in rows})
    return {
        "holdout": len(rows),
        "trained_on": trained_on,
        "champion": pair["accuracy_a"],
        "challenger": pair["accuracy_b"],
        "better": pair["better"],
        "worse": pair["worse"],
        "p": pair["p"],
        "metric": "accuracy",
        "gain": pair["gain"],
        "detectable": 0.094,
        "reuse": {"looks": 2, "alpha": 0.025, "asked": 0.05},
        "slices": [*(_slice([row for row in rows if row["label"] == label], label) for label in labels), FELL],
        "calibration": {"champion": _calibration(0.2), "challenger": _calibration(0.05)},
        "confusion": {
            "labels": labels,
            "champion": _confusion(rows, labels, "one"),
            "challenger": _confusion(rows, labels, "other"),
        },
        "speed": {"champion_ms": None, "challenger_ms": 0.21},
        "size_bytes": 48_000,
        "reviewers": {"people": 3, "answered_by_several": 12, "agreement": 0.91},
        "identity": {
            "data_sha256": "5d" * 32,
            "code": "labelloop 0.1.0",
            "python": "3.11",
            "packages": {"numpy": "2.1.0"},
            "seed": 0,
        },
    }


def _slice(rows: Sequence[dict[str, Any]], label: str) -> dict[str, Any]:
    found = paired(rows, "champion", "challenger")
    one, other = found["accuracy_a"]["accuracy"], found["accuracy_b"]["accuracy"]
    gain = {"gain": other - one, "low": found["gain"]["low"], "high": found["gain"]["high"]}
    return {"by": "label", "value": label, "n": len(rows), "champion": one, "challenger": other, **gain,
            "fell": other < one}  # fmt: skip


def _calibration(off: float) -> dict[str, Any]:
    middles = [0.3, 0.5, 0.7, 0.9]
    bins = [
        {"low": x - 0.1, "high": x + 0.1, "n": int(100 * x), "confidence": x, "accuracy": x * (1 - off)}
        for x in middles
    ]
    return {"ece": off / 2, "bins": bins}


def _confusion(rows: Sequence[dict[str, Any]], labels: Sequence[str], side: str) -> list[list[int]]:
    said = [*labels, None]
    return [[sum(r["label"] == truth and r[side] == s for r in rows) for s in said] for truth in labels]
