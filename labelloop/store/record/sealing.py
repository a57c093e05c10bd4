"""Sealing: the newest entries of the record come into its chain of hashes, in a transaction of their own."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labelloop.store.database import Conn, rows_of

MOST = 10_000
"""Entries that one transaction seals."""
SEALED_WITHIN_S = 60
"""An older entry without a seal means that no sync worker is running, or that somebody inserted it."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest seal of the chain."""

    chain: UUID
    head: int
    """Its place in the chain; 0 if nothing is sealed."""
    hash: bytes
    sealed: int
    """Number of entries that this call has sealed."""


def seal(conn: Conn, most: int = MOST) -> Head | None:
    """Seal at most so many entries. None, and nothing is sealed, while another process seals.

    The transaction must do nothing else: an entry that is committed late gets a later place.
    """
    return rows_of(conn, Head).execute("select * from record_seal(%(most)s)", {"most": most}).fetchone()


def newest(conn: Conn) -> Head:
    """Return the newest seal."""
    found = (
        rows_of(conn, Head)
        .execute(
            """
            select chain, coalesce(seq, 0) as head, coalesce(hash, sha256(convert_to(chain::text, 'UTF8'))) as hash,
                0 as sealed
            from record_sealing left join (select * from record_seals order by seq desc limit 1) s on true
            """
        )
        .fetchone()
    )
    assert found is not None
    return found
