"""Sealing: the newest entries of the record come into its chain of hashes, in a transaction of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
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


def first_unknown(conn: Conn, heads: Iterable[tuple[int, bytes, str]]) -> int | None:
    """Return the lowest place of a published head that the chain has not, or has with another hash; None if none."""
    lowest: int | None = None
    rest = iter(heads)
    while some := list(islice(rest, MOST)):
        row = conn.execute(
            """
            select min(h.seq) as seq from unnest(%(places)s::bigint[], %(hashes)s::bytea[]) as h (seq, hash)
            where not exists (select from record_seals s where s.seq = h.seq and s.hash = h.hash)
            """,
            {"places": [seq for seq, _, _ in some], "hashes": [digest for _, digest, _ in some]},
        ).fetchone()
        if row is not None and row["seq"] is not None:
            lowest = row["seq"] if lowest is None else min(lowest, row["seq"])
    return lowest


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
