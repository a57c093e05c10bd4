"""Feedback and answers of a loop, as the last pull stored them."""

from __future__ import annotations

from typing import Any

from tests.support.sync_loop import SyncLoop


def feedback(loop: SyncLoop) -> list[dict[str, Any]]:
    return loop.sql(
        """
        select o.label as model_label, f.label, f.approval, f.correction, f.lead_time_s, r.email
        from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
        where o.loop = %(loop)s order by o.confidence, r.email
        """,
        loop=loop.spec.name,
    )


def answers(loop: SyncLoop) -> list[tuple[Any, ...]]:
    rows = loop.sql("select label, agreement, reviewers from answers where loop = %(l)s order by seq", l=loop.spec.name)
    return [tuple(row.values()) for row in rows]
