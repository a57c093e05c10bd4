"""Answers that no training run has seen yet: their number, their labels, and the time from which they count."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from labelloop.store.database import Conn


def count(conn: Conn, loop: str) -> int:
    """Count the outputs with a clear answer after the cut of every run, failed runs included; without gold."""
    row = conn.execute(
        """
        select count(distinct a.output_id) as n from answers a join outputs o on o.id = a.output_id
        where a.loop = %(loop)s and a.label is not null and o.lane <> 'gold'
        and a.seq > coalesce((select max(feedback_upto) from retrain_runs where loop = %(loop)s), 0)
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def count_by_label(conn: Conn, loop: str) -> dict[str, int]:
    """Count, by answer, the outputs for training that are not part of any run yet."""
    rows = conn.execute(
        """
        select a.label, count(distinct a.output_id) as n from answers a join outputs o on o.id = a.output_id
        where a.loop = %(loop)s and a.label is not null and not o.holdout and o.lane <> 'gold'
        and a.seq > coalesce((select max(feedback_upto) from retrain_runs where loop = %(loop)s), 0)
        group by a.label
        """,
        {"loop": loop},
    ).fetchall()
    return {row["label"]: row["n"] for row in rows}


def not_yet_trained_on(conn: Conn, loop: str, limit: int) -> list[UUID]:
    """Return the outputs of the rule lane answered since the newest version was trained, the newest answers first."""
    rows = conn.execute(
        """
        select o.id from answers a join outputs o on o.id = a.output_id
        where a.loop = %(loop)s and o.lane = 'rule' and a.seq > coalesce(
            (select max(feedback_upto) from retrain_runs where loop = %(loop)s and version_id is not null), 0)
        group by o.id order by max(a.seq) desc limit %(limit)s
        """,
        {"loop": loop, "limit": limit},
    ).fetchall()
    return [row["id"] for row in rows]


def counted_since(conn: Conn, loop: str) -> datetime | None:
    """Return when the last training run made its cut, or else when the first answer came; None if neither happened."""
    row = conn.execute(
        """
        select coalesce(
            (select max(coalesce(started_at, finished_at)) from retrain_runs
             where loop = %(loop)s and feedback_upto is not null and judges is null),
            (select min(resolved_at) from answers where loop = %(loop)s)) as at
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    at: datetime | None = row["at"]
    return at
