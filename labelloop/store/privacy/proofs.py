"""Statements about the table forgotten: the proof that data was removed. The caller owns the transaction.

A removal that needs Label Studio is stored before it begins. Until it is finished, its row has no counts.
"""

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
    """One removal of the data of one name."""

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

    @property
    def is_finished(self) -> bool:
        return bool(self.counts)

    def is_of(self, name: str) -> bool:
        """Return whether the removal is about this name."""
        return bytes(self.name_sha256) == _digest(bytes(self.salt), name)


def begin(conn: Conn, kind: str, loop: str, names: Sequence[str], by: str, why: str | None) -> None:
    """Store that the removal of each of these names begins. A name whose removal has begun keeps its row."""
    earlier = begun(conn, kind, loop, names)
    for name in names:
        if not any(proof.is_of(name) for proof in earlier):
            _insert(conn, kind, loop, name, by, why, {}, [])


def begun(conn: Conn, kind: str, loop: str, names: Sequence[str]) -> list[Proof]:
    """Return the removals of these names that have begun and are not finished."""
    found = rows_of(conn, Proof).execute(
        f"select {columns(Proof)} from forgotten where loop = %s and kind = %s and counts = '{{}}' order by id",
        [loop, kind],
    )
    return [proof for proof in found if any(map(proof.is_of, names))]


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
    """Store the proof of a finished removal; return its number. `counts` is not empty."""
    if loop is None or not (earlier := begun(conn, kind, loop, [name])):
        return _insert(conn, kind, loop, name, by, why, counts, versions)
    conn.execute(
        """
        update forgotten set by = %(by)s, why = coalesce(%(why)s, why), counts = %(counts)s, versions = %(versions)s,
            at = now() where id = any(%(ids)s)
        """,
        {
            "by": by,
            "why": why,
            "counts": Jsonb(counts),
            "versions": list(versions),
            "ids": [proof.id for proof in earlier],
        },
    )
    return earlier[0].id


def _insert(
    conn: Conn,
    kind: str,
    loop: str | None,
    name: str,
    by: str,
    why: str | None,
    counts: Mapping[str, int],
    versions: Sequence[str],
) -> int:
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


@dataclass(frozen=True, slots=True)
class Removals:
    """The removals of data of outputs of a loop. Two equal ones: nothing was removed, and none began, in between."""

    n: int
    latest: datetime | None
    unfinished: int


def removals(conn: Conn, loop: str) -> Removals:
    row = (
        rows_of(conn, Removals)
        .execute(
            """
            select count(*) as n, max(at) as latest, count(*) filter (where counts = '{}') as unfinished
            from forgotten where loop = %s
            """,
            [loop],
        )
        .fetchone()
    )
    assert row is not None
    return row


def _digest(salt: bytes, name: str) -> bytes:
    return hashlib.sha256(salt + name.encode(errors="surrogatepass")).digest()
