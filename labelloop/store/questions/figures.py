"""Counts across the tables of a loop, as they are at this moment: for the demo's report and for people who ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.store.database import Conn


def counts(conn: Conn, loop: str) -> dict[str, Any]:
    """How many outputs, by state; annotations (as Label Studio has them now), feedback rows, and outputs answered."""
    row = conn.execute(
        """
        select count(*) as outputs,
               count(*) filter (where state = 'passed') as passed,
               count(*) filter (where state in ('waiting', 'pushing')) as waiting,
               count(*) filter (where state = 'in_review') as in_review,
               count(*) filter (where state = 'answered') as answered,
               count(*) filter (where state in ('quarantined', 'withdrawn')) as set_aside,
               (select count(*) from annotations a join outputs o on o.id = a.output_id where o.loop = %(loop)s)
                   as annotations,
               (select count(*) from feedback f join outputs o on o.id = f.model_output_id where o.loop = %(loop)s)
                   as feedback
        from outputs where loop = %(loop)s
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return dict(row)


def keys(conn: Conn, loop: str) -> dict[str, str]:
    """Key to state of every output."""
    rows = conn.execute("select key, state::text from outputs where loop = %(loop)s", {"loop": loop})
    return {row["key"]: row["state"] for row in rows}


def annotation_ids(conn: Conn, loop: str) -> set[int]:
    """Label Studio's ids of the annotations that we have and that it still has."""
    rows = conn.execute(
        "select a.annotation_id from annotations a join projects p using (instance) where p.loop = %(loop)s",
        {"loop": loop},
    )
    return {row["annotation_id"] for row in rows}


def unheeded(conn: Conn, loop: str, overlap: int) -> int:
    """What people said and nothing came of, by what the tables of the next hop should hold.

    Annotations that count, of whose reviewer there is neither feedback nor a note that they cannot be read; outputs on
    which enough reviewers agree and that are not answered with a label; answered outputs of which no answer is written
    down. A tie is an answer without a label; a task that is asked once more waits for that.
    """
    row = conn.execute(
        """
        with said as (
            select distinct a.output_id, a.instance, coalesce(a.updated_by, a.completed_by) as who
            from annotations a join outputs o on o.id = a.output_id
            where o.loop = %(loop)s and a.distrusted is null and not a.was_cancelled
            and not exists (select from unreadable u where u.annotation_version = a.seq and u.until is null)
        ), agreed as (
            select f.model_output_id as output_id from feedback f join outputs o on o.id = f.model_output_id
            left join tasks t on t.output_id = o.id
            where o.loop = %(loop)s and f.label is not null
            group by 1 having count(*) >= greatest(%(overlap)s, max(t.overlap)) and count(distinct f.label) = 1
        ), newest as (
            select distinct on (output_id) output_id, label from answers
            where loop = %(loop)s order by output_id, seq desc
        )
        select
            (select count(*) from said s where s.who is not null and not exists (
                select 1 from feedback f join reviewers r on r.id = f.reviewer_id
                where f.model_output_id = s.output_id and r.instance = s.instance and r.label_studio_user_id = s.who))
            + (select count(*) from agreed g join outputs o on o.id = g.output_id
               left join newest n on n.output_id = o.id where o.state <> 'answered' or n.label is null)
            + (select count(*) from outputs o left join newest n on n.output_id = o.id
               where o.loop = %(loop)s and o.state = 'answered' and n.output_id is null) as n
        """,
        {"loop": loop, "overlap": overlap},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def stale_tasks(conn: Conn, loop: str, shown: str) -> int:
    """Open tasks that do not show the version `shown` yet."""
    row = conn.execute(
        """
        select count(*) as n from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' and t.shown_version <> %(shown)s
        """,
        {"loop": loop, "shown": shown},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def teachable(conn: Conn, loop: str) -> Sequence[str]:
    """Keys of the outputs that may teach: those that are no hold-out and no gold, in the order of the keys."""
    rows = conn.execute(
        "select key from outputs where loop = %(loop)s and not holdout and lane <> 'gold' order by key", {"loop": loop}
    )
    return [row["key"] for row in rows]
