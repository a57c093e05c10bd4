"""Statements about sentence vectors: by loop, encoder and hash of the text. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from labelloop.store.database import Conn, rows_of


class Used(NamedTuple):
    """The encoder that gave a loop's vectors last."""

    name: str
    """Its name or path in loop.yaml; "" for the default."""
    encoder: str
    """Its name and the first digits of the SHA-256 of its files."""
    width: int
    """How many numbers each vector has."""


def used(conn: Conn, loop: str) -> Used | None:
    """Return the encoder that gave the loop's vectors last; None if it has none yet."""
    return (
        rows_of(conn, Used)
        .execute("select name, encoder, width from sentence_encoders where loop = %(loop)s", {"loop": loop})
        .fetchone()
    )


def use(conn: Conn, loop: str, encoder: Used) -> None:
    """Record the encoder that gives the loop's vectors from now on; a second call changes nothing."""
    conn.execute(
        """
        insert into sentence_encoders as s (loop, name, encoder, width)
        values (%(loop)s, %(name)s, %(encoder)s, %(width)s)
        on conflict (loop) do update set name = excluded.name, encoder = excluded.encoder, width = excluded.width,
            used_at = now()
        where (s.name, s.encoder, s.width) <> (excluded.name, excluded.encoder, excluded.width)
        """,
        {"loop": loop, **encoder._asdict()},
    )


def get(conn: Conn, loop: str, encoder: str, width: int, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the stored vectors of these texts, in half precision; one of another width is left out."""
    rows = conn.execute(
        """
        select text_hash, vector from sentence_vectors
        where loop = %(loop)s and encoder = %(encoder)s and text_hash = any(%(hashes)s)
        and octet_length(vector) = 2 * %(width)s
        """,
        {"loop": loop, "encoder": encoder, "width": width, "hashes": list(hashes)},
        binary=True,
    )
    return {bytes(row["text_hash"]): bytes(row["vector"]) for row in rows}


def keep(conn: Conn, loop: str, encoder: str, vectors: Mapping[bytes, bytes]) -> None:
    """Store the vectors by the hash of their texts; an unequal one, which is damaged, is replaced."""
    conn.execute(
        """
        insert into sentence_vectors as s (loop, encoder, text_hash, vector)
        select %(loop)s, %(encoder)s, * from unnest(%(hashes)s::bytea[], %(vectors)s::bytea[])
        on conflict (loop, encoder, text_hash) do update set vector = excluded.vector
        where s.vector <> excluded.vector
        """,
        # In one order, so that two callers with the same texts cannot deadlock.
        {
            "loop": loop,
            "encoder": encoder,
            "hashes": sorted(vectors),
            "vectors": [vectors[name] for name in sorted(vectors)],
        },
    )
