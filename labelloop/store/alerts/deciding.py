"""Decisions about alerts, and the versions that stop or begin to count with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from labelloop.answers.alerts import Alert, AlertKind, AlertState
from labelloop.errors import Conflict, UsageError
from labelloop.reading.strict_json import UNKEPT
from labelloop.store.alerts import exclusions, rows
from labelloop.store.database import Conn
from labelloop.store.tables import jobs, projects

LONGEST_WHY = 1000
"""Characters of the reason of a decision."""


def cover(conn: Conn, loop: str, alert_id: int, kind: AlertKind, versions: Collection[int], *, ask: bool) -> None:
    """Exclude these versions because of an alert. `ask`: it was rejected, so somebody else is asked."""
    if versions:
        reason = f"alert {alert_id} was rejected: {kind}" if ask else f"alert {alert_id} is open: {kind}"
        exclusions.exclude(conn, loop, versions, alert_id, reason, ask=ask)


def chosen(
    conn: Conn,
    ids: Collection[int],
    *,
    was: Collection[AlertState],
    loop: str | None = None,
    kind: AlertKind | None = None,
    person: str | None = None,
) -> list[int]:
    """Return the alerts that a decision is about: these ids, or without any those of a kind or person.

    Raises UsageError if an id does not exist or is of another loop, or if nothing is named. Raises Conflict if one of
    the ids is in another state than `was`.
    """
    if not ids and kind is None and person is None:
        raise UsageError("name alerts by their numbers, or choose them by kind or person")
    found = rows.list_(conn, only_open=False, ids=ids or None, kind=kind, person=person)
    known = {alert.id: alert for alert in found}
    if not ids:
        mine = [alert for alert in found if alert.state in was and loop in (None, alert.loop)]
        if not mine:
            raise UsageError(f"no {' or '.join(was)} alert fits; `labelloop alerts --all` lists all of them")
        return [alert.id for alert in mine]
    for id_ in ids:
        if (alert := known.get(id_)) is None:
            fits = " of this kind and person" if kind is not None or person is not None else ""
            raise UsageError(f"there is no alert {id_}{fits}; `labelloop alerts --all` lists all of them")
        if loop not in (None, alert.loop):
            raise UsageError(f"alert {id_} is of the loop {alert.loop!r}, not of {loop!r}")
        if alert.state not in was:
            by = f" by {alert.decided_by}" if alert.decided_by else ""
            undo = f"; `labelloop alerts reopen {id_}` takes that back" if alert.decided_by else ""
            raise Conflict(f"alert {id_} is {alert.state} already{by}: nothing was done{undo}")
    return sorted(set(ids))


def reason_of(why: str) -> str:
    """Return the reason as it is stored. Raises UsageError if it is empty, too long, or cannot be stored."""
    why = why.strip()
    if not why or len(why) > LONGEST_WHY:
        raise UsageError(f"a decision needs a reason of 1 to {LONGEST_WHY} characters; it has {len(why)}")
    if UNKEPT.search(why):
        raise UsageError("the reason holds characters that Postgres cannot store")
    return why


def decide(conn: Conn, ids: Collection[int], state: AlertState, by: str, why: str) -> list[Alert]:
    """Accept or reject those of these alerts that are open; return them. The next pull computes the answers again."""
    decided = rows.change(conn, ids, AlertState.OPEN, state, by, why)
    theirs = [alert.id for alert in decided]
    if state == AlertState.ACCEPTED:
        _uncover(conn, theirs)
    else:
        _ask(conn, theirs)
        for alert in decided:
            if alert.kind == AlertKind.DELETED:
                cover(conn, alert.loop, alert.id, alert.kind, _tombstones(conn, alert), ask=False)
    _ask_for_pulls(conn, decided)
    return decided


def reopen(conn: Conn, ids: Collection[int]) -> list[Alert]:
    """Take back the decision about those of these alerts that are decided; return them.

    Raises Conflict if another alert about the same fact is open.
    """
    for loop in sorted({alert.loop for alert in rows.list_(conn, only_open=False, ids=ids)}):
        projects.lock_hop(conn, loop, "answers")  # no pull opens an alert about one of these facts meanwhile
    if (twice := rows.open_twice(conn, ids)) is not None:
        raise Conflict(f"alert {twice[0]} is about the same as alert {twice[1]}, which is newer: decide that one")
    opened: list[Alert] = []
    for was in (AlertState.ACCEPTED, AlertState.REJECTED):
        opened += rows.change(conn, ids, was, AlertState.OPEN, "", "")
    _uncover(conn, [alert.id for alert in opened])
    for alert in opened:
        if alert.kind != AlertKind.DELETED:
            cover(conn, alert.loop, alert.id, alert.kind, _covered(conn, alert), ask=False)
    _ask_for_pulls(conn, opened)
    return opened


def _uncover(conn: Conn, ids: Sequence[int]) -> None:
    conn.execute(
        "update exclusions set until = now() where alert_id = any(%(ids)s) and until is null", {"ids": list(ids)}
    )


def _ask(conn: Conn, ids: Sequence[int]) -> None:
    """Have somebody else asked where nothing is left of an annotation."""
    conn.execute(
        """
        update exclusions x set ask = true, reason = 'alert ' || a.id || ' was rejected: ' || a.kind
        from alerts a where a.id = x.alert_id and x.alert_id = any(%(ids)s) and x.until is null
        """,
        {"ids": list(ids)},
    )


def _tombstones(conn: Conn, alert: Alert) -> list[int]:
    """Return the tombstones that were written when the deletion was found."""
    rows_ = conn.execute(
        """
        select seq from annotation_versions
        where output_id = %(output)s and deleted and seen_at = %(found_at)s
        and (%(annotation)s::bigint is null or instance = %(instance)s and annotation_id = %(annotation)s)
        """,
        {
            "output": alert.output_id,
            "found_at": alert.found_at,
            "annotation": alert.annotation_id,
            "instance": alert.instance,
        },
    )
    return [row["seq"] for row in rows_]


def _covered(conn: Conn, alert: Alert) -> list[int]:
    """Return the versions that the alert is about: those that it excluded before, and those that came meanwhile."""
    rows_ = conn.execute(
        """
        with before as (select annotation_version as seq from exclusions where alert_id = %(id)s)
        select seq from before
        union
        select seq from annotation_versions v
        where v.instance = %(instance)s and not v.deleted and v.output_id is not null and case
            when %(kind)s in ('edited by another', 'not by its author') then
                v.annotation_id = %(annotation)s and v.seq >= (select min(seq) from before)
                and coalesce(v.updated_by, v.completed_by) = %(person)s
            else v.seen_at >= %(found_at)s and (%(ended_at)s::timestamptz is null or v.seen_at < %(ended_at)s)
                and (%(kind)s = 'form changed' or v.task_id = %(task)s and %(fact)s like 'data %%') end
        """,
        {
            "id": alert.id,
            "kind": alert.kind,
            "instance": alert.instance,
            "annotation": alert.annotation_id,
            "task": alert.task_id,
            "person": alert.person_id,
            "found_at": alert.found_at,
            "ended_at": alert.ended_at,
            "fact": alert.fact,
        },
    )
    return [row["seq"] for row in rows_]


def _ask_for_pulls(conn: Conn, alerts: Sequence[Alert]) -> None:
    for loop in sorted({alert.loop for alert in alerts}):
        jobs.ask(conn, jobs.PULL, loop)
