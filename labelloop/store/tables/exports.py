"""Statements about the runs and promotions that MLflow does not have yet."""

from __future__ import annotations

from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.runs import RUN
from labelloop.versions.runs import RetrainRun, RunStatus


def any_pending(conn: Conn, loop: str) -> bool:
    """Whether a run has ended otherwise than it was written down, or the champion has changed since."""
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
    """Return the runs that have ended and that MLflow does not have as they ended, oldest first."""
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
    """It is written down as it stood with this status; where it has another by now, it is pending again."""
    conn.execute("update retrain_runs set exported = %(status)s where id = %(id)s", {"id": run_id, "status": status})


def exported_promotions(conn: Conn, loop: str, epoch: int) -> None:
    """The alias champion stands where the change of this epoch put it."""
    conn.execute(
        "update promotions set exported = true where loop = %(loop)s and epoch <= %(epoch)s and not exported",
        {"loop": loop, "epoch": epoch},
    )


def challenger(conn: Conn, loop: str) -> str | None:
    """The newest version that may still be promoted: it asks a person, or is in shadow."""
    row = conn.execute(
        """
        select version_id from retrain_runs where loop = %(loop)s and status in ('asking', 'shadow')
        order by requested_at desc limit 1
        """,
        {"loop": loop},
    ).fetchone()
    return None if row is None else row["version_id"]
