"""Statements about the table outputs: the intake's insert, changes of state, and what other hops and reports read."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.labeling import structured
from labelloop.outputs.output import IDLE, Output, OutputState, body_sha256
from labelloop.queue.lanes import Lane, Placement
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class Row:
    """An output and the place that it was given."""

    output: Output
    placement: Placement
    sha256: bytes

    @classmethod
    def of(cls, output: Output, placement: Placement) -> Row:
        """Return the row with the hash of the output's body."""
        return cls(output, placement, body_sha256(output))


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored output of a key."""

    id: UUID
    key: str
    state: OutputState
    is_new: bool
    fits: bool
    """False: the key is known with another body."""
    sha256: bytes
    """Hash of the stored body."""


@dataclass(frozen=True, slots=True)
class Status:
    """An output with its newest answer."""

    id: UUID
    loop: str
    key: str
    state: OutputState
    lane: Lane
    label: str | None
    """The pipeline's label."""
    confidence: float | None
    model_version: str
    received_at: datetime
    answer_label: str | None
    """None without an answer, and for a tie."""
    agreement: float | None
    reviewers: int | None
    resolved_at: datetime | None
    """None without an answer."""
    rejected: bool | None
    """Whether every reviewer rejected it; None without feedback."""
    source: str | None
    trace: str | None
    step: str | None
    spec_version: int | None
    """Number of the loop's spec that chose the lane; None if it came before these numbers were recorded."""
    original_id: UUID | None
    """The output whose answer it has, because the content is the same; None if it is asked for itself."""
    original: str | None
    """Key of that output."""
    answered_by: Sequence[str] | None
    """The people who answered that output, by login; None without one."""


def insert(
    conn: Conn, loop: str, rows: Sequence[Row], spec_version: int | None = None
) -> tuple[list[Stored], list[Stored], list[Stored]]:
    """Store the outputs, and add the waiting ones to the pool. Keys must be distinct. `spec_version` is the number of
    the spec that chose their lanes.

    Returns three lists in the order of `rows`: new outputs, known ones with the same body, and known ones with another
    body, which are not written. It waits for other transactions that write the same keys.
    """
    conn.execute(
        """
        create temporary table incoming (
            key text, body_sha256 bytea, group_key text, data jsonb, probabilities jsonb, result jsonb, label text,
            confidence float8, model_version text, produced_at timestamptz, lane lane, triggered boolean,
            inclusion float8, holdout boolean, utility float8, evidence jsonb, embedding real[], gold text,
            source text, trace text, step text, meta jsonb, line integer
        ) on commit drop
        """
    )
    with conn.cursor().copy("copy incoming from stdin") as copy:
        for line, row in enumerate(rows):
            copy.write_row((*_columns(row), None if row.output.trace is None else line))
    # In the order of the keys, so that two requests with the same keys cannot deadlock.
    fresh = conn.execute(
        """
        with fresh as (
            insert into outputs (
                loop, key, body_sha256, group_key, data, probabilities, result, label, confidence, model_version,
                produced_at, lane, triggered, inclusion_probability, holdout, state, evidence, embedding, gold,
                source, trace, step, meta, line, spec_version
            )
            select %(loop)s, key, body_sha256, group_key, data, probabilities, result, label, confidence,
                model_version, produced_at, lane, triggered, inclusion, holdout,
                (case lane when 'pass' then 'passed' else 'waiting' end)::output_state, evidence, embedding, gold,
                source, trace, step, meta, line, %(spec_version)s
            from incoming order by key
            on conflict (loop, key) do nothing
            returning id, key, lane, label, confidence
        ), pooled as (
            insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
            select fresh.id, %(loop)s, fresh.lane, incoming.utility, fresh.key, fresh.label, fresh.confidence,
                'pipeline', 'pipeline'
            from fresh join incoming using (key) where fresh.lane <> 'pass'
        )
        select id from fresh
        """,
        {"loop": loop, "spec_version": spec_version},
    ).fetchall()
    new = {row["id"] for row in fresh}
    found = {
        row["key"]: row
        for row in conn.execute(
            """
            select id, key, state::text, body_sha256 from outputs where loop = %(loop)s and key = any(%(keys)s)
            """,
            {"loop": loop, "keys": [row.output.key for row in rows]},
        )
    }
    conn.execute("drop table incoming")  # a second insert in this transaction makes its own
    stored = [_stored(row, found[row.output.key], new) for row in rows]
    return (
        [s for s in stored if s.is_new],
        [s for s in stored if s.fits and not s.is_new],
        [s for s in stored if not s.fits],
    )


def find(conn: Conn, loop: str, keys: Sequence[str], source: str | None = None) -> list[Status]:
    """Return the outputs of these keys, in the order of the keys; keys without an output are left out.

    With `source`, outputs of other sources are left out too.
    """
    cursor = rows_of(conn, Status)
    return cursor.execute(
        """
        select o.id, o.loop, o.key, o.state, o.lane, o.label, o.confidence, o.model_version, o.received_at,
            o.source, o.trace, o.step, o.spec_version, a.label as answer_label, a.agreement, a.reviewers, a.resolved_at,
            (select bool_and(approval is false) from feedback
             where model_output_id = coalesce(r.original_id, o.id)) as rejected,
            r.original_id, (select key from outputs where id = r.original_id) as original,
            (select array_agg(coalesce(p.email, p.name, p.id::text) order by f.created_at)
             from feedback f join reviewers p on p.id = f.reviewer_id
             where f.model_output_id = r.original_id) as answered_by
        from outputs o left join repeats r on r.output_id = o.id
        left join lateral (
            select label, agreement, reviewers, resolved_at from answers
            where output_id = coalesce(r.original_id, o.id) order by seq desc limit 1
        ) a on true
        where o.loop = %(loop)s and o.key = any(%(keys)s) and (%(source)s::text is null or o.source = %(source)s)
        order by array_position(%(keys)s::text[], o.key)
        """,
        {"loop": loop, "keys": list(keys), "source": source},
    ).fetchall()


def comments(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Return the reviewers' comments on each of the outputs, oldest first; outputs without any are left out."""
    rows = conn.execute(
        """
        select o.id, array_agg(f.comment order by f.created_at) as comments
        from unnest(%(ids)s::uuid[]) as o (id) left join repeats r on r.output_id = o.id
        join feedback f on f.model_output_id = coalesce(r.original_id, o.id)
        where f.comment is not null group by 1
        """,
        {"ids": list(output_ids)},
    )
    return {row["id"]: row["comments"] for row in rows}


def state_counts(conn: Conn, loop: str, source: str | None = None) -> dict[str, int]:
    """Count the outputs by state; every state is named. With `source` only those of this source."""
    rows = conn.execute(
        f"""
        select s.state::text as state, count(o.id) as n
        from unnest(enum_range(null::output_state)) as s(state)
        left join outputs o on o.state = s.state and o.loop = %(loop)s {_of(source)}
        group by s.state order by s.state
        """,
        {"loop": loop, "source": source},
    )
    return {row["state"]: row["n"] for row in rows}


def lane_counts(conn: Conn, loop: str, source: str | None = None) -> dict[str, int]:
    """Count the outputs by lane; every lane is named. With `source` only those of this source."""
    rows = conn.execute(
        f"""
        select l.lane::text as lane, count(o.id) as n
        from unnest(enum_range(null::lane)) as l(lane)
        left join outputs o on o.lane = l.lane and o.loop = %(loop)s {_of(source)}
        group by l.lane order by l.lane
        """,
        {"loop": loop, "source": source},
    )
    return {row["lane"]: row["n"] for row in rows}


def _of(source: str | None) -> str:
    return "" if source is None else "and o.source = %(source)s"


def lock_idle(conn: Conn, output_id: UUID) -> bool:
    """Lock the output until the transaction ends; False if its state is none of IDLE."""
    row = conn.execute("select state::text from outputs where id = %(id)s for update", {"id": output_id}).fetchone()
    return row is not None and row["state"] in IDLE


def set_state(
    conn: Conn, output_ids: Sequence[UUID], was: Sequence[OutputState], state: OutputState, reason: str | None
) -> list[UUID]:
    """Set those of the outputs that are in one of the states `was` to `state`; return their ids."""
    rows = conn.execute(
        """
        update outputs set state = %(state)s::output_state, state_reason = %(reason)s
        where id = any(%(ids)s) and state = any(%(was)s::output_state[]) returning id
        """,
        {"ids": list(output_ids), "was": list(was), "state": state, "reason": reason},
    ).fetchall()
    return [row["id"] for row in rows]


def _columns(row: Row) -> tuple[Any, ...]:
    """Return the row in the order of the columns of `incoming`, which has its position after these."""
    output, placement = row.output, row.placement
    return (
        output.key,
        row.sha256,
        output.group_key,
        Jsonb(output.data),
        None if output.probabilities is None else Jsonb(output.probabilities),
        None if output.result is None else Jsonb(output.result),
        placement.label,
        placement.confidence,
        output.model_version,
        output.produced_at,
        placement.lane,
        placement.triggered,
        placement.inclusion_probability,
        placement.holdout,
        placement.utility,
        None if output.evidence is None else Jsonb(output.evidence),
        None if output.embedding is None else _array(output.embedding),
        structured.text(output.gold),
        output.source,
        output.trace,
        output.step,
        None if output.meta is None else Jsonb(output.meta),
    )


def _array(numbers: Sequence[float]) -> str:
    """Return the numbers as text that Postgres reads as an array, because psycopg's own conversion is far slower.

    Each number is rounded to the 32 bits that the column keeps. Postgres would refuse a number that is too small for 32
    bits instead of storing 0.
    """
    return "{" + ",".join(map("{:.9g}".format, array("f", numbers))) + "}"


def _stored(row: Row, found: Mapping[str, Any], new: set[UUID]) -> Stored:
    """Return the stored output, compared with the row that was submitted."""
    sha256 = bytes(found["body_sha256"])
    return Stored(
        found["id"], found["key"], OutputState(found["state"]), found["id"] in new, sha256 == row.sha256, sha256
    )
