"""The check of the whole record, in one snapshot of the database."""

from __future__ import annotations

from dataclasses import dataclass

from labelloop.store.database import Database
from labelloop.store.record import chain, rows, sealing
from labelloop.store.record.chain import Heads
from labelloop.store.record.findings import Finding


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a check of the whole record."""

    sealed: int
    """Number of entries in the chain."""
    tables: int
    findings: list[Finding]


def verify(database: Database, heads: Heads, loop: str | None = None) -> Verified:
    """Check the chain, the entries, and the rows of every table on record, or of one loop.

    `heads` are those that were published before this call. A live system may go on meanwhile.
    """
    with database.transaction() as conn:
        conn.execute("set transaction isolation level repeatable read, read only")
        conn.execute("set local statement_timeout = 0")
        conn.execute("set local work_mem = '64MB'")
        tables = conn.execute("select count(*) as n from recorded_tables").fetchone()
        found = chain.walk(conn, sealing.newest(conn).chain, heads, rows.forgotten(conn))
        findings = [*found.findings, *rows.check_unsealed(conn), *rows.check_entries(conn), *rows.check_guards(conn)]
        findings += rows.check_rows(conn, loop)
    assert tables is not None
    return Verified(found.sealed, tables["n"], findings)
