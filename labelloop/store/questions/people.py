"""Who the reviewers of a loop are, what each has answered, and how often the known answers were met; the caller's
transaction.
"""

from __future__ import annotations

from typing import Any

from labelloop.answers.people import distinct_names
from labelloop.store.database import Conn


def work(conn: Conn, loop: str) -> list[dict[str, Any]]:
    """A row a reviewer, the busiest first: the name (`reviewer`, made by people.distinct_names), outputs answered, how
    many of the answers cannot be read (and are in none of the other counts), median seconds, gold right of gold asked,
    preselected answers kept of preselected.

    Without a clear label a gold answer is not right. Answers without a name are in the row whose reviewer is null.
    """
    rows = conn.execute(
        """
        with said as (
            select f.reviewer_id, count(*) as answered,
                percentile_cont(0.5) within group (order by f.lead_time_s) as median_s,
                count(*) filter (where o.lane = 'gold' and f.label is not distinct from o.gold) as gold_right,
                count(*) filter (where o.lane = 'gold') as gold_asked,
                count(*) filter (where f.prelabel_kept) as kept, count(f.prelabel_kept) as preselected
            from feedback f join outputs o on o.id = f.model_output_id
            where o.loop = %(loop)s group by f.reviewer_id
        ), not_read as (
            select reviewer_id, count(*) as unreadable from unreadable
            where loop = %(loop)s and until is null group by reviewer_id
        )
        select r.label_studio_user_id, r.email, r.name, coalesce(s.answered, 0) as answered,
            coalesce(n.unreadable, 0) as unreadable, s.median_s, coalesce(s.gold_right, 0) as gold_right,
            coalesce(s.gold_asked, 0) as gold_asked, coalesce(s.kept, 0) as kept,
            coalesce(s.preselected, 0) as preselected
        from said s full join not_read n on n.reviewer_id = s.reviewer_id
        left join reviewers r on r.id = coalesce(s.reviewer_id, n.reviewer_id)
        order by answered desc, unreadable desc, r.name, r.label_studio_user_id
        """,
        {"loop": loop},
    ).fetchall()
    return [
        {"reviewer": None if row["label_studio_user_id"] is None else called, **row}
        for called, row in zip(distinct_names(rows), rows, strict=True)
    ]


def names(conn: Conn, loop: str) -> dict[str, str]:
    """What verdicts call a reviewer of the loop (`user 7`) to the name. Verdicts and cards keep the number, since they
    are passed on; pages say the name.
    """
    rows = conn.execute(
        """
        select r.label_studio_user_id, r.email, r.name from reviewers r join projects p on p.instance = r.instance
        where p.loop = %(loop)s order by r.label_studio_user_id
        """,
        {"loop": loop},
    ).fetchall()
    return {f"user {row['label_studio_user_id']}": name for row, name in zip(rows, distinct_names(rows), strict=True)}
