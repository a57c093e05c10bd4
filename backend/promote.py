"""Promote: make a version the champion, or go back to an earlier one. One transaction, compare-and-set, on record."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from psycopg.errors import UniqueViolation

from backend import models
from labelloop.errors import Conflict, UsageError
from labelloop.store import jobs
from labelloop.store import versions as version_store
from labelloop.store.database import Conn, Database
from labelloop.versions import PIPELINE, find, previous, short

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A change of champion, as it is on record. `pipeline` stands for the pipeline's own outputs."""

    loop: str
    epoch: int
    version: str
    previous: str
    by: str
    why: str


def promote(database: Database, loop: str, version_id: str, by: str, why: str, *, models_dir: Path | None) -> Promotion:
    """Make a version champion, whatever the gate said; `version_id` may be the first characters of one.

    Raises UsageError for an unknown or ambiguous version, Failed where its file is missing or damaged, Conflict where
    it is champion already or somebody else was quicker.
    """
    with database.transaction() as conn:
        version = find(version_id, [row["id"] for row in version_store.list_(conn, loop)])
        epoch = version_store.epoch(conn, loop)
    models.load(models_dir, version)
    with database.transaction() as conn:
        return switch(conn, loop, version, by=by, why=why, epoch=epoch)


def rollback(
    database: Database, loop: str, by: str, why: str, to: str | None = None, *, models_dir: Path | None
) -> Promotion:
    """Go back to the previous champion, or to the earlier one named by `to` (`pipeline`: its own outputs)."""
    with database.transaction() as conn:
        epoch = version_store.epoch(conn, loop)
        history = [row["version_id"] for row in reversed(version_store.promotions(conn, loop))]
    if to is None:
        target = previous(history)
    elif to == PIPELINE:
        target = None
    else:
        target = find(to, list(dict.fromkeys(v for v in reversed(history) if v is not None)))
    if target is not None:
        models.load(models_dir, target)
    with database.transaction() as conn:
        return switch(conn, loop, target, by=by, why=why, epoch=epoch)


def switch(conn: Conn, loop: str, version_id: str | None, *, by: str, why: str, epoch: int) -> Promotion:
    """Make it champion in the caller's transaction, if nothing has changed since `epoch`."""
    champion = version_store.champion(conn, loop)
    champion_id = None if champion is None else champion["id"]
    if version_store.epoch(conn, loop) != epoch:
        raise Conflict(f"the champion of {loop} has changed meanwhile; it is {short(champion_id)}: look again")
    if champion_id == version_id:
        raise Conflict(f"{short(version_id)} is champion of {loop} already")
    if not by.strip() or not why.strip():
        raise UsageError("a change of champion needs a name and a reason")
    try:
        version_store.record_promotion(
            conn, loop, epoch=epoch + 1, version_id=version_id, previous_id=champion_id, by=by, why=why
        )
    except UniqueViolation as exc:
        raise Conflict(f"somebody else has just changed the champion of {loop}: look again") from exc
    if champion_id is not None:
        version_store.set_stage(conn, champion_id, "retired")
    if version_id is not None:
        version_store.set_stage(conn, version_id, "champion")
    jobs.ask(conn, jobs.PRELABEL, loop)
    logger.info("loop %s: champion %s, before that %s, by %s", loop, short(version_id), short(champion_id), by)
    return Promotion(loop, epoch + 1, short(version_id), short(champion_id), by, why)
