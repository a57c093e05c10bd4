"""Check of the record: whether it is sealed, and whether the application's role could change it."""

from __future__ import annotations

from console.doctor.findings import Finding, fault, good, hint
from labelloop.store.database import Conn
from labelloop.store.record import rights
from labelloop.store.record.rows import check_unsealed


def record(conn: Conn) -> Finding:
    waiting = next(iter(check_unsealed(conn, inserted=False)), None)
    if waiting is not None:
        return fault(
            "record",
            waiting.text,
            why="until an entry is sealed, somebody can change it, and nobody finds out",
            repair="labelloop audit verify  # and start the sync worker, if it is not running",
        )
    if not rights.are_two_roles(conn):
        return hint(
            "record",
            "it is sealed. Only its chain protects it, because the role of LABELLOOP_DATABASE_URL may change entries; "
            "docs/operators/record.md says how the application gets another role",
        )
    return good("record", "it is sealed, and the application's role cannot change it")
