"""Statements about the table unpublished_heads: places to which the head of the record cannot be published now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from labelloop.store.database import Conn, rows_of

FILE, WEBHOOK = "file", "webhook"


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A place that no head has reached since a failure."""

    place: str
    """FILE or WEBHOOK."""
    for_: timedelta
    """Time since the first failure."""
    error: str


def failed(conn: Conn, place: str, error: str) -> None:
    """Store that the newest head could not be published there."""
    conn.execute(
        """
        insert into unpublished_heads (place, error) values (%(place)s, %(error)s)
        on conflict (place) do update set error = excluded.error where unpublished_heads.error <> excluded.error
        """,
        {"place": place, "error": error[:1000]},
    )


def reached(conn: Conn, place: str) -> None:
    """Store that the newest head was published there."""
    conn.execute("delete from unpublished_heads where place = %(place)s", {"place": place})


def list_(conn: Conn) -> list[Unpublished]:
    """Return the places that are not reached, the one that failed first at the top."""
    return (
        rows_of(conn, Unpublished)
        .execute("select place, now() - since as for_, error from unpublished_heads order by since")
        .fetchall()
    )
