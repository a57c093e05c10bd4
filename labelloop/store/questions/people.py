"""The reviewers of a loop: their names, and the number, speed and accuracy of their answers."""

from __future__ import annotations

from dataclasses import dataclass

from labelloop.answers.people import distinct_names
from labelloop.reading.ids import UserId
from labelloop.store.database import Conn


@dataclass(frozen=True, slots=True)
class ReviewerWork:
    """The answers of one reviewer."""

    reviewer: str | None
    """Name, as in `distinct_names`; None for the answers of users that were deleted in Label Studio."""
    label_studio_user_id: UserId | None
    email: str | None
    name: str | None
    answered: int
    unreadable: int
    """Answers that cannot be read; they are in none of the other numbers."""
    median_s: float | None
    gold_right: int
    """Correct answers to gold items; a gold answer without a clear label is incorrect."""
    gold_asked: int
    kept: int
    """Preselected answers submitted unchanged."""
    preselected: int


def work(conn: Conn, loop: str) -> list[ReviewerWork]:
    """Return one row for each reviewer, most answers first."""
    rows = conn.execute(
        """
        with readable as (
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
        from readable s full join not_read n on n.reviewer_id = s.reviewer_id
        left join reviewers r on r.id = coalesce(s.reviewer_id, n.reviewer_id)
        order by answered desc, unreadable desc, r.name, r.label_studio_user_id
        """,
        {"loop": loop},
    ).fetchall()
    return [
        ReviewerWork(reviewer=None if row["label_studio_user_id"] is None else name, **row)
        for name, row in zip(distinct_names(rows), rows, strict=True)
    ]


def names(conn: Conn, loop: str) -> dict[str, str]:
    """Map the number of each reviewer of the loop (`user 7`) to the name.

    Verdicts and cards leave the loop's team, so they have the number only; pages show the name.
    """
    rows = conn.execute(
        """
        select r.label_studio_user_id, r.email, r.name from reviewers r join projects p on p.instance = r.instance
        where p.loop = %(loop)s order by r.label_studio_user_id
        """,
        {"loop": loop},
    ).fetchall()
    return {f"user {row['label_studio_user_id']}": name for row, name in zip(rows, distinct_names(rows), strict=True)}
