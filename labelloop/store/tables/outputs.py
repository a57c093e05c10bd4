"""Statements about the table outputs: the intake's insert, changes of state, and what other hops and reports read."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.labeling import kinds
from labelloop.outputs.output import IDLE, Output, OutputState, canonical, sha256_of
from labelloop.queue.lanes import Lane, Placement
from labelloop.reading import quick_json
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.incoming import Incoming


class Row(NamedTuple):
    """An output and the place that it was given."""

    output: Output
    placement: Placement
    canonical: Mapping[str, str]
    """The canonical JSON of each field that the output has."""
    sha256: bytes

    @classmethod
    def of(cls, output: Output, placement: Placement) -> Row:
        """Return the row with the canonical fields and the hash of the output's body."""
        fields = canonical(output, quick_json.dumps)
        return cls(output, placement, fields, sha256_of(fields))


class Stored(NamedTuple):
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
    state_reason: str | None
    """Why it is in its state, for some states."""


class Inserting:
    """Stores outputs part by part, and adds the waiting ones to the pool, in the caller's transaction.

    `spec_version` is the number of the spec that chose their lanes. A context: leave it before the next statement.
    """

    def __init__(self, conn: Conn, loop: str, spec_version: int | None = None) -> None:
        self._conn = conn
        self._loop = loop
        self._rows: list[tuple[int, Row]] = []
        self._incoming = Incoming(conn, loop, spec_version)

    def add(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Begin to store rows, each with its place in the request; earlier parts have only keys that sort before."""
        self._rows += rows
        self._incoming.add(_columns(row, place) for place, row in rows)

    def stored(self) -> tuple[list[Stored], list[Stored], list[Stored]]:
        """Return three lists in the order of the places: new outputs, known ones with the same body, and known ones
        with another body, which are not written.
        """
        ids = self._incoming.ids()
        rows = [row for _, row in sorted(self._rows, key=itemgetter(0))]
        others = _known(self._conn, self._loop, [row.output.key for row in rows if row.output.key not in ids])
        new, known, conflicts = list[Stored](), list[Stored](), list[Stored]()
        for row in rows:
            key = row.output.key
            if key in ids:
                state = OutputState.PASSED if row.placement.lane == Lane.PASS else OutputState.WAITING
                new.append(Stored(ids[key], key, state, True, True, row.sha256))
                continue
            id_, state, sha256 = others[key]
            fits = sha256 == row.sha256
            (known if fits else conflicts).append(Stored(id_, key, state, False, fits, sha256))
        return new, known, conflicts

    def __enter__(self) -> Inserting:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._incoming.__exit__(*exc)


def insert(
    conn: Conn, loop: str, rows: Sequence[Row], spec_version: int | None = None
) -> tuple[list[Stored], list[Stored], list[Stored]]:
    """Store the outputs in one part, as Inserting does; return what `stored` returns. Keys must be distinct."""
    with Inserting(conn, loop, spec_version) as inserting:
        inserting.add(list(enumerate(rows)))
        return inserting.stored()


def _known(conn: Conn, loop: str, keys: Sequence[str]) -> dict[str, tuple[UUID, OutputState, bytes]]:
    """Return id, state and hash of the body of each stored key."""
    if not keys:
        return {}
    rows = conn.execute(
        "select id, key, state::text, body_sha256 from outputs where loop = %(loop)s and key = any(%(keys)s)",
        {"loop": loop, "keys": list(keys)},
    )
    return {row["key"]: (row["id"], OutputState(row["state"]), bytes(row["body_sha256"])) for row in rows}


def find(conn: Conn, loop: str, keys: Sequence[str], source: str | None = None) -> list[Status]:
    """Return the outputs of these keys, in the order of the keys; keys without an output are left out.

    With `source`, outputs of other sources are left out too.
    """
    cursor = rows_of(conn, Status)
    return cursor.execute(
        """
        select o.id, o.loop, o.key, o.state, o.state_reason, o.lane, o.label, o.confidence, o.model_version,
            o.received_at, o.source, o.trace, o.step, o.spec_version, a.label as answer_label, a.agreement, a.reviewers,
            a.resolved_at,
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


def data_of(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Return the data of these outputs by id."""
    rows = conn.execute("select id, data from outputs where id = any(%(ids)s)", {"ids": list(output_ids)})
    return {row["id"]: row["data"] for row in rows}


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


def _columns(row: Row, place: int) -> tuple[Any, ...]:
    """Return the row in the order of incoming.COLUMNS, with the utility."""
    output, placement, text = row.output, row.placement, row.canonical.get
    return (
        output.key,
        row.sha256,
        output.group_key,
        text("data"),
        text("probabilities"),
        text("result"),
        placement.label,
        placement.confidence,
        output.model_version,
        output.produced_at,
        placement.lane,
        placement.triggered,
        placement.inclusion_probability,
        placement.holdout,
        text("evidence"),
        None if output.embedding is None else _array(output.embedding),
        kinds.as_text(output.gold),
        output.source,
        output.trace,
        output.step,
        text("meta"),
        None if output.trace is None else place,
        placement.utility,
    )


def _array(numbers: Sequence[float]) -> str:
    """Return the numbers as text that Postgres reads as an array, because psycopg's own conversion is far slower.

    Each number is rounded to the 32 bits that the column keeps. Postgres would refuse a number that is too small for 32
    bits instead of storing 0.
    """
    return "{" + ",".join(map("{:.9g}".format, array("f", numbers))) + "}"
