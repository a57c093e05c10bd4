"""Imports into Label Studio, each stored before it is sent. The caller owns the transaction.

A function that changes a batch's state names the state before. So of two processes that try, only the first succeeds,
even if it was paused for minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from labelloop.outputs.output import OutputState
from labelloop.queue.batches import BatchItem, BatchKind, BatchState, OpenBatch
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, rows_of


def intend(conn: Conn, loop: str, version: str, size: int, kind: BatchKind = BatchKind.TASKS) -> UUID:
    """Store a new batch, which is not sent yet; return its id."""
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
    """Return the batches that are not finished yet, oldest first."""
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
    """Return the items of the batch, each with its output, in the order in which they are to be served."""
    cursor = rows_of(conn, BatchItem)
    return cursor.execute(
        """
        select i.batch_id, i.output_id, i.lane, i.priority, i.label, i.champion, i.ranker, i.why, i.margin,
            o.key, o.data, o.result, o.label as output_label, o.probabilities, o.evidence,
            o.confidence as output_confidence, exists (select from blind_tasks d where d.output_id = o.id) as blind
        from batch_items i join outputs o on o.id = i.output_id
        where i.batch_id = %(id)s order by i.priority desc, i.output_id
        """,
        {"id": batch_id},
    ).fetchall()


def carry(conn: Conn, batch_id: UUID, places: Mapping[UUID, float]) -> None:
    """Add new predictions of these open tasks to the batch, each with its new priority."""
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


def without(conn: Conn, version: str, output_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of these open tasks that show no prediction of `version` and of which no unfinished batch has one.
    The caller holds the lock of the loop's pushes.
    """
    rows = conn.execute(
        """
        select output_id from tasks t where output_id = any(%(ids)s) and shown_version <> %(version)s
        and not exists (
            select from batch_items i join batches b on b.id = i.batch_id
            where i.output_id = t.output_id and b.state in ('intent', 'sending') and b.version = %(version)s)
        """,
        {"version": version, "ids": list(output_ids)},
    )
    return {row["output_id"] for row in rows}


def item_ids(conn: Conn, batch_id: UUID) -> list[UUID]:
    """Return the outputs of the batch."""
    rows = conn.execute("select output_id from batch_items where batch_id = %(id)s", {"id": batch_id})
    return [row["output_id"] for row in rows]


def start(conn: Conn, batch_id: UUID) -> int:
    """Set the waiting outputs of the batch to `pushing`; return how many changed."""
    return conn.execute(
        """
        update outputs set state = 'pushing', state_reason = null, batch_id = %(id)s
        where id in (select output_id from batch_items where batch_id = %(id)s) and state = 'waiting'
        """,
        {"id": batch_id},
    ).rowcount


def send(conn: Conn, batch_id: UUID) -> bool:
    """Mark the batch as being sent; False if another process has sent or released it.

    The caller commits this before the request leaves, so that a batch is sent at most once.
    """
    return (
        conn.execute(
            "update batches set state = 'sending', sent_at = now() where id = %(id)s and state = 'intent'",
            {"id": batch_id},
        ).rowcount
        == 1
    )


def end(conn: Conn, batch_id: UUID, was: BatchState, became: BatchState, reason: str | None = None) -> bool:
    """Finish a batch: store its last state and the reason. False if it is not in the state `was` any more."""
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
    """Store the tasks of the batch; `ids` maps each output to Label Studio's id.

    An output that has a task already keeps it; the sweep finds the second one.
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
    """Set these outputs of the batch to `in_review`, because Label Studio has them; return how many changed."""
    return conn.execute(
        """
        update outputs set state = 'in_review'
        where id = any(%(ids)s) and batch_id = %(batch)s and state = 'pushing'
        """,
        {"ids": list(output_ids), "batch": batch_id},
    ).rowcount


def release(conn: Conn, batch_id: UUID, state: OutputState, reason: str) -> int:
    """Set the outputs of the batch that are still `pushing` to `state`; return how many changed.

    `state` is waiting or quarantined.
    """
    return conn.execute(
        """
        update outputs set state = %(state)s::output_state, state_reason = %(reason)s, batch_id = null
        where batch_id = %(id)s and state = 'pushing'
        """,
        {"id": batch_id, "state": state, "reason": reason},
    ).rowcount


def forget_items(conn: Conn, batch_id: UUID) -> None:
    """Delete the items of the batch."""
    conn.execute("delete from batch_items where batch_id = %(id)s", {"id": batch_id})


def hand_over(conn: Conn, batch_id: UUID, to: UUID, output_ids: Sequence[UUID]) -> None:
    """Move these outputs from a refused batch into the smaller batch `to`."""
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


def record_found(conn: Conn, batch_id: UUID, output_id: UUID) -> None:
    """Record a batch that a task names and this database does not know: it was restored to a time before the batch."""
    conn.execute(
        """
        insert into batches (id, loop, state, version, size, resolved_at, reason)
        select %(batch)s, loop, 'adopted', 'pipeline', 1, now(), 'found in Label Studio' from outputs
        where id = %(output)s on conflict do nothing
        """,
        {"batch": batch_id, "output": output_id},
    )
