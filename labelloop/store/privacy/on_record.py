"""Forgetting on the record: salts and reasons of rows are deleted before the rows change, and the chain stays whole.

The record keeps a salted digest of each row's content (docs/house/on-record.md). Without its salt nobody can test a
guess. The check of the record finds the row forgotten and not changed. The caller owns the transaction.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from labelloop.store.database import Conn


def forget_rows(conn: Conn, table: str, where: str, values: Mapping[str, object]) -> None:
    """Delete salts and reasons of these rows. A table that is not on record is left out. Call it before they change."""
    row = conn.execute("select key from recorded_tables where name = %s", [table]).fetchone()
    if row is None:
        return
    keys = [one["key"] for one in conn.execute(f"select {row['key']} as key from {table} r where {where}", values)]
    if keys:
        conn.execute("select record_forget(%s, %s)", [table, keys])


def forget_reasons(conn: Conn, names: Collection[str], word: re.Pattern[str], loop: str | None = None) -> None:
    """Delete the reasons, of all loops or of one, in which one of these names is, with the salts of those rows.

    `word` finds a name where it is a word of its own: the key `1` is not in the reason `0.1 < 0.8`.
    """
    found = conn.execute(
        """
        select what, reason, array_agg(distinct key) as keys from record_entries
        where reason is not null and (%(loop)s::text is null or loop = %(loop)s) and exists (
            select from unnest(%(names)s::text[]) as n (name) where strpos(lower(reason), lower(name)) > 0)
        group by what, reason
        """,
        {"names": list(names), "loop": loop},
    ).fetchall()
    keys: dict[str, set[str]] = {}
    for row in found:
        if word.search(row["reason"]):
            keys.setdefault(row["what"], set()).update(row["keys"])
    for what, those in keys.items():
        conn.execute("select record_forget(%s, %s)", [what, sorted(those)])


def forget_actors(conn: Conn, names: Sequence[str]) -> int:
    """Delete these names of actors; their entries keep the number. Returns how many."""
    return conn.execute("update record_actors set name = null where name = any(%s)", [list(names)]).rowcount
