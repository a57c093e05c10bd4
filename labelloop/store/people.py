"""Who the reviewers of a loop are, what each has answered, and how often the known answers were met; the caller's
transaction.
"""

from __future__ import annotations

from typing import Any

from labelloop.people import told_apart
from labelloop.store.database import Conn


def work(conn: Conn, loop: str) -> list[dict[str, Any]]:
    """A row a reviewer, who answered most first: the name (`reviewer`, made by people.told_apart), outputs answered,
    median seconds, gold right of gold asked.

    Without a clear label a gold answer is not right.
    """
    rows = conn.execute(
        """
        select r.label_studio_user_id, r.email, r.name, count(*) as answered,
               percentile_cont(0.5) within group (order by f.lead_time_s) as median_s,
               count(*) filter (where o.lane = 'gold' and f.label is not distinct from o.gold) as gold_right,
               count(*) filter (where o.lane = 'gold') as gold_asked
        from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
        where o.loop = %(loop)s group by r.id
        order by answered desc, r.name, r.label_studio_user_id
        """,
        {"loop": loop},
    ).fetchall()
    return [{"reviewer": called, **row} for called, row in zip(told_apart(rows), rows, strict=True)]


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
    return {f"user {row['label_studio_user_id']}": name for row, name in zip(rows, told_apart(rows), strict=True)}
