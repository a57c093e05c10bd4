"""Replay: repeats the training of a run in a fresh process and checks whether it gives the same version."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from threadpoolctl import threadpool_limits

from backend import models
from backend.encode.inputs import with_inputs_in
from backend.learners import make
from backend.train.child import Children, Heard, Order, train_in
from backend.train.fitting import fit_and_calibrate
from backend.train.identity import differences, identity
from labelloop.errors import Failed, UsageError
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.privacy import outputs as forgetting
from labelloop.store.tables import loops, run_items, runs
from labelloop.versions.runs import RetrainRun


@dataclass(frozen=True, slots=True)
class Replayed:
    run: str
    version: str
    """Id of the version that the run made."""
    again: str
    """Id of the version that the replay made."""
    same: bool
    """Whether both are the same, byte for byte."""
    differs: tuple[str, ...]
    """Differences between then and now, as texts; there may be some even if the version is the same."""


def replay(database: Database, settings: Settings, loop: str | None, run: str) -> Replayed:
    """Repeat the training of a run. `run`: an id, or the first characters of one.

    Raises UsageError if there is no such run or it made no version, Failed if it cannot be trained again.
    """
    with database.transaction() as conn:
        row = _find(runs.beginning_with(conn, run, loop), run)
        spec, gone = loops.get(conn, row.loop), forgetting.in_training(conn, row.id)
    if row.version_id is None or spec is None:
        raise UsageError(f"run {row.id} made no version (it is {row.status}): there is nothing to compare with")
    if gone:
        raise Failed(
            f"run {row.id} cannot be replayed: {gone} of the outputs that it was trained on were forgotten "
            "(labelloop forget)"
        )
    then = row.evaluation.get("identity") or {}
    limits = spec.retrain.model_copy(update={"threads": then.get("threads", spec.retrain.threads)})
    heard = Heard(settings.hide)
    outcome = train_in(
        Children(settings),
        Order(row.id, limits, replay=True),
        heard,
        lambda: True,
        threading.Event(),
    )
    if "error" in outcome:
        raise Failed(f"run {row.id} cannot be replayed: {outcome['error']}")
    differs = differences(then, outcome["identity"]) if then else ["the run's identity was not kept"]
    same = outcome["version"] == row.version_id
    return Replayed(str(row.id), row.version_id, outcome["version"], same, tuple(differs))


def train_again(database: Database, models_dir: Path | None, run_id: UUID, threads: int) -> dict[str, Any]:
    """Train again on the run's training set, with its seed and its version's parameters, in the child process.

    Returns {"version", "identity"}.
    """
    with database.transaction() as conn:
        run = runs.get(conn, run_id)
        if run is None or run.version_id is None:
            raise Failed(f"no run {run_id} with a version")
        spec = loops.get(conn, run.loop)
        taught = run_items.trained_on(conn, run_id)
    if spec is not None:  # only the pictures and vectors that are kept: the run saw those
        taught = with_inputs_in(database, None, spec, taught)
    made = models.load(models_dir, run.version_id)
    with threadpool_limits(threads):
        learner, _ = fit_and_calibrate(make(made.name, made.params), taught, run.seed)
    with tempfile.TemporaryDirectory() as folder:  # the repeated version is not kept
        stored = models.store(Path(folder), run.loop, learner)
    return {"version": stored.id, "identity": identity(taught, run.seed, threads)}


def _find(found: Sequence[RetrainRun], run: str) -> RetrainRun:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"no run begins with {run!r}: `labelloop runs` lists them")
    raise UsageError(f"{run!r} begins {len(found)} runs: {', '.join(str(row.id) for row in found[:5])}")
