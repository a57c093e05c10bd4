"""Statements about the table pictures: fetched pictures, by the SHA-256 of their address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.store.database import Conn


def get(conn: Conn, names: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the PNG of each of these addresses that is stored."""
    rows = conn.execute(
        "select address_sha256, png from pictures where address_sha256 = any(%(names)s)", {"names": list(names)}
    )
    return {bytes(row["address_sha256"]): bytes(row["png"]) for row in rows}


def keep(conn: Conn, pictures: Mapping[bytes, bytes]) -> None:
    """Store the PNG of each address.

    An address that is stored already keeps its picture, because versions were made with it.
    """
    conn.cursor().executemany(
        """
        insert into pictures (address_sha256, png) values (%(name)s, %(png)s) on conflict (address_sha256) do nothing
        """,
        [{"name": name, "png": png} for name, png in sorted(pictures.items())],
    )
