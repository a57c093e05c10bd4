"""Statements about the table alerts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import UUID

from labelloop.answers.alerts import Alert, AlertKind, AlertState, Found
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, columns, rows_of

_ALERT = f"{columns(Alert, 'a').replace('a.key', 'o.key')} from alerts a left join outputs o on o.id = a.output_id"


@dataclass(frozen=True, slots=True)
class InForce:
    """An alert about a form or a task's data that Label Studio still has."""

    id: int
    fact: str
    task_id: TaskId | None
    state: AlertState


@dataclass(frozen=True, slots=True)
class OpenCount:
    """Number of open alerts of a loop and kind."""

    loop: str
    kind: AlertKind
    n: int
    oldest: timedelta


def open_(conn: Conn, loop: str, found: Found) -> int:
    """Store an alert, and return its id. A fact that has an open one gets no second; it has the new words then."""
    row = conn.execute(
        """
        insert into alerts (loop, kind, fact, instance, output_id, task_id, annotation_id, person_id, person, before,
                            after)
        values (%(loop)s, %(kind)s, %(fact)s, %(instance)s, %(output_id)s, %(task_id)s, %(annotation_id)s,
                %(person_id)s, %(person)s, %(before)s, %(after)s)
        on conflict (loop, fact) where state = 'open' do update set after = excluded.after,
            -- its tombstones have this time
            found_at = case when alerts.kind = 'answered work deleted' then now() else alerts.found_at end
        returning id
        """,
        {"loop": loop, **asdict(found)},
    ).fetchone()
    assert row is not None
    return int(row["id"])


def record(conn: Conn, loop: str, found: Found, by: str, why: str) -> None:
    """Store an alert that is accepted from the start."""
    conn.execute(
        """
        insert into alerts (loop, kind, fact, instance, output_id, task_id, annotation_id, person_id, person, before,
                            after, state, decided_by, decided_at, why)
        values (%(loop)s, %(kind)s, %(fact)s, %(instance)s, %(output_id)s, %(task_id)s, %(annotation_id)s,
                %(person_id)s, %(person)s, %(before)s, %(after)s, 'accepted', %(by)s, now(), %(why)s)
        """,
        {"loop": loop, **asdict(found), "by": by, "why": why},
    )


def is_decided(conn: Conn, loop: str, fact: str, after: str) -> bool:
    """Return whether somebody decided about the fact as these words have it."""
    found = conn.execute(
        """
        select from alerts where loop = %(loop)s and fact = %(fact)s and after = %(after)s and state <> 'open' limit 1
        """,
        {"loop": loop, "fact": fact, "after": after},
    )
    return found.fetchone() is not None


def open_ids(conn: Conn, loop: str, fact: str) -> list[int]:
    """Return the open alert about this fact; [] without one."""
    found = conn.execute(
        "select id from alerts where loop = %(loop)s and fact = %(fact)s and state = 'open'",
        {"loop": loop, "fact": fact},
    )
    return [row["id"] for row in found]


def accept_fact(conn: Conn, loop: str, fact: str, by: str, why: str) -> None:
    """Accept the open alert about this fact, if there is one; there is nothing to settle."""
    conn.execute(
        """
        update alerts set state = 'accepted', decided_by = %(by)s, decided_at = now(), why = %(why)s
        where loop = %(loop)s and fact = %(fact)s and state = 'open'
        """,
        {"loop": loop, "fact": fact, "by": by, "why": why},
    )


def in_force(conn: Conn, instance: UUID, loop: str, kind: AlertKind) -> list[InForce]:
    """Return the alerts of this kind about what Label Studio still has, and lock them."""
    cursor = rows_of(conn, InForce)
    return cursor.execute(
        """
        select id, fact, task_id, state from alerts
        where loop = %(loop)s and instance = %(instance)s and kind = %(kind)s and ended_at is null
        and kind in ('form changed', 'data edited') order by id for update
        """,
        {"loop": loop, "instance": instance, "kind": kind},
    ).fetchall()


def to_restore(conn: Conn, instance: UUID, loop: str) -> dict[TaskId, UUID]:
    """Return the tasks with edited data that should have their own back, and their outputs.

    These are tasks of rejected alerts, and of accepted ones that are about the key alone: without it labelloop does not
    know the task.
    """
    found = conn.execute(
        """
        select task_id, output_id from alerts
        where loop = %(loop)s and instance = %(instance)s and kind = 'data edited' and ended_at is null
        and (state = 'rejected' or state = 'accepted' and fact like 'key %%') order by id
        """,
        {"loop": loop, "instance": instance},
    )
    return {row["task_id"]: row["output_id"] for row in found}


def end(conn: Conn, ids: Collection[int]) -> None:
    """Store that Label Studio has again what the loop has."""
    conn.execute("update alerts set ended_at = now() where id = any(%(ids)s)", {"ids": list(ids)})


def end_of_outputs(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Store that the tasks of these outputs are gone: nothing is left whose data could be restored."""
    conn.execute(
        """
        update alerts set ended_at = now()
        where output_id = any(%(ids)s) and kind = 'data edited' and ended_at is null
        """,
        {"ids": list(output_ids)},
    )


def list_(
    conn: Conn,
    loops: Sequence[str] | None = None,
    *,
    only_open: bool = True,
    ids: Collection[int] | None = None,
    kind: AlertKind | None = None,
    person: str | None = None,
    limit: int | None = None,
) -> list[Alert]:
    """Return alerts, the newest first; each condition that is None leaves nothing out."""
    cursor = rows_of(conn, Alert)
    return cursor.execute(
        f"""
        select {_ALERT}
        where (%(loops)s::text[] is null or a.loop = any(%(loops)s)) and (not %(open)s or a.state = 'open')
        and (%(ids)s::bigint[] is null or a.id = any(%(ids)s)) and (%(kind)s::text is null or a.kind = %(kind)s)
        and (%(person)s::text is null or lower(a.person) = lower(%(person)s))
        order by a.id desc limit %(limit)s
        """,
        {
            "loops": None if loops is None else list(loops),
            "open": only_open,
            "ids": None if ids is None else list(ids),
            "kind": kind,
            "person": person,
            "limit": limit,
        },
    ).fetchall()


def open_counts(conn: Conn, loop: str | None = None) -> list[OpenCount]:
    """Count the open alerts by loop and kind, of one loop or of all that are at work."""
    cursor = rows_of(conn, OpenCount)
    return cursor.execute(
        """
        select a.loop, a.kind, count(*) as n, now() - min(a.found_at) as oldest
        from alerts a join loops l on l.name = a.loop
        where a.state = 'open' and l.archived_at is null and (%(loop)s::text is null or a.loop = %(loop)s)
        group by 1, 2 order by 1, 2
        """,
        {"loop": loop},
    ).fetchall()


def change(conn: Conn, ids: Collection[int], was: AlertState, state: AlertState, by: str, why: str) -> list[Alert]:
    """Set those of these alerts that are `was` to `state`, to be settled; return them."""
    rows = conn.execute(
        """
        update alerts set state = %(state)s, settled = false,
            decided_by = case when %(state)s = 'open' then null else %(by)s end,
            decided_at = case when %(state)s = 'open' then null else now() end,
            why = case when %(state)s = 'open' then null else %(why)s end
        where id = any(%(ids)s) and state = %(was)s returning id
        """,
        {"ids": sorted(set(ids)), "was": was, "state": state, "by": by, "why": why},
    ).fetchall()
    return list_(conn, only_open=False, ids=[row["id"] for row in rows])


def open_twice(conn: Conn, ids: Collection[int]) -> tuple[int, int] | None:
    """Return one of these decided alerts that cannot be open beside a newer one about the same fact, and the newer one:
    it is open, or is among these too. None if there is no such pair.
    """
    row = conn.execute(
        """
        select d.id, n.id as newer from alerts d join alerts n on n.loop = d.loop and n.fact = d.fact and n.id > d.id
        where d.id = any(%(ids)s) and d.state <> 'open' and (n.state = 'open' or n.id = any(%(ids)s))
        order by d.id, n.id limit 1
        """,
        {"ids": list(ids)},
    ).fetchone()
    return None if row is None else (row["id"], row["newer"])


def unsettled(conn: Conn, loop: str, limit: int) -> list[Alert]:
    """Return decided alerts whose answers were not computed again yet, the oldest first, and lock them."""
    cursor = rows_of(conn, Alert)
    return cursor.execute(
        f"select {_ALERT} where a.loop = %(loop)s and not a.settled order by a.id limit %(limit)s for update of a",
        {"loop": loop, "limit": limit},
    ).fetchall()


def set_settled(conn: Conn, ids: Iterable[int], *, settled: bool = True) -> None:
    """Store whether the answers were computed again."""
    conn.execute(
        "update alerts set settled = %(settled)s where id = any(%(ids)s)", {"ids": list(ids), "settled": settled}
    )


def outputs_of(conn: Conn, ids: Collection[int]) -> dict[int, list[UUID]]:
    """Return the outputs whose answers these alerts are about, by alert."""
    found: dict[int, list[UUID]] = {id_: [] for id_ in ids}
    for row in conn.execute(
        """
        select id, output_id from alerts where id = any(%(ids)s) and output_id is not null
        union
        select x.alert_id, v.output_id from exclusions x join annotation_versions v on v.seq = x.annotation_version
        where x.alert_id = any(%(ids)s) and v.output_id is not null
        order by 1, 2
        """,
        {"ids": list(ids)},
    ):
        found[row["id"]].append(row["output_id"])
    return found
