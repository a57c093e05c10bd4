"""Stored versions of annotations, which are only ever added, and doorbells. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.answers.annotations import Annotation, StoredAnnotation, digest
from labelloop.reading.ids import AnnotationId, TaskId
from labelloop.store.database import Conn, rows_of

Seen = tuple[Annotation, UUID | None, str | None]
"""An annotation, the output that its task carries, and why it is distrusted; None if it counts."""


def add(conn: Conn, instance: UUID, seen: Iterable[Seen]) -> set[UUID]:
    """Store the annotations that differ from their newest stored version; return the ids of their outputs.

    Any version differs from a tombstone, so an annotation that comes back is stored. A version that is older than the
    stored one was read earlier, and is left out. When a user is deleted, Label Studio removes the name from the user's
    annotations without a new `updated_at`; the stored versions keep the name. The caller holds the lock on the loop's
    answers, here and in `write_tombstones` and `write_tombstones_of_outputs`.
    """
    rows = [_row(annotation, output_id, distrusted) for annotation, output_id, distrusted in seen]
    new = conn.execute(
        """
        insert into annotation_versions
            (instance, annotation_id, task_id, output_id, sha256, result, completed_by, updated_by, was_cancelled,
             ground_truth, lead_time_s, parent_prediction, created_at, updated_at, distrusted)
        select %(instance)s, r.id, r.task_id, r.output_id, decode(r.sha256, 'hex'), r.result,
               case when nameless then v.completed_by else r.completed_by end,
               case when nameless then v.updated_by else r.updated_by end,
               r.was_cancelled, r.ground_truth, r.lead_time_s, r.parent_prediction, r.created_at, r.updated_at,
               r.distrusted
        from jsonb_to_recordset(%(rows)s) as r (
            id bigint, task_id bigint, output_id uuid, sha256 text, result jsonb, completed_by bigint,
            updated_by bigint, was_cancelled boolean, ground_truth boolean, lead_time_s float8,
            parent_prediction bigint, created_at timestamptz, updated_at timestamptz, distrusted text)
        left join lateral (
            select * from annotation_versions
            where instance = %(instance)s and annotation_id = r.id order by updated_at desc, seq desc limit 1
        ) v on true
        cross join lateral (
            select r.completed_by is null and r.updated_by is null and v.updated_at = r.updated_at as nameless
        ) who
        where v.seq is null or r.updated_at > v.updated_at
           or r.updated_at = v.updated_at and (v.deleted or v.sha256 <> decode(r.sha256, 'hex'))
        returning output_id
        """,
        {"instance": instance, "rows": Jsonb(rows)},
    ).fetchall()
    return {row["output_id"] for row in new if row["output_id"] is not None}


def write_tombstones(
    conn: Conn, instance: UUID, tasks: Mapping[TaskId, datetime], present: Sequence[AnnotationId]
) -> set[UUID]:
    """Store tombstones for the annotations of these tasks that are not `present` any more; return their outputs.

    `tasks` maps Label Studio's id to the task's `updated_at`, which changes whenever an annotation is written or
    deleted. An annotation that is newer than that is kept, because the task was read before it was made. A tombstone
    has the time of its annotation, so an annotation that comes back is the newest version again.
    """
    rows = conn.execute(
        """
        insert into annotation_versions
            (instance, annotation_id, task_id, output_id, sha256, result, completed_by, updated_by, was_cancelled,
             ground_truth, lead_time_s, parent_prediction, created_at, updated_at, deleted, distrusted)
        select a.instance, a.annotation_id, a.task_id, a.output_id, sha256('deleted'), a.result, a.completed_by,
               a.updated_by, a.was_cancelled, a.ground_truth, a.lead_time_s, a.parent_prediction, a.created_at,
               a.updated_at, true, a.distrusted
        from annotations a
        join unnest(%(tasks)s::bigint[], %(times)s::timestamptz[]) as t (task_id, updated_at) using (task_id)
        where a.instance = %(instance)s and a.annotation_id <> all (%(present)s::bigint[])
        and a.updated_at <= t.updated_at
        -- the view has an index on annotations, and none on tasks
        and a.annotation_id = any(array(
            select annotation_id from annotation_versions
            where instance = %(instance)s and task_id = any(%(tasks)s::bigint[])))
        returning output_id
        """,
        {"instance": instance, "tasks": list(tasks), "times": list(tasks.values()), "present": list(present)},
    ).fetchall()
    return {row["output_id"] for row in rows if row["output_id"] is not None}


def write_tombstones_of_outputs(
    conn: Conn, instance: UUID, output_ids: Sequence[UUID], only: AnnotationId | None = None
) -> None:
    """Store tombstones for every annotation of these outputs, because their tasks are gone; or for one of them only."""
    conn.execute(
        """
        insert into annotation_versions
            (instance, annotation_id, task_id, output_id, sha256, result, completed_by, updated_by, was_cancelled,
             ground_truth, lead_time_s, parent_prediction, created_at, updated_at, deleted, distrusted)
        select instance, annotation_id, task_id, output_id, sha256('deleted'), result, completed_by, updated_by,
               was_cancelled, ground_truth, lead_time_s, parent_prediction, created_at, updated_at, true, distrusted
        from annotations where instance = %(instance)s and output_id = any(%(ids)s)
        and annotation_id = any(array(select annotation_id from annotation_versions where output_id = any(%(ids)s)))
        and (%(only)s::bigint is null or annotation_id = %(only)s)
        """,
        {"instance": instance, "ids": list(output_ids), "only": only},
    )


def write_tombstone(conn: Conn, instance: UUID, annotation_id: AnnotationId, output_id: UUID) -> bool | None:
    """Store a tombstone for this annotation; False if it has one already, None if there never was an annotation."""
    row = conn.execute(
        """
        select not deleted as counts from annotation_versions
        where instance = %(instance)s and annotation_id = %(id)s order by updated_at desc, seq desc limit 1
        """,
        {"instance": instance, "id": annotation_id},
    ).fetchone()
    if row is None or not row["counts"]:
        return None if row is None else False
    write_tombstones_of_outputs(conn, instance, [output_id], annotation_id)
    return True


def of_outputs(conn: Conn, instance: UUID, output_ids: Sequence[UUID]) -> list[StoredAnnotation]:
    """Return the annotations of these outputs, without the skipped ones, in the order of their ids.

    If the newest version of an annotation is excluded, the version before is returned. If there is none, the excluded
    version is returned only if somebody else is to be asked, and is distrusted for the reason of its exclusion.
    """
    cursor = rows_of(conn, StoredAnnotation)
    return cursor.execute(
        """
        with theirs as (
            select distinct instance, annotation_id from annotation_versions
            where instance = %(instance)s and output_id = any(%(ids)s)
        ), counting as (
            select c.*, false as ask from counting_annotations c
            where c.instance = %(instance)s and c.annotation_id = any(array(select annotation_id from theirs))
        ), left_over as (
            select a.*, x.reason, x.ask from annotations a
            join lateral (
                select reason, ask from exclusions where annotation_version = a.seq and until is null and ask
                order by id limit 1
            ) x on true
            where a.instance = %(instance)s and a.annotation_id = any(array(select annotation_id from theirs))
            and not exists (select from counting c where c.annotation_id = a.annotation_id)
        )
        select annotation_id as id, task_id, result, completed_by, updated_by, was_cancelled, ground_truth, lead_time_s,
            parent_prediction, created_at, updated_at, seq, output_id, distrusted, ask
        from counting where output_id = any(%(ids)s) and not was_cancelled
        union all
        select annotation_id, task_id, result, completed_by, updated_by, was_cancelled, ground_truth, lead_time_s,
            parent_prediction, created_at, updated_at, seq, output_id, reason, ask
        from left_over where output_id = any(%(ids)s) and not was_cancelled
        order by id
        """,
        {"instance": instance, "ids": list(output_ids)},
    ).fetchall()


def newest_by_task(conn: Conn, instance: UUID, limit: int) -> dict[TaskId, datetime]:
    """Return the time of the newest annotation of the tasks that were answered last, without deleted annotations."""
    rows = conn.execute(
        """
        select task_id, max(updated_at) as at from (
            select * from annotation_versions where instance = %(instance)s order by seq desc limit %(limit)s
        ) v
        where output_id is not null and not exists (
            select from annotation_versions n where n.instance = v.instance and n.annotation_id = v.annotation_id
            and n.deleted and (n.updated_at, n.seq) >= (v.updated_at, v.seq))
        group by task_id
        """,
        {"instance": instance, "limit": limit},
    ).fetchall()
    return {row["task_id"]: row["at"] for row in rows}


def doorbells(conn: Conn, loop: str) -> dict[TaskId, datetime]:
    """Return the tasks whose existence the next pull must check, with the time of the last request for each."""
    rows = conn.execute("select * from pull_requests where loop = %(loop)s", {"loop": loop}).fetchall()
    return {row["task_id"]: row["requested_at"] for row in rows}


def record_doorbell(conn: Conn, loop: str, task_ids: Sequence[TaskId]) -> None:
    """Record these tasks, so that the next pull checks whether they still exist."""
    conn.execute(
        """
        insert into pull_requests (loop, task_id) select %(loop)s, unnest(%(ids)s::bigint[])
        on conflict (loop, task_id) do update set requested_at = clock_timestamp()
        """,
        {"loop": loop, "ids": sorted(set(task_ids))},
    )


def answer_doorbells(conn: Conn, loop: str, rung: Mapping[TaskId, datetime]) -> None:
    """Delete these doorbells, except those that were recorded anew since they were read."""
    conn.execute(
        """
        delete from pull_requests r using unnest(%(ids)s::bigint[], %(times)s::timestamptz[]) as a (task_id, at)
        where r.loop = %(loop)s and r.task_id = a.task_id and r.requested_at <= a.at
        """,
        {"loop": loop, "ids": list(rung), "times": list(rung.values())},
    )


def any_within(conn: Conn, seconds: float) -> bool:
    """Return whether the newest version of all loops was read within the last `seconds`: people are at work."""
    row = conn.execute(
        """
        select seen_at > now() - make_interval(secs => %(seconds)s) as found
        from annotation_versions order by seq desc limit 1
        """,
        {"seconds": seconds},
    ).fetchone()
    return row is not None and bool(row["found"])


def _row(annotation: Annotation, output_id: UUID | None, distrusted: str | None) -> dict[str, Any]:
    """Return the annotation as a row of the statement in `add`."""
    return {
        "id": annotation.id,
        "task_id": annotation.task_id,
        "output_id": None if output_id is None else str(output_id),
        "sha256": digest(annotation, output_id, distrusted).hex(),
        "result": annotation.result,
        "completed_by": annotation.completed_by,
        "updated_by": annotation.updated_by,
        "was_cancelled": annotation.was_cancelled,
        "ground_truth": annotation.ground_truth,
        "lead_time_s": annotation.lead_time_s,
        "parent_prediction": annotation.parent_prediction,
        "created_at": annotation.created_at.isoformat(),
        "updated_at": annotation.updated_at.isoformat(),
        "distrusted": distrusted,
    }
