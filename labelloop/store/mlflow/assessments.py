"""Statements about the table assessments: the outputs whose feedback is not on their MLflow trace yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.outputs.output import MLFLOW_TRACE_ID
from labelloop.store.database import Conn, rows_of

NEXT_TRY_AFTER_S = (60, 120, 600, 3600, 10_800)
"""Seconds between a failed try and the next one; the last value repeats."""
MOST_TRIES = 12
"""After this many failed tries, about a day, an output is given up until its feedback changes again."""
DOWN_S = 60
"""Seconds before the next try after MLflow was down."""
DOWN = "MLflow is down: "
"""Beginning of the error of outputs that were not tried because of that."""
CHANGES_AT_ONCE = 10_000
"""Changes that are looked through in one transaction."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An output whose feedback the caller writes to its trace."""

    output_id: UUID
    key: str
    trace_id: str
    seq: int
    tries: int
    """This one included."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The feedback of one reviewer on an output."""

    reviewer_id: UUID
    reviewer: str
    """The login; the name or our id if it is not known."""
    approval: bool | None
    comment: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """An output with all its feedback."""

    model_label: str | None
    answer: str | None
    """The label on which the reviewers agree; None if there is none."""
    judgements: Sequence[Judgement]


def look_through(conn: Conn) -> None:
    """Look through the new changes of feedback, and record the outputs that came from an MLflow trace."""
    loops = conn.execute(
        """
        select name from loops l
        where exists (select from feedback_changes c where c.loop = l.name and c.seq > l.assessed_upto)
        order by name for no key update
        """
    ).fetchall()
    for loop in loops:
        conn.execute(
            """
            with changes as (
                select c.seq, c.output_id from feedback_changes c
                where c.loop = %(loop)s and c.seq > (select assessed_upto from loops where name = %(loop)s)
                order by c.seq limit %(limit)s
            ), recorded as (
                insert into assessments (output_id, loop, seq)
                select o.id, %(loop)s, max(c.seq) from changes c join outputs o on o.id = c.output_id
                where jsonb_typeof(o.meta -> %(trace_id)s) = 'string'
                group by o.id order by o.id
                on conflict (output_id) do update set
                    seq = excluded.seq, tries = 0, next_try_at = clock_timestamp(), error = null, given_up_at = null
            )
            update loops set assessed_upto = coalesce((select max(seq) from changes), assessed_upto)
            where name = %(loop)s
            """,
            {"loop": loop["name"], "limit": CHANGES_AT_ONCE, "trace_id": MLFLOW_TRACE_ID},
        )


def due(conn: Conn) -> list[str]:
    """Return the loops that have an output to be tried now."""
    rows = conn.execute(
        """
        select distinct loop from assessments where given_up_at is null and next_try_at <= clock_timestamp()
        order by loop
        """
    )
    return [row["loop"] for row in rows]


def claim(conn: Conn, loop: str) -> Claimed | None:
    """Claim the loop's first due output; None if none is due.

    The try counts from now on, and the next one comes after a delay, whatever happens to this process.
    """
    return (
        rows_of(conn, Claimed)
        .execute(
            """
            update assessments a set tries = tries + 1, next_try_at = clock_timestamp() + make_interval(
                secs => (%(delays)s::int[])[least(tries + 1, cardinality(%(delays)s::int[]))])
            from outputs o
            where o.id = a.output_id and a.output_id = (
                select output_id from assessments
                where loop = %(loop)s and given_up_at is null and next_try_at <= clock_timestamp()
                order by next_try_at, seq limit 1 for update skip locked)
            returning a.output_id, o.key, o.meta ->> %(trace_id)s as trace_id, a.seq, a.tries
            """,
            {"loop": loop, "delays": list(NEXT_TRY_AFTER_S), "trace_id": MLFLOW_TRACE_ID},
        )
        .fetchone()
    )


def judged(conn: Conn, output_id: UUID) -> Judged:
    """Return the output's feedback, by reviewer, and the answer on which they agree.

    A repeat has those of its original.
    """
    row = conn.execute(
        """
        select o.label as model_label, (
            select a.label from answers a where a.output_id = coalesce(r.original_id, o.id) order by a.seq desc limit 1
        ) as answer
        from outputs o left join repeats r on r.output_id = o.id where o.id = %(id)s
        """,
        {"id": output_id},
    ).fetchone()
    assert row is not None
    judgements = (
        rows_of(conn, Judgement)
        .execute(
            """
            select f.reviewer_id, coalesce(r.email, r.name, r.id::text) as reviewer, f.comment, f.label,
                case when about.label is not distinct from o.label then f.approval
                    else f.label = o.label end as approval
            from outputs o left join repeats s on s.output_id = o.id
            join feedback f on f.model_output_id = coalesce(s.original_id, o.id)
            join outputs about on about.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
            where o.id = %(id)s order by reviewer, f.reviewer_id
            """,
            {"id": output_id},
        )
        .fetchall()
    )
    return Judged(row["model_label"], row["answer"], judgements)


def written(conn: Conn, one: Claimed) -> None:
    """Record that the trace has the feedback. If it has changed meanwhile, the output stays due."""
    # The loop first, as in look_through: otherwise they could deadlock.
    conn.execute(
        """
        update loops set assessments_written = assessments_written + 1
        where name = (select loop from outputs where id = %(id)s)
        """,
        {"id": one.output_id},
    )
    conn.execute("delete from assessments where output_id = %(id)s and seq = %(seq)s", _parameters(one))


def failed(conn: Conn, one: Claimed, error: str) -> None:
    """Record a failed try; after MOST_TRIES the output is given up."""
    if one.tries >= MOST_TRIES:
        give_up(conn, one, error)
    else:
        conn.execute(
            "update assessments set error = %(error)s where output_id = %(id)s and seq = %(seq)s",
            {**_parameters(one), "error": error},
        )


def give_up(conn: Conn, one: Claimed, error: str) -> None:
    """Record that nothing is tried until the feedback changes again."""
    conn.execute(
        """
        update assessments set error = %(error)s, given_up_at = clock_timestamp()
        where output_id = %(id)s and seq = %(seq)s
        """,
        {**_parameters(one), "error": error},
    )


def postpone(conn: Conn, loop: str, error: str, one: Claimed | None = None) -> bool:
    """Record that MLflow is down: nothing of the loop is tried for DOWN_S seconds, and the try of `one` does not count.

    Returns whether this is new.
    """
    row = conn.execute(
        """
        select from assessments where loop = %(loop)s and given_up_at is null and starts_with(error, %(down)s) limit 1
        """,
        {"loop": loop, "down": DOWN},
    ).fetchone()
    conn.execute(
        """
        update assessments set error = %(error)s, next_try_at = clock_timestamp() + make_interval(secs => %(down_s)s),
            tries = tries - case when output_id = %(id)s and seq = %(seq)s then 1 else 0 end
        where loop = %(loop)s and given_up_at is null and (next_try_at <= clock_timestamp() or output_id = %(id)s)
        """,
        {
            "loop": loop, "error": DOWN + error, "down_s": DOWN_S,
            "id": one and one.output_id, "seq": one and one.seq,
        },
    )  # fmt: skip
    return row is None


def _parameters(one: Claimed) -> dict[str, object]:
    return {"id": one.output_id, "seq": one.seq}
