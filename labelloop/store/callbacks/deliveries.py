"""Statements about the table deliveries: claim one that is due, store the result of a try, list, repeat.

Triggers write the rows, in the transaction of the fact: migration 0018. All times are by the clock of Postgres, so that
several workers agree on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from labelloop.errors import UsageError
from labelloop.store.callbacks import registered
from labelloop.store.database import Conn, columns, rows_of

LEASE_S = 60.0
"""Seconds that a try may take. A worker that dies during a try leaves the delivery to the others after this time."""
DELAYS_S = (5, 30, 120, 600, 3600, 10_800)
"""Seconds between a failed try and the next one; the last value repeats until the delivery is given up."""
KEPT_DAYS = 30
"""Days for which delivered rows are kept."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery whose next try the caller makes."""

    id: UUID
    callback_id: UUID
    loop: str
    event: str
    fact: Mapping[str, Any]
    body: str | None
    """None before the first try."""
    created_at: datetime
    tries: int
    """This one included."""
    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery, as people see it."""

    id: UUID
    callback_id: UUID
    loop: str
    event: str
    key: str | None
    """Key of the output; None for an event that is not about one."""
    state: DeliveryState
    created_at: datetime
    next_try_at: datetime
    tries: int
    last_status: int | None
    last_error: str | None
    delivered_at: datetime | None


def due(conn: Conn) -> list[UUID]:
    """Return the callbacks that have a delivery due, the one that has waited longest first."""
    rows = conn.execute(
        """
        select c.id from callbacks c cross join lateral (
            select next_try_at from deliveries
            where callback_id = c.id and state = 'pending' order by next_try_at limit 1
        ) d
        where next_try_at <= clock_timestamp() order by next_try_at, c.id
        """
    )
    return [row["id"] for row in rows]


def claim(conn: Conn, callback_id: UUID) -> Claimed | None:
    """Claim the delivery of the callback that has been due longest, for LEASE_S; None if none is due.

    In the order of the index, so that a backlog costs no more for each delivery than a short list.

    Two workers never claim the same one: a row that another transaction holds is skipped.
    """
    return (
        rows_of(conn, Claimed)
        .execute(
            """
            update deliveries d set tries = tries + 1,
                next_try_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
            from callbacks c
            where c.id = d.callback_id and d.id = (
                select id from deliveries
                where callback_id = %(callback)s and state = 'pending' and next_try_at <= clock_timestamp()
                order by next_try_at limit 1 for update skip locked)
            returning d.id, d.callback_id, d.loop, d.event, d.fact, d.body, d.created_at, d.tries, c.url, c.secret
            """,
            {"callback": callback_id, "lease_s": LEASE_S},
        )
        .fetchone()
    )


def write_body(conn: Conn, delivery_id: UUID, body: str) -> None:
    """Store what is sent at each try."""
    conn.execute("update deliveries set body = %(body)s where id = %(id)s", {"id": delivery_id, "body": body})


def delivered(conn: Conn, delivery_id: UUID, status: int) -> None:
    """Store that the receiver accepted it, also if a worker that came later has given it up."""
    conn.execute(
        """
        update deliveries set state = 'delivered', last_status = %(status)s, last_error = null,
            delivered_at = clock_timestamp()
        where id = %(id)s and state <> 'delivered'
        """,
        {"id": delivery_id, "status": status},
    )


def failed(conn: Conn, one: Claimed, status: int | None, error: str, after_s: float = 0.0) -> DeliveryState:
    """Store a failed try: the next one comes by DELAYS_S and not before `after_s`, the receiver's wish, have passed.

    There is a last try when the time to give up has come. If that fails, the delivery is dead, and so is every other
    one of the callback that is as old: the receiver has just failed. Nothing changes if another worker has claimed the
    delivery meanwhile, or finished it. Returns the state now.
    """
    wait_s = max(DELAYS_S[min(one.tries, len(DELAYS_S)) - 1], after_s)
    row = conn.execute(
        """
        update deliveries set last_status = %(status)s, last_error = %(error)s,
            state = case when give_up_at <= clock_timestamp() then 'dead' else 'pending' end::delivery_state,
            next_try_at = least(greatest(give_up_at, clock_timestamp()),
                                clock_timestamp() + make_interval(secs => %(wait_s)s))
        where id = %(id)s and state = 'pending' and tries = %(tries)s returning state::text
        """,
        {"id": one.id, "tries": one.tries, "status": status, "error": error, "wait_s": wait_s},
    ).fetchone()
    state = DeliveryState(row["state"]) if row else DeliveryState.PENDING
    if state == DeliveryState.DEAD:
        conn.execute(
            """
            update deliveries set state = 'dead', last_error = coalesce(last_error, %(error)s)
            where callback_id = %(callback)s and state = 'pending' and give_up_at <= clock_timestamp()
            and next_try_at <= clock_timestamp()
            """,
            {"callback": one.callback_id, "error": error},
        )
    return state


def gone(conn: Conn, one: Claimed, reason: str) -> None:
    """Store that the receiver answered 410: this delivery is dead, and the callback is paused."""
    conn.execute(
        "update deliveries set last_status = 410, last_error = %(reason)s where id = %(id)s and state = 'pending'",
        {"id": one.id, "reason": reason},
    )
    registered.pause(conn, one.callback_id, reason)


def list_(conn: Conn, states: Sequence[DeliveryState], limit: int) -> list[Delivery]:
    """Return the newest deliveries in these states, newest first."""
    return (
        rows_of(conn, Delivery)
        .execute(
            f"""
            select {columns(Delivery)} from (select *, fact ->> 'key' as key from deliveries) d
            where state = any(%(states)s::delivery_state[]) order by created_at desc, id limit %(limit)s
            """,
            {"states": list(states), "limit": limit},
        )
        .fetchall()
    )


def repeat(conn: Conn, delivery_id: str) -> UUID:
    """Send a delivery again, with the same id and body, at once and for another 24 hours.

    `delivery_id` may be the first characters. Raises UsageError if it names none, or several, or a pending one.
    """
    rows = conn.execute(
        """
        select d.id, d.state::text, c.paused_because from deliveries d join callbacks c on c.id = d.callback_id
        where starts_with(d.id::text, %(beginning)s) limit 2
        """,
        {"beginning": delivery_id.lower() or "none"},
    ).fetchall()
    if len(rows) != 1:
        many = "more than one delivery" if rows else "no delivery"
        raise UsageError(f"{delivery_id!r} names {many}; `labelloop callback deliveries` lists them")
    if rows[0]["state"] == DeliveryState.PENDING:
        raise UsageError(f"delivery {rows[0]['id']} is pending: the worker sends it by itself")
    if rows[0]["paused_because"] is not None:
        raise UsageError(f"its callback is paused ({rows[0]['paused_because']}): `labelloop callback resume` first")
    _send_again(conn, "id = %(id)s", rows[0]["id"])
    return UUID(str(rows[0]["id"]))


def repeat_dead(conn: Conn, callback_id: UUID | None = None) -> int:
    """Send all dead deliveries again, or those of one callback; return how many. Paused callbacks are left out."""
    where = "state = 'dead' and callback_id in (select id from callbacks where paused_at is null)"
    return _send_again(conn, where + ("" if callback_id is None else " and callback_id = %(id)s"), callback_id)


def delete_old(conn: Conn) -> int:
    """Delete the rows that were delivered more than KEPT_DAYS ago; return how many. Dead ones stay."""
    return conn.execute(
        """
        delete from deliveries
        where state = 'delivered' and delivered_at < clock_timestamp() - make_interval(days => %(days)s)
        """,
        {"days": KEPT_DAYS},
    ).rowcount


def _send_again(conn: Conn, where: str, id_: UUID | None) -> int:
    return conn.execute(
        f"""
        update deliveries set state = 'pending', tries = 0, delivered_at = null, next_try_at = clock_timestamp(),
            give_up_at = clock_timestamp() + interval '24 hours'
        where {where}
        """,
        {"id": id_},
    ).rowcount
