"""Counts across a loop's tables at this moment, for the report of `labelloop demo`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.reading.ids import AnnotationId
from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.repeats import NO_REPEAT


@dataclass(frozen=True, slots=True)
class LoopCounts:
    """Numbers of a loop's outputs, annotations and feedback rows."""

    outputs: int
    passed: int
    waiting: int
    in_review: int
    answered: int
    set_aside: int
    """Quarantined or withdrawn."""
    annotations: int
    """Annotations that Label Studio still has."""
    feedback: int


def counts(conn: Conn, loop: str) -> LoopCounts:
    """Count the loop's outputs by state, its annotations and its feedback rows."""
    cursor = rows_of(conn, LoopCounts)
    row = cursor.execute(
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
    return row


def states_by_key(conn: Conn, loop: str) -> dict[str, str]:
    """Map the key of each output to its state."""
    rows = conn.execute("select key, state::text from outputs where loop = %(loop)s", {"loop": loop})
    return {row["key"]: row["state"] for row in rows}


def annotation_ids(conn: Conn, loop: str) -> set[AnnotationId]:
    """Return Label Studio's ids of the annotations that Postgres has, without the deleted ones."""
    rows = conn.execute(
        "select a.annotation_id from annotations a join projects p using (instance) where p.loop = %(loop)s",
        {"loop": loop},
    )
    return {row["annotation_id"] for row in rows}


def lost_between_hops(conn: Conn, loop: str, overlap: int) -> int:
    """Count the answers lost between two hops.

    Three cases are added up:

    - annotations that count, without feedback of their reviewer and without a note that they cannot be read
    - outputs on which enough reviewers agree, without an answer that has a label (a tie is an answer without a label)
    - answered outputs without a row in `answers`, except repeats

    Enough reviewers are `overlap`, or the overlap of the task if it was raised.
    """
    row = conn.execute(
        f"""
        with answered as (
            select distinct a.output_id, a.instance, coalesce(a.updated_by, a.completed_by) as who
            from counting_annotations a join outputs o on o.id = a.output_id
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
            (select count(*) from answered s where s.who is not null and not exists (
                select 1 from feedback f join reviewers r on r.id = f.reviewer_id
                where f.model_output_id = s.output_id and r.instance = s.instance and r.label_studio_user_id = s.who))
            + (select count(*) from agreed g join outputs o on o.id = g.output_id
               left join newest n on n.output_id = o.id where o.state <> 'answered' or n.label is null)
            + (select count(*) from outputs o left join newest n on n.output_id = o.id
               where o.loop = %(loop)s and o.state = 'answered' and n.output_id is null and {NO_REPEAT}) as n
        """,
        {"loop": loop, "overlap": overlap},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def stale_tasks(conn: Conn, loop: str, shown: str) -> int:
    """Count the open tasks that do not show a prediction of the version `shown` yet."""
    row = conn.execute(
        """
        select count(*) as n from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' and t.shown_version <> %(shown)s
        """,
        {"loop": loop, "shown": shown},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def trainable_keys(conn: Conn, loop: str) -> Sequence[str]:
    """Return the keys of the outputs that may be trained on, sorted: neither held out nor gold."""
    rows = conn.execute(
        "select key from outputs where loop = %(loop)s and not holdout and lane <> 'gold' order by key", {"loop": loop}
    )
    return [row["key"] for row in rows]
