"""Statements about the table forgotten: the proof that data was removed. The caller owns the transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from labelloop.store.database import Conn, columns, rows_of


@dataclass(frozen=True, slots=True)
class Proof:
    """One removal."""

    id: int
    kind: str
    """key, group or person."""
    loop: str | None
    salt: bytes
    name_sha256: bytes
    by: str
    why: str | None
    counts: Mapping[str, int]
    versions: Sequence[str]
    at: datetime

    def is_of(self, name: str) -> bool:
        """Return whether this name was forgotten."""
        return bytes(self.name_sha256) == _digest(bytes(self.salt), name)


def write(
    conn: Conn,
    kind: str,
    loop: str | None,
    name: str,
    by: str,
    why: str | None,
    counts: Mapping[str, int],
    versions: Sequence[str],
) -> int:
    """Store the proof; return its number."""
    salt = secrets.token_bytes(16)
    row = conn.execute(
        """
        insert into forgotten (kind, loop, salt, name_sha256, by, why, counts, versions)
        values (%(kind)s, %(loop)s, %(salt)s, %(sha256)s, %(by)s, %(why)s, %(counts)s, %(versions)s) returning id
        """,
        {
            "kind": kind,
            "loop": loop,
            "salt": salt,
            "sha256": _digest(salt, name),
            "by": by,
            "why": why,
            "counts": Jsonb(counts),
            "versions": list(versions),
        },
    ).fetchone()
    assert row is not None
    return int(row["id"])


def list_(conn: Conn, loop: str | None = None) -> list[Proof]:
    """Return the proofs, those of a loop and of all people with `loop`, newest first."""
    return (
        rows_of(conn, Proof)
        .execute(
            f"""
            select {columns(Proof)} from forgotten where %(loop)s::text is null or loop is null or loop = %(loop)s
            order by id desc
            """,
            {"loop": loop},
        )
        .fetchall()
    )


def _digest(salt: bytes, name: str) -> bytes:
    return hashlib.sha256(salt + name.encode(errors="surrogatepass")).digest()
