"""Entries of the record with the names of their actors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labelloop.store.database import Conn, rows_of

_ENTRIES = """
    select e.id, e.at, e.actor, coalesce(a.name, 'actor ' || e.actor || ', name deleted') as by, e.loop, e.what, e.key,
        e.operation, e.before, e.after, e.reason
    from record_entries e left join record_actors a on a.id = e.actor
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the record with the name of its actor."""

    id: int
    at: datetime
    actor: int
    by: str
    loop: str | None
    what: str
    key: str
    operation: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str | None

    @property
    def is_new(self) -> bool:
        return self.operation == "insert"

    @property
    def was(self) -> Mapping[str, Any]:
        """Facts before the change; empty for a new row."""
        return self.before or {}

    @property
    def now(self) -> Mapping[str, Any]:
        """Facts after the change; of a deleted row, those that it had."""
        return self.after or self.before or {}

    def changes(self, fact: str) -> bool:
        """Whether this fact is another one than before."""
        return self.was.get(fact) != self.now.get(fact)

    @property
    def output(self) -> str | None:
        """Id of the output that the entry is about; None if it is about none."""
        if self.what in BY_OUTPUT:
            return self.key.partition("/")[0]
        return self.now.get("output")


BY_OUTPUT = ("outputs", "tasks", "repeats", "outcomes", "accepted", "forgotten_outputs", "assignments")
"""Tables whose key begins with the id of an output."""


def read(conn: Conn, where: str, parameters: Mapping[str, Any]) -> list[Entry]:
    """Return the entries `e` that this condition names, oldest first."""
    return rows_of(conn, Entry).execute(f"{_ENTRIES} {where} order by e.id", parameters).fetchall()
