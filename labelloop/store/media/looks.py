"""Statements about media_looks: what the last look at each address found. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class Look:
    """Finding of the last look at an address."""

    name: bytes
    """SHA-256 of the page that shows it, the tag and the address."""
    host: str
    level: str
    code: str
    says: str
    expires_at: datetime | None
    tries: int
    """Looks in a row that did not find it readable, at least 1."""
    due: bool
    """Whether it is time to look again."""


def get(conn: Conn, loop: str, names: Sequence[bytes]) -> dict[bytes, Look]:
    """Return what is known of these addresses."""
    cursor = rows_of(conn, Look)
    rows = cursor.execute(
        """
        select name, host, level, code, says, expires_at, tries, again_at <= now() as due
        from media_looks where loop = %(loop)s and name = any(%(names)s)
        """,
        {"loop": loop, "names": list(names)},
    ).fetchall()
    return {bytes(row.name): row for row in rows}


def keep(conn: Conn, loop: str, found: Sequence[Look], again_in_s: Mapping[bytes, float]) -> None:
    """Store what looks found, and in how many seconds each address is looked at again."""
    conn.cursor().executemany(
        """
        insert into media_looks (loop, name, host, level, code, says, expires_at, tries, again_at)
        values (%(loop)s, %(name)s, %(host)s, %(level)s, %(code)s, %(says)s, %(expires_at)s, %(tries)s,
            now() + make_interval(secs => %(again)s))
        on conflict (loop, name) do update set host = excluded.host, level = excluded.level, code = excluded.code,
            says = excluded.says, expires_at = excluded.expires_at, tries = excluded.tries, looked_at = now(),
            again_at = excluded.again_at
        """,
        [
            {
                "loop": loop,
                "name": one.name,
                "host": one.host,
                "level": one.level,
                "code": one.code,
                "says": one.says,
                "expires_at": one.expires_at,
                "tries": one.tries,
                "again": again_in_s[one.name],
            }
            for one in sorted(found, key=lambda one: one.name)
        ],
    )
