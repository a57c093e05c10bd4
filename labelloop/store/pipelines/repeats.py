"""Statements about the tables contents and repeats: outputs whose content an earlier output has. The caller owns the
transaction.

Triggers keep the state of a repeat equal to that of its original (migration 0021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane
from labelloop.store.database import Conn, rows_of

NO_REPEAT = "not exists (select from repeats where repeats.output_id = o.id)"
"""Condition for an output `o` that is asked for itself."""


@dataclass(frozen=True, slots=True)
class Original:
    """The output about which people are or were asked for a content."""

    sha256: bytes
    id: UUID
    key: str
    state: OutputState
    lane: Lane
    answer: str | None
    """The label on which its reviewers agree; None if there is none."""


def register(conn: Conn, loop: str, outputs: Mapping[bytes, UUID]) -> None:
    """Make these outputs the originals of the contents that have none, by the hash of the content."""
    conn.execute(
        """
        insert into contents (loop, sha256, original_id)
        select %(loop)s, sha256, id from unnest(%(hashes)s::bytea[], %(ids)s::uuid[]) as c (sha256, id)
        order by sha256 on conflict do nothing
        """,
        {"loop": loop, "hashes": list(outputs), "ids": list(outputs.values())},
    )


def replace(conn: Conn, loop: str, outputs: Mapping[bytes, UUID]) -> None:
    """Make these outputs the originals of their contents, by the hash of the content."""
    conn.execute(
        """
        update contents c set original_id = n.id from unnest(%(hashes)s::bytea[], %(ids)s::uuid[]) as n (sha256, id)
        where c.loop = %(loop)s and c.sha256 = n.sha256
        """,
        {"loop": loop, "hashes": list(outputs), "ids": list(outputs.values())},
    )


def originals(conn: Conn, loop: str, hashes: Sequence[bytes]) -> dict[bytes, Original]:
    """Return the originals of these contents, by the hash of the content."""
    rows = rows_of(conn, Original).execute(
        """
        select c.sha256, o.id, o.key, o.state::text, o.lane::text, a.label as answer
        from contents c join outputs o on o.id = c.original_id left join lateral (
            select label from answers where output_id = o.id order by seq desc limit 1
        ) a on true
        where c.loop = %(loop)s and c.sha256 = any(%(hashes)s)
        """,
        {"loop": loop, "hashes": list(hashes)},
    )
    return {bytes(row.sha256): row for row in rows}


def add(conn: Conn, loop: str, originals: Mapping[UUID, UUID]) -> None:
    """Make these new outputs repeats, each of its original. They leave the pool."""
    conn.execute(
        """
        insert into repeats (output_id, loop, original_id)
        select id, %(loop)s, original from unnest(%(ids)s::uuid[], %(originals)s::uuid[]) as r (id, original)
        order by id
        """,
        {"loop": loop, "ids": list(originals), "originals": list(originals.values())},
    )


def count(conn: Conn, loop: str) -> int:
    """Count the repeats of the loop."""
    row = conn.execute("select count(*) as n from repeats where loop = %(loop)s", {"loop": loop}).fetchone()
    assert row is not None
    return int(row["n"])
