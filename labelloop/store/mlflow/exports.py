"""Statements about the runs and promotions that MLflow does not have yet."""

from __future__ import annotations

from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.runs import RUN
from labelloop.versions.runs import RetrainRun, RunStatus


def any_pending(conn: Conn, loop: str) -> bool:
    """Return whether MLflow lacks the newest state of a run that has ended, or the newest change of champion."""
    row = conn.execute(
        """
        select exists (
            select 1 from retrain_runs where loop = %(loop)s and status not in ('queued', 'running')
            and exported is distinct from status::text
        ) or coalesce((
            select not exported from promotions where loop = %(loop)s order by epoch desc limit 1), false) as pending
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return bool(row["pending"])


def pending(conn: Conn, loop: str, limit: int = 1000) -> list[RetrainRun]:
    """Return the ended runs whose newest state MLflow does not have, oldest first."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        select {RUN} from retrain_runs
        where loop = %(loop)s and status not in ('queued', 'running') and exported is distinct from status::text
        order by requested_at, id limit %(limit)s
        """,
        {"loop": loop, "limit": limit},
    ).fetchall()


def exported(conn: Conn, run_id: UUID, status: RunStatus) -> None:
    """Record that MLflow has the run with this status. If the status changes later, the run is pending again."""
    conn.execute("update retrain_runs set exported = %(status)s where id = %(id)s", {"id": run_id, "status": status})


def exported_promotions(conn: Conn, loop: str, epoch: int) -> None:
    """Record that MLflow has the changes of champion up to this epoch."""
    conn.execute(
        "update promotions set exported = true where loop = %(loop)s and epoch <= %(epoch)s and not exported",
        {"loop": loop, "epoch": epoch},
    )


def challenger(conn: Conn, loop: str) -> str | None:
    """Return the newest version that waits for a person or is in shadow; None if there is none."""
    row = conn.execute(
        """
        select version_id from retrain_runs where loop = %(loop)s and status in ('asking', 'shadow')
        order by requested_at desc limit 1
        """,
        {"loop": loop},
    ).fetchone()
    return None if row is None else row["version_id"]
