"""Forgetting on the record: salts and reasons of rows are deleted before the rows change, and the chain stays whole.

The record keeps a salted digest of each row's content (docs/house/on-record.md). Without its salt nobody can test a
guess. The check of the record finds the row forgotten and not changed. The caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from labelloop.store.database import Conn


def forget_rows(conn: Conn, table: str, where: str, values: Mapping[str, object]) -> None:
    """Delete salts and reasons of these rows. A table that is not on record is left out. Call it before they change."""
    row = conn.execute("select key from recorded_tables where name = %s", [table]).fetchone()
    if row is not None:
        conn.execute(
            f"select record_forget('{table}', array(select {row['key']} from {table} r where {where}))", values
        )


def forget_reasons(conn: Conn, names: Collection[str]) -> None:
    """Delete every reason in which one of these names is, with the salts of those rows."""
    found = conn.execute(
        """
        select what, array_agg(distinct key) as keys from record_entries
        where reason is not null and exists (select from unnest(%s::text[]) as n (name) where strpos(reason, name) > 0)
        group by what
        """,
        [list(names)],
    ).fetchall()
    for row in found:
        conn.execute("select record_forget(%s, %s)", [row["what"], row["keys"]])


def forget_actors(conn: Conn, names: Sequence[str]) -> int:
    """Delete these names of actors; their entries keep the number. Returns how many."""
    return conn.execute("update record_actors set name = null where name = any(%s)", [list(names)]).rowcount
