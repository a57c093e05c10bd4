"""Snapshots of Postgres: one connection that can only read, and that sees one moment for a whole look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from console.doctor.deep.places import Loop

Row = dict[str, Any]
Conn = psycopg.Connection[Row]
CHUNK = 1_000
"""Rows that are in memory at the same time."""


@contextmanager
def snapshot(url: str) -> Iterator[Conn]:
    """Yield a connection in a read-only transaction (REPEATABLE READ). Raises psycopg.Error if Postgres is away."""
    dsn = make_conninfo(url, connect_timeout=5, tcp_user_timeout=10_000, application_name="labelloop doctor --deep")
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        conn.read_only = True
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # Label Studio is read while the transaction is open, which may take minutes.
        conn.execute("set local idle_in_transaction_session_timeout = 0")
        conn.execute("set local statement_timeout = '10min'")
        conn.execute("set local timezone = 'UTC'")
        yield conn
        conn.rollback()


def stream(conn: Conn, statement: str | sql.Composed, values: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of a statement, CHUNK at a time."""
    with conn.cursor(name="deep") as cursor:
        cursor.itersize = CHUNK
        cursor.execute(statement, values)
        yield from cursor


def is_there(conn: Conn, name: str) -> bool:
    """Return whether this table or view exists: an older database lacks some."""
    row = conn.execute("select to_regclass(%(name)s) is not null as there", {"name": name}).fetchone()
    return row is not None and bool(row["there"])


def counting(conn: Conn) -> str:
    """Return the relation with the versions of annotations that count: without those that a person excluded."""
    return "counting_versions" if is_there(conn, "counting_versions") else "annotation_versions"


def not_forgotten(conn: Conn) -> str:
    """Return the condition on an output `o` that its data was not removed on request."""
    if not is_there(conn, "forgotten_outputs"):
        return "true"
    return "not exists (select from forgotten_outputs g where g.output_id = o.id)"


def loops(conn: Conn, name: str | None) -> list[Loop]:
    """Return the loops, or the one of this name; without removed ones and those whose adoption is not complete."""
    rows = conn.execute(
        """
        select l.name, l.spec, l.labels_xml, p.project_id, p.instance, p.signing_key, l.archived_at
        from loops l left join projects p on p.loop = l.name
        where l.removed_at is null and (%(name)s::text is null or l.name = %(name)s)
        and (l.archived_at is null or not exists (
            select from adoptions a where a.loop = l.name and a.adopted_at is null))
        order by l.name
        """,
        {"name": name},
    ).fetchall()
    return [Loop(**{**row, "signing_key": bytes(row["signing_key"] or b"")}) for row in rows]
