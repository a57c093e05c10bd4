"""Judge again a version that passed the gate while the champion changed, against the present champion.

This is a run of its own, so that each verdict stays on record. Nothing is trained: the version's file is loaded, and
both models predict the held-out items of the run whose verdict is outdated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.errors import Failed
from labelloop.store.database import Conn
from labelloop.store.tables import jobs, run_items, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.items import ItemToLabel
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import short


@dataclass(frozen=True, slots=True)
class Judging:
    """The version that a run judges again."""

    version_id: str
    trained_on: int
    identity: Mapping[str, Any] | None
    """Identity of the run that made it, which a replay needs; None for runs of an older labelloop."""


def ask_again(conn: Conn, run: RetrainRun, version_id: str, champion_id: str | None) -> UUID | None:
    """Request another verdict on the version of `run`, which was judged against another champion than `champion_id`.

    Returns the new run's id; None if the version serves now, or another verdict is open already. Part of the caller's
    transaction.
    """
    if version_id == champion_id:
        return None
    why = f"run {str(run.id)[:8]} passed the gate against {short(run.champion_id)}; {short(champion_id)} serves now"
    made = runs.request_again(conn, run.loop, run.id, why, seed=run.seed)
    jobs.ask(conn, jobs.RETRAIN, run.loop)
    return made


def judged_before(conn: Conn, run: RetrainRun) -> tuple[Judging, list[ItemToLabel]]:
    """Return the version that `run` judges again, and the held-out items. A second call changes nothing.

    Raises Failed if the earlier run is not on record or made no version.
    """
    before = None if run.judges is None else runs.get(conn, run.judges)
    version = None if before is None or before.version_id is None else version_store.get(conn, before.version_id)
    if before is None or version is None:
        raise Failed(f"run {run.judges} has no version that could be judged again")
    run_items.clear(conn, run.id)
    run_items.copy(conn, run.id, before.id)
    judging = Judging(version.id, version.trained_on, before.evaluation.get("identity"))
    return judging, run_items.held_out(conn, run.id)
