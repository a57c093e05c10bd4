"""Evidence of how good people's answers are: each answer with its gold, the label that was shown, and its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.answers.trust.said import Said
from labelloop.store.database import Conn

MOST = 50_000
"""Answers of a loop that are read, the newest ones."""


class Confusion(NamedTuple):
    """A person's confusion matrix in the newest estimate of people's quality."""

    labels: Sequence[str]
    shares: Sequence[float]
    """Share of each label among the correct ones."""
    shared: int
    """Number of the person's answers that it rests on."""
    rows: Sequence[Sequence[float]]
    """A row for each correct label, a column for each given one; rows sum to 1."""


def said(conn: Conn, loop: str) -> list[Said]:
    """Return the answers that count, in the order of their times. A person is a row of reviewers."""
    rows = conn.execute(
        """
        select * from (
            select f.reviewer_id as person, f.model_output_id as output, f.label, f.updated_at as at,
                f.lead_time_s as seconds, f.prelabel_kept as kept, coalesce(t.label, o.label) as shown,
                case when o.lane = 'gold' then o.gold end as gold, o.holdout and o.lane <> 'gold' as holdout,
                o.triggered
            from feedback f join outputs o on o.id = f.model_output_id
            left join tasks t on t.output_id = o.id
            where o.loop = %(loop)s order by f.updated_at desc, f.id limit %(most)s
        ) newest order by at, output
        """,
        {"loop": loop, "most": MOST},
    ).fetchall()
    return [Said(**row) for row in rows]


def confusions(conn: Conn, loop: str) -> dict[UUID, Confusion]:
    """Return the matrix of each person in the estimate in force, by every row of reviewers of the person."""
    rows = conn.execute(
        """
        select s.id as reviewer_id, q.confusion, q.shared, e.labels, e.shares
        from person_quality q join quality_estimates e on e.id = q.estimate_id
        join reviewers r on r.id = q.reviewer_id join reviewers s on s.id = r.id or s.email = r.email
        where e.id = (select max(id) from quality_estimates where loop = %(loop)s)
        """,
        {"loop": loop},
    ).fetchall()
    found = {}
    for row in rows:
        k = len(row["labels"])
        matrix = [row["confusion"][i * k : (i + 1) * k] for i in range(k)]
        found[row["reviewer_id"]] = Confusion(row["labels"], row["shares"], row["shared"], matrix)
    return found
