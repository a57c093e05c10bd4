"""Replay: a run's training once more in a fresh process, and whether the same version comes of it, byte for byte."""

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
from backend.learners import make
from backend.train.child import Children, Heard, Order, train_in
from backend.train.identity import differences, identity
from backend.train.teach import teach
from labelloop.errors import Failed, UsageError
from labelloop.pictures.kept import with_pictures_in
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import loops, run_items, runs
from labelloop.versions.runs import RetrainRun


@dataclass(frozen=True, slots=True)
class Replayed:
    run: str
    version: str
    """What the run made."""
    again: str
    """What the replay made."""
    same: bool
    differs: tuple[str, ...]
    """What is another than it was then, in words, whether or not the version is."""


def replay(database: Database, settings: Settings, loop: str | None, run: str) -> Replayed:
    """Train again what the run taught. `run`: an id, or the first characters of one.

    Raises UsageError where there is no such run or it made no version, Failed where it cannot be trained again.
    """
    with database.transaction() as conn:
        row = _find(runs.beginning_with(conn, run, loop), run)
        spec = loops.get(conn, row.loop)
    if row.version_id is None or spec is None:
        raise UsageError(f"run {row.id} made no version (it is {row.status}): there is nothing to compare with")
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


def teach_again(database: Database, models_dir: Path | None, run_id: UUID, threads: int) -> dict[str, Any]:
    """In the child: {"version", "identity"} of what the run taught with its seed and the parameters of its version."""
    with database.transaction() as conn:
        run = runs.get(conn, run_id)
        if run is None or run.version_id is None:
            raise Failed(f"no run {run_id} with a version")
        spec = loops.get(conn, run.loop)
        taught = run_items.trained_on(conn, run_id)
    if spec is not None:  # only what is kept: what the run saw
        taught = with_pictures_in(database, None, spec, taught)
    made = models.load(models_dir, run.version_id)
    with threadpool_limits(threads):
        learner = teach(make(made.name, made.params), taught, run.seed)
    with tempfile.TemporaryDirectory() as folder:  # what differs is no version of ours
        stored = models.store(Path(folder), run.loop, learner)
    return {"version": stored.id, "identity": identity(taught, run.seed, threads)}


def _find(found: Sequence[RetrainRun], run: str) -> RetrainRun:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"no run begins with {run!r}: `labelloop runs` names them")
    raise UsageError(f"{run!r} begins {len(found)} runs: {', '.join(str(row.id) for row in found[:5])}")
