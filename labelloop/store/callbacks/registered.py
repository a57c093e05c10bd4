"""Statements about the table callbacks: the addresses that are told of events."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.errors import UsageError
from labelloop.store.database import Conn, columns, rows_of

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Callback:
    """A receiver and the events that it is told of."""

    id: UUID
    loop: str | None
    """None for every loop."""
    url: str
    events: list[str]
    created_at: datetime
    created_by: str | None
    paused_at: datetime | None
    paused_because: str | None


@dataclass(frozen=True, slots=True)
class CallbackCounts:
    """A callback with the number of its pending and of its dead deliveries."""

    id: UUID
    pending: int
    failing: int
    """Those of the pending ones whose last try failed."""
    dead: int


def add(conn: Conn, loop: str | None, url: str, events: Sequence[str], by: str | None) -> tuple[UUID, str]:
    """Store a callback; return its id and its new secret. Adding an address twice makes two callbacks."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    row = conn.execute(
        """
        insert into callbacks (loop, url, secret, events, created_by)
        values (%(loop)s, %(url)s, %(secret)s, %(events)s, %(by)s) returning id
        """,
        {"loop": loop, "url": url, "secret": secret, "events": list(dict.fromkeys(events)), "by": by},
    ).fetchone()
    assert row is not None
    return row["id"], secret


def list_(conn: Conn, loop: str | None = None) -> list[Callback]:
    """Return all callbacks, oldest first; with `loop` those that are told of its events."""
    return (
        rows_of(conn, Callback)
        .execute(
            f"""
            select {columns(Callback)} from callbacks
            where %(loop)s::text is null or loop is null or loop = %(loop)s order by created_at, id
            """,
            {"loop": loop},
        )
        .fetchall()
    )


def find(conn: Conn, beginning: str) -> Callback:
    """Return the callback whose id begins so. Raises UsageError if there is none, or more than one."""
    known = list_(conn)
    found = [one for one in known if beginning and str(one.id).startswith(beginning.lower())]
    if len(found) != 1:
        there = ", ".join(str(one.id)[:8] for one in known) or "none"
        raise UsageError(f"{beginning!r} names {'no' if not found else 'more than one'} callback; there are: {there}")
    return found[0]


def secret(conn: Conn, callback_id: UUID) -> str:
    """Return the secret with which deliveries to this callback are signed."""
    row = conn.execute("select secret from callbacks where id = %(id)s", {"id": callback_id}).fetchone()
    if row is None:
        raise UsageError(f"callback {callback_id} was removed just now")
    return str(row["secret"])


def remove(conn: Conn, callback_id: UUID) -> int:
    """Delete the callback and its deliveries; return how many of these were not delivered."""
    row = conn.execute(
        "select count(*) as n from deliveries where callback_id = %(id)s and state <> 'delivered'", {"id": callback_id}
    ).fetchone()
    conn.execute("delete from callbacks where id = %(id)s", {"id": callback_id})
    return 0 if row is None else int(row["n"])


def pause(conn: Conn, callback_id: UUID, reason: str) -> None:
    """Record and send nothing for this callback until it is resumed. Its pending deliveries become dead."""
    conn.execute(
        """
        update callbacks set paused_at = now(), paused_because = %(reason)s
        where id = %(id)s and paused_at is null
        """,
        {"id": callback_id, "reason": reason},
    )
    conn.execute(
        """
        update deliveries set state = 'dead', last_error = coalesce(last_error, %(reason)s)
        where callback_id = %(id)s and state = 'pending'
        """,
        {"id": callback_id, "reason": reason},
    )


def resume(conn: Conn, callback_id: UUID) -> bool:
    """Put a paused callback to work again; False if it was not paused. Its dead deliveries stay dead."""
    done = conn.execute(
        "update callbacks set paused_at = null, paused_because = null where id = %(id)s and paused_at is not null",
        {"id": callback_id},
    )
    return done.rowcount == 1


def counts(conn: Conn) -> list[CallbackCounts]:
    """Count the pending and the dead deliveries of each callback."""
    return (
        rows_of(conn, CallbackCounts)
        .execute(
            """
            select c.id, p.pending, p.failing,
                (select count(*) from deliveries where callback_id = c.id and state = 'dead') as dead
            from callbacks c cross join lateral (
                select count(*) as pending, count(last_error) as failing
                from deliveries where callback_id = c.id and state = 'pending'
            ) p
            order by c.created_at, c.id
            """
        )
        .fetchall()
    )


def dead(conn: Conn, loop: str) -> int:
    """Count the dead deliveries of a loop's events."""
    row = conn.execute(
        "select count(*) as n from deliveries where loop = %(loop)s and state = 'dead'", {"loop": loop}
    ).fetchone()
    assert row is not None
    return int(row["n"])
