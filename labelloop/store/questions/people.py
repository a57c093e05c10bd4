"""The reviewers of a loop: their names, their work, and their answers beside the shown prelabels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from labelloop.answers import given
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
    wrong_kept: int
    """Wrong prelabels on gold items that the person submitted unchanged."""
    wrong_shown: int
    """Gold items that the person answered and whose prelabel was wrong."""


def work(conn: Conn, loop: str) -> list[ReviewerWork]:
    """Return one row for each reviewer, most answers first."""
    rows = conn.execute(
        """
        with readable as (
            select f.reviewer_id, count(*) as answered,
                percentile_cont(0.5) within group (order by f.lead_time_s) as median_s,
                count(*) filter (where o.lane = 'gold' and f.label = o.gold) as gold_right,
                count(*) filter (where o.lane = 'gold' and o.gold is not null) as gold_asked,
                count(*) filter (where f.prelabel_kept) as kept, count(f.prelabel_kept) as preselected,
                count(*) filter (where f.prelabel_kept and o.lane = 'gold' and t.label <> o.gold) as wrong_kept,
                count(f.prelabel_kept) filter (where o.lane = 'gold' and t.label <> o.gold) as wrong_shown
            from feedback f join outputs o on o.id = f.model_output_id left join tasks t on t.output_id = o.id
            where o.loop = %(loop)s group by f.reviewer_id
        ), not_read as (
            select reviewer_id, count(*) as unreadable from unreadable
            where loop = %(loop)s and until is null and decision is null group by reviewer_id
        )
        select r.label_studio_user_id, r.email, r.name, coalesce(s.answered, 0) as answered,
            coalesce(n.unreadable, 0) as unreadable, s.median_s, coalesce(s.gold_right, 0) as gold_right,
            coalesce(s.gold_asked, 0) as gold_asked, coalesce(s.kept, 0) as kept,
            coalesce(s.preselected, 0) as preselected, coalesce(s.wrong_kept, 0) as wrong_kept,
            coalesce(s.wrong_shown, 0) as wrong_shown
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


def nothing_yet(name: str, email: str | None) -> ReviewerWork:
    """Return the row of a person without any answer."""
    return ReviewerWork(name, None, email, name, 0, 0, None, 0, 0, 0, 0, 0, 0)


def names(conn: Conn, loop: str) -> dict[str, str]:
    """Map the number of each reviewer of the loop (`user 7`), in Label Studio or over HTTP, to the name.

    Verdicts and cards leave the loop's team, so they have the number only; pages show the name.
    """
    rows = conn.execute(
        """
        select label_studio_user_id, email, name from reviewers
        where instance = %(http)s or instance in (select instance from projects where loop = %(loop)s)
        order by label_studio_user_id
        """,
        {"loop": loop, "http": given.instance_of(loop)},
    ).fetchall()
    return {f"user {row['label_studio_user_id']}": name for row, name in zip(rows, distinct_names(rows), strict=True)}


class Shown(NamedTuple):
    """One person's answer to an output whose task showed a prelabel."""

    shown: str | None
    """The prelabel that the task had last."""
    champion: str
    """The version that gave it, by its first 12 digits; `pipeline` for the output's own model."""
    model_version: str
    """The pipeline's name for its model."""
    output_label: str | None
    result: list[Any] | None
    """Label Studio's own result, if the pipeline sent one."""
    kept: bool
    label: str | None
    """The person's answer."""
    week: datetime
    """Monday, 0:00 UTC, of the week of the answer."""


def answers_to_prelabels(conn: Conn, loop: str, begin: datetime, most: int) -> Iterator[Shown]:
    """Yield the answers since `begin`, at most `most`, newest first; gold items are left out."""
    with conn.cursor(name="corrections") as cursor:
        cursor.itersize = 5_000
        cursor.execute(
            """
            select t.label as shown, t.champion, o.model_version, o.label as output_label, o.result,
                f.prelabel_kept as kept, f.label, date_trunc('week', f.updated_at at time zone 'utc') as week
            from feedback f join outputs o on o.id = f.model_output_id join tasks t on t.output_id = o.id
            where o.loop = %(loop)s and f.prelabel_kept is not null and f.updated_at >= %(begin)s and o.lane <> 'gold'
            order by f.updated_at desc, f.id limit %(most)s
            """,
            {"loop": loop, "begin": begin, "most": most},
        )
        for row in cursor:
            yield Shown(**row)
