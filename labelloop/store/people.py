"""What each reviewer of a loop has answered, and how often the known answers were met; the caller's transaction."""

from __future__ import annotations

from typing import Any

from labelloop.store.database import Conn


def work(conn: Conn, loop: str) -> list[dict[str, Any]]:
    """A row a reviewer, who answered most first: outputs answered, median seconds, gold right of gold asked.

    Without a clear label a gold answer is not right.
    """
    return conn.execute(
        """
        select coalesce(r.email, 'user ' || r.label_studio_user_id) as reviewer, count(*) as answered,
               percentile_cont(0.5) within group (order by f.lead_time_s) as median_s,
               count(*) filter (where o.lane = 'gold' and f.label is not distinct from o.gold) as gold_right,
               count(*) filter (where o.lane = 'gold') as gold_asked
        from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
        where o.loop = %(loop)s group by r.id order by answered desc, reviewer
        """,
        {"loop": loop},
    ).fetchall()
