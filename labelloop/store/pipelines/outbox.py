"""Statements about the table outbox: rows that wait, rows that were refused, and the role that may only write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from labelloop.store.database import Conn, columns, rows_of


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row that nobody has looked at yet."""

    id: int
    loop: str
    body: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that cannot be stored."""

    id: int
    loop: str
    field: str
    problem: str
    written_at: datetime
    refused_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """Number of rows that wait, and of rows that were refused, for one loop."""

    loop: str
    waiting: int
    refused: int


def claim(conn: Conn, most: int, max_bytes: int) -> list[Waiting]:
    """Lock the oldest waiting rows until the transaction ends, and return them; rows that others hold are left out.

    At most `most` rows, and no further one after `max_bytes` of bodies.
    """
    cursor = rows_of(conn, Waiting)
    return cursor.execute(
        """
        with claimed as materialized (
            select id, loop, body from outbox where refused_at is null
            order by id limit %(most)s for update skip locked
        ), sized as (
            select id, loop, body, sum(octet_length(body)) over (order by id) - octet_length(body) as before
            from claimed
        )
        select id, loop, body from sized where before < %(max_bytes)s order by id
        """,
        {"most": most, "max_bytes": max_bytes},
    ).fetchall()


def delete(conn: Conn, ids: Sequence[int]) -> None:
    """Delete rows whose outputs are stored."""
    conn.execute("delete from outbox where id = any(%(ids)s)", {"ids": list(ids)})


def refuse(conn: Conn, row_id: int, field: str, problem: str) -> None:
    """Record why the row cannot be stored. It is not taken again."""
    conn.execute(
        """
        update outbox set refused_at = now(), field = %(field)s, problem = %(problem)s where id = %(id)s
        """,
        {"id": row_id, "field": field, "problem": problem},
    )


def refused(conn: Conn, loop: str | None, limit: int) -> list[Refused]:
    """Return the newest refused rows of one loop, or of all."""
    cursor = rows_of(conn, Refused)
    return cursor.execute(
        f"""
        select {columns(Refused)} from outbox
        where refused_at is not null and (%(loop)s::text is null or loop = %(loop)s) order by id desc limit %(limit)s
        """,
        {"loop": loop, "limit": limit},
    ).fetchall()


def retry(conn: Conn, loop: str | None, ids: Sequence[int] | None) -> int:
    """Let refused rows wait again: these, or all of one loop or of all loops if `ids` is None; return their number."""
    return conn.execute(
        """
        update outbox set refused_at = null, field = null, problem = null
        where refused_at is not null and (%(loop)s::text is null or loop = %(loop)s)
            and (%(ids)s::bigint[] is null or id = any(%(ids)s))
        """,
        {"loop": loop, "ids": None if ids is None else list(ids)},
    ).rowcount


def discard(conn: Conn, ids: Sequence[int]) -> set[int]:
    """Delete these rows if they were refused; return the ids of the deleted ones."""
    rows = conn.execute(
        "delete from outbox where refused_at is not null and id = any(%(ids)s) returning id", {"ids": list(ids)}
    )
    return {row["id"] for row in rows}


def counts(conn: Conn) -> list[Count]:
    """Count the rows of each loop that has any, existing or not."""
    cursor = rows_of(conn, Count)
    return cursor.execute(
        """
        select loop, count(*) filter (where refused_at is null) as waiting,
            count(*) filter (where refused_at is not null) as refused
        from outbox group by 1 order by 1
        """
    ).fetchall()


def oldest_s(conn: Conn) -> float:
    """Return the age in seconds of the row that has waited longest; 0 if none waits."""
    row = conn.execute(
        """
        select extract(epoch from clock_timestamp() - written_at)::float8 as age
        from outbox where refused_at is null order by id limit 1
        """
    ).fetchone()
    return 0.0 if row is None else max(0.0, float(row["age"]))


def grants(role: str, password: str) -> str:
    """Return the SQL that creates a role which may write rows into the outbox, and do nothing else."""
    lines = sql.SQL(
        """\
create role {role} login password {password};
do $$ begin execute format('grant connect on database %I to {role}', current_database()); end $$;
grant usage on schema public to {role};
grant insert (loop, body) on outbox to {role};"""
    )
    return lines.format(role=sql.Identifier(role), password=sql.Literal(password)).as_string()
