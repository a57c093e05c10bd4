"""The training child: `python -m backend.train`, with a run's id on standard input.

It reads the cut, fits, predicts the hold-out and keeps the file. It never touches the run's status nor the champion;
what it made is one line of JSON on standard output. Its memory is limited, and it ends when its standard
input does, so a worker that is killed leaves no child behind.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from backend import models
from backend.learners import Learner, make
from backend.learners.calibrate import calibrate
from backend.patience import patiently
from labelloop import log
from labelloop.errors import Failed, LabelloopError, Unreadable
from labelloop.settings import Settings
from labelloop.spec import LoopSpec
from labelloop.store import loops, runs
from labelloop.store import versions as version_store
from labelloop.store.database import Database

MEMORY_LIMIT = 4 << 30


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is a log line, not our answer
    run_id = os.read(0, 1024).decode().strip()
    if not run_id:
        return 0
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    try:
        with Database(settings.database_url, size=1) as database:
            outcome = train(database, settings.models_dir, UUID(run_id))
    except LabelloopError as exc:
        outcome = {"error": str(exc)}
    except MemoryError:
        outcome = {"error": f"out of memory: training may use {MEMORY_LIMIT >> 30} GiB"}
    except Exception as exc:
        logging.getLogger(__name__).exception("training failed")
        outcome = {"error": f"training failed: {type(exc).__name__}: {exc}"}
    os.write(answer, json.dumps(outcome).encode())
    return 0


def train(database: Database, models_dir: Path | None, run_id: UUID) -> dict[str, Any]:
    """Fit the challenger of a run and let both models say what the held-out items are. Twice gives the same bytes."""

    def gather() -> tuple[dict[str, Any], LoopSpec, list[dict[str, Any]]]:
        with database.transaction() as conn:
            run = runs.get(conn, run_id)
            spec = None if run is None else loops.get(conn, run["loop"])
            if run is None or spec is None or run["feedback_upto"] is None:
                raise Failed(f"no run {run_id} that was started")
            return run, spec, runs.answered(conn, run["loop"], run["feedback_upto"])

    run, spec, rows = patiently(gather)
    taught = [row for row in rows if not row["holdout"]]
    judged = [row for row in rows if row["holdout"]]
    learner = learner_of(spec)
    taught, notes = _readable(learner, taught)
    patiently(lambda: _write_items(database, run_id, [*taught, *judged]))
    if len(taught) < 2:
        return {"refused": " ".join([f"{len(taught)} answers to learn from, 2 at least: refused", *notes])}
    data, labels, rng = [r["data"] for r in taught], [r["label"] for r in taught], np.random.default_rng(run["seed"])
    try:
        learner.fit(data, labels, rng)
        learner = calibrate(learner, data, labels, rng, groups=[r["group_key"] for r in taught])
    except Failed as exc:
        return {"refused": f"{exc}: refused"}
    stored = models.store(models_dir, spec.name, learner)
    challenger = _say(learner, judged)
    if run["champion_id"] is None:
        incumbent = [row["pipeline_label"] for row in judged]
    else:
        incumbent = _say(models.load(models_dir, run["champion_id"]), judged)

    def keep() -> None:
        with database.transaction() as conn:
            version_store.insert(
                conn,
                spec.name,
                stored.id,
                learner=learner.name,
                classes=learner.classes,
                size_bytes=stored.size_bytes,
                trained_on=len(taught),
            )
            runs.write_verdicts(conn, run_id, [row["output_id"] for row in judged], incumbent, challenger)

    patiently(keep)
    return {"version": stored.id, "trained_on": len(taught), "notes": notes}


def learner_of(spec: LoopSpec) -> Learner:
    """The loop's learner, which knows nothing yet."""
    return make(spec.learner.name, {"field": field_of(spec), **spec.learner.params})


def field_of(spec: LoopSpec) -> str:
    """The field of the data that the loop's learner reads: the first one that annotators see, where none is named."""
    fields = [name for name in spec.config.data_fields if not name.startswith("labelloop_")]
    if spec.learner.field is None and not fields:
        raise Failed(f"the labeling config of {spec.name} shows no field of the data: name one in learner.field")
    return spec.learner.field or fields[0]


def _readable(learner: Learner, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows that the learner can read, and a note about the others: one bad item must not stop the loop for good."""
    try:
        learner.check([row["data"] for row in rows])
    except Unreadable as exc:
        named = Unreadable(exc.faults, [row["key"] for row in rows])
        good = [row for position, row in enumerate(rows) if position not in exc.faults]
        return good, [f"{len(exc.faults)} of {len(rows)} answers left out, they cannot be read: {named}"]
    return rows, []


def _say(learner: Learner, rows: list[dict[str, Any]]) -> list[str | None]:
    """The learner's label of each row; None where it cannot read the data, which the gate counts as wrong."""
    good, _ = _readable(learner, rows)
    said = learner.say([row["data"] for row in good])
    labels = {row["output_id"]: label for row, label in zip(good, said.labels, strict=True)}
    return [labels.get(row["output_id"]) for row in rows]


def _write_items(database: Database, run_id: UUID, rows: list[dict[str, Any]]) -> None:
    with database.transaction() as conn:
        runs.clear_items(conn, run_id)
        runs.write_items(conn, run_id, rows)


def _end_with_the_worker() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
