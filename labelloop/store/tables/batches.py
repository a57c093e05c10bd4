"""Imports into Label Studio, each written down before it is sent: one statement a function; the caller's transaction.

A function that changes a batch's state names the state before. So of two processes that try, only the first
succeeds, even if it was paused for minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.queue.batches import BatchItem, BatchKind, BatchState, OpenBatch
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, rows_of


def intend(conn: Conn, loop: str, version: str, size: int, kind: BatchKind = BatchKind.TASKS) -> UUID:
    """A new batch, not yet sent."""
    row = conn.execute(
        """
        insert into batches (loop, kind, version, size) values (%(loop)s, %(kind)s, %(version)s, %(size)s)
        returning id
        """,
        {"loop": loop, "kind": kind, "version": version, "size": size},
    ).fetchone()
    assert row is not None
    return UUID(str(row["id"]))


def open_(conn: Conn, loop: str) -> list[OpenBatch]:
    """Return the batches whose end is not known, oldest first."""
    cursor = rows_of(conn, OpenBatch)
    return cursor.execute(
        """
        select id, loop, kind, state, version, size, created_at, sent_at,
            extract(epoch from now() - coalesce(sent_at, created_at))::float8 as age_s
        from batches where loop = %(loop)s and state in ('intent', 'sending') order by created_at, id
        """,
        {"loop": loop},
    ).fetchall()


def version(conn: Conn, batch_id: UUID) -> str:
    """Return the `model_version` of the batch's predictions."""
    row = conn.execute("select version from batches where id = %(id)s", {"id": batch_id}).fetchone()
    assert row is not None
    return str(row["version"])


def items(conn: Conn, batch_id: UUID) -> list[BatchItem]:
    """Return what the batch carries, with the outputs themselves; the first to be served first."""
    cursor = rows_of(conn, BatchItem)
    return cursor.execute(
        """
        select i.batch_id, i.output_id, i.lane, i.priority, i.label, i.champion, i.ranker, i.why, i.margin,
            o.key, o.data, o.result, o.label as output_label, o.probabilities, o.evidence,
            o.confidence as output_confidence
        from batch_items i join outputs o on o.id = i.output_id
        where i.batch_id = %(id)s order by i.priority desc, i.output_id
        """,
        {"id": batch_id},
    ).fetchall()


def carry(conn: Conn, batch_id: UUID, places: Mapping[UUID, float]) -> None:
    """New predictions of these open tasks are in the batch, each with its new priority."""
    conn.execute(
        """
        insert into batch_items
            (batch_id, output_id, lane, utility, priority, label, confidence, champion, ranker, why,
             margin)
        select %(id)s, t.output_id, t.lane, t.utility, p.priority, t.label, t.confidence, t.champion, t.ranker, t.why,
            t.margin
        from tasks t join unnest(%(outputs)s::uuid[], %(priorities)s::float8[]) as p (output_id, priority)
            using (output_id)
        """,
        {"id": batch_id, "outputs": list(places), "priorities": list(places.values())},
    )


def start(conn: Conn, batch_id: UUID) -> int:
    """The batch's outputs are now on their way; returns how many were waiting."""
    return conn.execute(
        """
        update outputs set state = 'pushing', state_reason = null, batch_id = %(id)s
        where id in (select output_id from batch_items where batch_id = %(id)s) and state = 'waiting'
        """,
        {"id": batch_id},
    ).rowcount


def send(conn: Conn, batch_id: UUID) -> bool:
    """The right to send it, once; committed before the request leaves. False: it was released meanwhile."""
    return (
        conn.execute(
            "update batches set state = 'sending', sent_at = now() where id = %(id)s and state = 'intent'",
            {"id": batch_id},
        ).rowcount
        == 1
    )


def end(conn: Conn, batch_id: UUID, was: BatchState, became: BatchState, reason: str | None = None) -> bool:
    """Say what became of a batch; False when somebody else has said it already."""
    return (
        conn.execute(
            """
            update batches set state = %(became)s::batch_state, resolved_at = now(), reason = %(reason)s
            where id = %(id)s and state = %(was)s::batch_state
            """,
            {"id": batch_id, "was": was, "became": became, "reason": reason},
        ).rowcount
        == 1
    )


def adopt(conn: Conn, batch_id: UUID, instance: UUID, ids: Mapping[UUID, TaskId]) -> None:
    """Write down the tasks (output to Label Studio's id) that the batch has become.

    An output that has a task already keeps it: the sweep finds the second one.
    """
    conn.execute(
        """
        insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,
                           confidence, champion, ranker, why, margin, shown_version)
        select i.output_id, b.loop, b.id, %(instance)s, t.label_studio_id, i.lane, i.utility, i.priority, i.label,
               i.confidence, i.champion, i.ranker, i.why, i.margin, b.version
        from batch_items i join batches b on b.id = i.batch_id
        join unnest(%(outputs)s::uuid[], %(tasks)s::bigint[]) as t (output_id, label_studio_id) using (output_id)
        where i.batch_id = %(id)s
        on conflict do nothing
        """,
        {"id": batch_id, "instance": instance, "outputs": list(ids), "tasks": list(ids.values())},
    )


def in_review(conn: Conn, batch_id: UUID, output_ids: Sequence[UUID]) -> int:
    """These outputs of the batch stand in Label Studio."""
    return conn.execute(
        """
        update outputs set state = 'in_review'
        where id = any(%(ids)s) and batch_id = %(batch)s and state = 'pushing'
        """,
        {"ids": list(output_ids), "batch": batch_id},
    ).rowcount


def release(conn: Conn, batch_id: UUID, state: OutputState, reason: str) -> int:
    """Outputs of the batch that are still on their way go to `state`: waiting or quarantined."""
    return conn.execute(
        """
        update outputs set state = %(state)s::output_state, state_reason = %(reason)s, batch_id = null
        where batch_id = %(id)s and state = 'pushing'
        """,
        {"id": batch_id, "state": state, "reason": reason},
    ).rowcount


def forget_items(conn: Conn, batch_id: UUID) -> None:
    conn.execute("delete from batch_items where batch_id = %(id)s", {"id": batch_id})


def hand_over(conn: Conn, batch_id: UUID, to: UUID, output_ids: Sequence[UUID]) -> None:
    """Part of a refused batch goes into a smaller one."""
    conn.execute(
        """
        with moved as (
            update batch_items set batch_id = %(to)s
            where batch_id = %(id)s and output_id = any(%(ids)s) returning output_id
        )
        update outputs set batch_id = %(to)s where id in (select output_id from moved) and state = 'pushing'
        """,
        {"id": batch_id, "to": to, "ids": list(output_ids)},
    )
