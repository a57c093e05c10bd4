"""Incoming outputs: rows go through a temporary table into the tables outputs and pool, in parts.

While Postgres stores a part, the caller can prepare the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.rows import DictRow

from labelloop.store.database import Conn

_TYPES = {
    "key": 'text collate "C"', "body_sha256": "bytea", "group_key": "text", "data": "jsonb", "probabilities": "jsonb",
    "result": "jsonb", "label": "text", "confidence": "float8", "model_version": "text",
    "produced_at": "timestamptz", "lane": "lane", "triggered": "boolean", "inclusion_probability": "float8",
    "holdout": "boolean", "evidence": "jsonb", "embedding": "real[]", "gold": "text", "source": "text",
    "trace": "text", "step": "text", "meta": "jsonb", "line": "integer",
}  # fmt: skip
COLUMNS = ", ".join(_TYPES)
"""Columns of a row. The utility follows them: it goes into the pool."""

# To make the table costs as much as to store twenty rows, so it lasts as long as the connection. A transaction finds it
# empty, or with the rows that it has stored itself.
_READY = f"""
    create temporary table if not exists incoming (
        {", ".join(f"{name} {kind}" for name, kind in _TYPES.items())}, utility float8
    ) on commit delete rows;
    delete from incoming
"""
_COPY = f"copy incoming ({COLUMNS}, utility) from stdin"

# In the order of the keys, so that two transactions with the same keys cannot deadlock.
_INSERT = f"""
    fresh as (
        insert into outputs (loop, state, spec_version, {COLUMNS})
        select %(loop)s, (case lane when 'pass' then 'passed' else 'waiting' end)::output_state, %(spec_version)s,
            {COLUMNS}
        from incoming order by key
        on conflict (loop, key) do nothing
        returning id, key, lane, label, confidence
    ), pooled as (
        insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
        select fresh.id, %(loop)s, fresh.lane, incoming.utility, fresh.key, fresh.label, fresh.confidence,
            'pipeline', 'pipeline'
        from fresh join incoming using (key) where fresh.lane <> 'pass'
    )
    select key, id from fresh
"""
_INSERT_MANY = f"with {_INSERT}"
_INSERT_ONE = f"""
    with incoming ({COLUMNS}, utility) as (
        values ({", ".join(f"(%({name})s::{kind.split()[0]})" for name, kind in _TYPES.items())}, %(utility)s::float8)
    ), {_INSERT}
"""
"""The same for one row, without the temporary table, so without its requests to Postgres."""


class Incoming:
    """Stores rows whose keys are new, in the caller's transaction. A context: leave it before the next statement."""

    def __init__(self, conn: Conn, loop: str, spec_version: int | None) -> None:
        self._conn = conn
        self._named = {"loop": loop, "spec_version": spec_version}
        self._ids = dict[str, UUID]()
        self._cursor: Cursor[DictRow] | None = None
        self._at_work = ExitStack()

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Begin to store rows, each with the values of COLUMNS and its utility.

        Their keys are distinct, and each comes after those of earlier parts by code point. Otherwise two transactions
        could deadlock. It waits for earlier parts, and for other transactions that write the same keys.
        """
        self._wait()
        rows, named = list(rows), self._named
        if len(rows) == 1:
            named = {**named, **dict(zip((*_TYPES, "utility"), rows[0], strict=True))}
        else:
            self._conn.execute(_READY)
            with self._conn.cursor().copy(_COPY) as copy:
                for row in rows:
                    copy.write_row(row)
        self._at_work.enter_context(self._conn.pipeline())  # in a pipeline, `execute` does not wait for the result
        self._cursor = self._conn.execute(_INSERT_ONE if len(rows) == 1 else _INSERT_MANY, named)

    def ids(self) -> dict[str, UUID]:
        """Wait for all parts, and return the id of each new key."""
        self._wait()
        return self._ids

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._at_work.__exit__(*exc)

    def _wait(self) -> None:
        self._at_work.close()
        if self._cursor is not None:
            self._ids.update((row["key"], row["id"]) for row in self._cursor)
            self._cursor = None
