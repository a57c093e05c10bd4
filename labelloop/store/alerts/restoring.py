"""Outputs whose task was deleted, after somebody decided about the deletion."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from labelloop.store.database import Conn

RESTORED = "the deletion of its task was rejected"
"""Reason of the state of such an output, whose stored answers count without a task."""


def without_task(conn: Conn, output_ids: Sequence[UUID], overlap: int) -> dict[UUID, int]:
    """Return those of these outputs that have no task, each with the number of people behind its newest answer.

    An adjudicator counts for as many as are asked, `overlap`.
    """
    rows = conn.execute(
        """
        select o.id, case when exists (select from adjudications j where j.answer_seq = a.seq)
            then greatest(a.reviewers, %(overlap)s) else coalesce(a.reviewers, 0) end as reviewers
        from outputs o left join lateral (
            select seq, reviewers from answers where output_id = o.id order by seq desc limit 1
        ) a on true
        where o.id = any(%(ids)s) and not exists (select from tasks t where t.output_id = o.id)
        """,
        {"ids": list(output_ids), "overlap": overlap},
    )
    return {row["id"]: row["reviewers"] for row in rows}


def with_reason(conn: Conn, output_ids: Sequence[UUID], reason: str) -> list[UUID]:
    """Return those of these outputs whose state has this reason."""
    rows = conn.execute(
        "select id from outputs where id = any(%(ids)s) and state_reason = %(reason)s",
        {"ids": list(output_ids), "reason": reason},
    )
    return [row["id"] for row in rows]
