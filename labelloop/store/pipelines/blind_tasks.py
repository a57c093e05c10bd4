"""Statements about the table blind_tasks: outputs that people answer without any prelabel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from labelloop.store.database import Conn

BLIND = """
    exists (
        select from blind_tasks d join tasks t using (output_id)
        where d.output_id = o.id and not d.shown_before and not exists (
            select from feedback f join reviewers r on r.id = f.reviewer_id
            where f.model_output_id = o.id and r.instance <> t.instance
        )
    )
"""
"""Condition on outputs `o` with an answer: all of its answers were given in Label Studio, without any prelabel."""


def draw(conn: Conn, loop: str, shares: Mapping[UUID, float], form_sha256: bytes) -> None:
    """Store that these outputs are shown without a prelabel, each with the share that was in force.

    An output that was drawn before keeps its row. `shown_before` is set if people may have seen it with a prelabel.
    """
    conn.execute(
        """
        insert into blind_tasks (output_id, loop, share, form_sha256, shown_before)
        select s.id, %(loop)s, s.share, %(form)s,
            exists (select from output_events e where e.output_id = s.id and e.became = 'in_review')
            or exists (select from adopted_tasks a where a.output_id = s.id)
        from unnest(%(ids)s::uuid[], %(shares)s::float8[]) as s (id, share) order by s.id
        on conflict (output_id) do nothing
        """,
        {"loop": loop, "form": form_sha256, "ids": list(shares), "shares": list(shares.values())},
    )


def among(conn: Conn, loop: str, output_ids: Sequence[UUID], task_ids: Sequence[int]) -> tuple[set[UUID], set[int]]:
    """Return those of these outputs, and of these tasks of the loop's project, that are shown without a prelabel."""
    rows = conn.execute(
        """
        select b.output_id, t.label_studio_id from blind_tasks b
        left join projects p using (loop) left join tasks t on t.output_id = b.output_id and t.instance = p.instance
        where b.loop = %(loop)s and (b.output_id = any(%(ids)s) or t.label_studio_id = any(%(tasks)s))
        """,
        {"loop": loop, "ids": list(output_ids), "tasks": list(task_ids)},
    ).fetchall()
    return {row["output_id"] for row in rows}, {row["label_studio_id"] for row in rows}
