"""Rights of the application's role: it reads and writes, and cannot change or delete what is only ever added.

The tables belong to the role that migrates them. With one role for both, the record is protected by its chain alone.
"""

from __future__ import annotations

from psycopg import sql

from labelloop.store.database import Conn

APPEND_ONLY = (
    "adjudications",
    "annotation_versions",
    "answers",
    "decisions",
    "feedback_changes",
    "label_changes",
    "outcomes",
    "person_decisions",
    "promotions",
    "spec_versions",
    "version_descriptions",
)
"""Tables whose rows the application adds, and never changes or deletes."""
READ_ONLY = (
    "forgotten",
    "forgotten_outputs",
    "labelloop_migrations",
    "record_actors",
    "record_entries",
    "record_seals",
    "record_sealing",
    "recorded_tables",
)
"""Tables that the application only reads: the owner writes them, by triggers, functions or `labelloop forget`."""
_COLUMNS = {"promotions": ("exported",)}
"""Columns of append-only tables that the application may change: they say what other systems were told."""


def give(conn: Conn, role: str) -> None:
    """Give the role all that the application needs, and no more. Call it as the owner, after each migration."""
    who = sql.Identifier(role)

    def do(statement: str, *tables: str) -> None:
        names = sql.SQL(", ").join(map(sql.Identifier, tables))
        conn.execute(sql.SQL(statement).format(role=who, tables=names))

    row = conn.execute("select current_database() as name").fetchone()
    assert row is not None
    conn.execute(sql.SQL("grant connect, temporary on database {} to {}").format(sql.Identifier(row["name"]), who))
    # The default since Postgres 15. A function of the application's could be run by a trigger with the owner's rights.
    do("revoke create on schema public from public")
    do("grant usage on schema public to {role}")
    do("grant select, insert, update, delete on all tables in schema public to {role}")
    do("grant usage on all sequences in schema public to {role}")
    # A view works with the owner's rights, so a change through it would reach tables that the role may only read.
    views = conn.execute("select viewname as name from pg_views where schemaname = 'public'").fetchall()
    do("revoke insert, update, delete, truncate on {tables} from {role}", *(row["name"] for row in views))
    do("revoke update, delete, truncate on {tables} from {role}", *APPEND_ONLY)
    do("revoke insert, update, delete, truncate on {tables} from {role}", *READ_ONLY)
    for table, columns in _COLUMNS.items():
        for column in columns:
            conn.execute(
                sql.SQL("grant update ({}) on {} to {}").format(sql.Identifier(column), sql.Identifier(table), who)
            )


def are_two_roles(conn: Conn) -> bool:
    """Return whether the role of this connection can change no entry of the record."""
    row = conn.execute(
        """
        select bool_or(has_table_privilege(name, 'update') or has_table_privilege(name, 'delete')) as may
        from unnest(%(tables)s::text[]) as name
        """,
        {"tables": ["record_entries", "record_seals"]},
    ).fetchone()
    return row is not None and row["may"] is False
