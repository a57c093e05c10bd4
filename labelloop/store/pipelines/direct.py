"""Statements about answers that come over HTTP and not from Label Studio. The caller owns the transaction and holds the
lock of the loop's answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.reading.ids import TaskId
from labelloop.store.alerts.restoring import RESTORED
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.unreadable import MORE


@dataclass(frozen=True, slots=True)
class Judged:
    """An output that somebody answers."""

    id: UUID
    loop: str
    key: str
    state: OutputState
    label: str | None
    """The pipeline's label."""
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A reviewer who answered before, in Label Studio or over HTTP."""

    email: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Current:
    """Current feedback of a reviewer on an output."""

    id: UUID
    reviewer_id: UUID
    approval: bool | None
    correction: str | None
    comment: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class OtherTask:
    """A task of which Label Studio must be told something."""

    output_id: UUID
    label_studio_id: TaskId
    answered: bool
    wanted: int
    """Number of people to ask while it is open."""


def of_key(conn: Conn, loop: str, key: str) -> UUID | None:
    """Return the id of the output of this key; None if there is none."""
    row = conn.execute(
        "select id from outputs where loop = %(loop)s and key = %(key)s", {"loop": loop, "key": key}
    ).fetchone()
    return None if row is None else UUID(str(row["id"]))


def loop_of(conn: Conn, output_id: UUID) -> str | None:
    """Return the loop of the output; None if there is no such output."""
    row = conn.execute("select loop from outputs where id = %(id)s", {"id": output_id}).fetchone()
    return None if row is None else str(row["loop"])


def lock(conn: Conn, loop: str, output_id: UUID, source: str | None = None) -> Judged | None:
    """Return the output, locked until the transaction ends; None if the loop has no such output of this source, or its
    data was forgotten.
    """
    cursor = rows_of(conn, Judged)
    return cursor.execute(
        """
        select id, loop, key, state::text, label, data from outputs
        where id = %(id)s and loop = %(loop)s and (%(source)s::text is null or source = %(source)s)
        and not exists (select from forgotten_outputs where output_id = outputs.id) for update
        """,
        {"id": output_id, "loop": loop, "source": source},
    ).fetchone()


def reviewer(conn: Conn, loop: str, instance: UUID, named: str) -> Known | None:
    """Return the reviewer of the loop with this id or login, in any case; None if nobody with it answered before."""
    cursor = rows_of(conn, Known)
    return cursor.execute(
        """
        select email, name from reviewers
        where (id::text = lower(%(named)s) or lower(email) = lower(%(named)s))
        and (instance = %(instance)s or instance in (select instance from projects where loop = %(loop)s))
        order by instance = %(instance)s, email limit 1
        """,
        {"loop": loop, "instance": instance, "named": named},
    ).fetchone()


def feedback(conn: Conn, instance: UUID, output_id: UUID, user: int) -> Current | None:
    """Return this reviewer's feedback over HTTP on the output; None if there is none that counts."""
    cursor = rows_of(conn, Current)
    return cursor.execute(
        """
        select f.id, f.reviewer_id, f.approval, f.correction, f.comment, f.label
        from feedback f join reviewers r on r.id = f.reviewer_id
        where f.model_output_id = %(id)s and r.instance = %(instance)s and r.label_studio_user_id = %(user)s
        """,
        {"id": output_id, "instance": instance, "user": user},
    ).fetchone()


def next_time(conn: Conn, output_id: UUID) -> datetime:
    """Return the time now, or a microsecond after the newest feedback on the output if that is later."""
    row = conn.execute(
        """
        select greatest(clock_timestamp(), max(updated_at) + interval '1 microsecond') as now
        from feedback where model_output_id = %(id)s
        """,
        {"id": output_id},
    ).fetchone()
    assert row is not None
    found: datetime = row["now"]
    return found


def settle(conn: Conn, output_ids: Sequence[UUID]) -> list[UUID]:
    """Set those of these outputs to `answered` that have an answer and no task; return their ids.

    An output that is being sent to Label Studio is left alone: it is settled when its batch ends.
    """
    rows = conn.execute(
        """
        with settled as (
            update outputs o set state = 'answered', state_reason = 'answered without Label Studio', batch_id = null
            where o.id = any(%(ids)s) and o.state in ('waiting', 'passed', 'accepted', 'quarantined', 'withdrawn')
            and (select a.reviewers from answers a where a.output_id = o.id order by a.seq desc limit 1) > 0
            returning o.id
        ), left_pool as (
            delete from pool where output_id in (select id from settled)
        )
        select id from settled
        """,
        {"ids": list(output_ids)},
    ).fetchall()
    return [row["id"] for row in rows]


def unsettle(conn: Conn, output_id: UUID) -> OutputState | None:
    """Give an output without a task and without any answer the state back that it had before it was answered.

    If it had a task then, which is lost since, it waits, also if that was deleted and somebody rejected the deletion.
    The same holds if it had passed unseen by a certificate that was revoked since. Returns the state; None if it stays
    as it is. An output that waits again still needs its row in the pool.
    """
    # The lock waits for a revocation, which cannot see that the output passes unseen again.
    revoked = conn.execute(
        """
        select c.revoked_at is not null as revoked from accepted x join certificates c on c.id = x.certificate_id
        where x.output_id = %(id)s for share of c
        """,
        {"id": output_id},
    ).fetchone()
    row = conn.execute(
        """
        with back as (
            update outputs o set state = case
                    when before.was = 'in_review' or o.state_reason = %(restored)s
                        or before.was = 'accepted' and %(revoked)s then 'waiting'
                    else before.was end,
                state_reason = 'the answer without Label Studio was taken back'
            from (
                select was from output_events where output_id = %(id)s and became = 'answered' order by seq desc limit 1
            ) before
            where o.id = %(id)s and o.state = 'answered' and not exists (select from tasks t where t.output_id = o.id)
            and coalesce((
                select a.reviewers from answers a where a.output_id = o.id order by a.seq desc limit 1), 0) = 0
            returning o.id, o.state::text
        ), also as (
            update accepted x set revoked_at = clock_timestamp() from back
            where x.output_id = back.id and back.state = 'waiting' and x.revoked_at is null and %(revoked)s
        )
        select state from back
        """,
        {"id": output_id, "revoked": revoked is not None and revoked["revoked"], "restored": RESTORED},
    ).fetchone()
    return None if row is None else OutputState(row["state"])


def is_answered_in_label_studio(conn: Conn, instance: UUID, output_id: UUID, login: str) -> bool:
    """Whether the feedback of this person on the output came from another instance than that of answers over HTTP."""
    row = conn.execute(
        """
        select from feedback f join reviewers r on r.id = f.reviewer_id
        where f.model_output_id = %(id)s and r.instance <> %(instance)s and lower(r.email) = lower(%(login)s)
        """,
        {"id": output_id, "instance": instance, "login": login},
    ).fetchone()
    return row is not None


def close(conn: Conn, output_ids: Sequence[UUID]) -> bool:
    """Have the next push take those of these answered tasks out of the queue that a person answered elsewhere.

    Label Studio counts its own annotations only, and would serve such a task for ever. Returns whether there are any.
    """
    return bool(
        conn.execute(
            """
            update tasks t set elsewhere = true from outputs o
            where t.output_id = any(%(ids)s) and o.id = t.output_id and o.state = 'answered' and not t.elsewhere
            and exists (
                select from feedback f join reviewers r on r.id = f.reviewer_id
                where f.model_output_id = t.output_id and r.instance <> t.instance)
            """,
            {"ids": list(output_ids)},
        ).rowcount
    )


def to_tell(conn: Conn, loop: str, overlap: int) -> list[OtherTask]:
    """Return the tasks that Label Studio serves although they are answered elsewhere or by an adjudicator, or hides
    although they wait. `overlap`: the loop's.
    """
    cursor = rows_of(conn, OtherTask)
    return cursor.execute(
        f"""
        select t.output_id, t.label_studio_id, o.state = 'answered' as answered,
            greatest(t.overlap, %(overlap)s) + {MORE} as wanted
        from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and (t.elsewhere or t.told)
        and (o.state = 'answered' and not t.told or o.state = 'in_review' and t.told)
        order by t.label_studio_id
        """,
        {"loop": loop, "overlap": overlap},
    ).fetchall()


def told(conn: Conn, output_id: UUID, *, answered: bool) -> None:
    """Store what Label Studio was told of this task."""
    conn.execute(
        "update tasks set told = %(answered)s, elsewhere = %(answered)s where output_id = %(id)s",
        {"id": output_id, "answered": answered},
    )
