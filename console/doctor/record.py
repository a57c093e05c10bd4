"""Check of the record: whether it is sealed and published, and whether the application's role could change it."""

from __future__ import annotations

from console.doctor.findings import Finding, fault, good, hint
from labelloop.store.database import Conn
from labelloop.store.record import publishing, rights
from labelloop.store.record.rows import check_unsealed

UNPUBLISHED_S = 60.0
"""A place that is not reached for longer is a fault."""


def record(conn: Conn) -> Finding:
    waiting = next(iter(check_unsealed(conn, inserted=False)), None)
    if waiting is not None:
        return fault(
            "record",
            waiting.text,
            why="until an entry is sealed, somebody can change it, and nobody finds out",
            repair="labelloop audit verify  # and start the sync worker, if it is not running",
        )
    for one in publishing.list_(conn):
        if (seconds := one.for_.total_seconds()) > UNPUBLISHED_S:
            return fault(
                "record",
                f"its head cannot be published ({one.place}, for {seconds / 60:.0f} min): {one.error}",
                why="the end of the record could be cut off, or the chain be written anew, and nobody finds out",
                repair="make the place writable or reachable; the sync worker tries it again by itself",
            )
    if not rights.are_two_roles(conn):
        return hint(
            "record",
            "it is sealed. Only its chain protects it, because the role of LABELLOOP_DATABASE_URL may change entries; "
            "docs/operators/record.md says how the application gets another role",
        )
    return good("record", "it is sealed, and the application's role cannot change it")
