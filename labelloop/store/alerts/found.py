"""Facts for alerts, about rows that a pull has just stored: new versions with their past, answers without a task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from labelloop.answers.alerts import NewVersion
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, rows_of


def newest_seq(conn: Conn) -> int:
    """Return the number of the newest version of all loops; 0 for none."""
    row = conn.execute("select coalesce(max(seq), 0) as seq from annotation_versions").fetchone()
    assert row is not None
    return int(row["seq"])


def suspects(conn: Conn, instance: UUID, since: int) -> list[NewVersion]:
    """Return the versions stored after `since` that change an annotation, or have two authors.

    An annotation that one person gave as the first version, which is nearly all work, is left out.
    """
    cursor = rows_of(conn, NewVersion)
    return cursor.execute(
        """
        select v.seq, v.annotation_id, v.task_id, v.output_id, v.deleted, v.completed_by, v.updated_by, v.result,
            v.was_cancelled, p.seq is null as is_first,
            coalesce(p.updated_at = v.updated_at and p.result = v.result and p.was_cancelled = v.was_cancelled
                     and p.deleted = v.deleted, false) as same,
            f.author, b.seq as base, b.by as base_by, b.result as base_result,
            coalesce(not b.was_cancelled and b.distrusted is null, false) as base_answers
        from annotation_versions v
        left join lateral (
            select * from annotation_versions
            where instance = v.instance and annotation_id = v.annotation_id and seq < v.seq
            order by updated_at desc, seq desc limit 1
        ) p on true
        left join lateral (
            select coalesce(completed_by, updated_by) as author from annotation_versions
            where instance = v.instance and annotation_id = v.annotation_id order by seq limit 1
        ) f on true
        left join lateral (
            select *, coalesce(updated_by, completed_by) as by from counting_versions
            where instance = v.instance and annotation_id = v.annotation_id and seq < v.seq and not deleted
            order by updated_at desc, seq desc limit 1
        ) b on true
        where v.seq > %(since)s and v.instance = %(instance)s and v.output_id is not null
        and (v.deleted or p.seq is not null or v.updated_by <> v.completed_by)
        order by v.seq
        """,
        {"since": since, "instance": instance},
    ).fetchall()


def inherit(conn: Conn, instance: UUID, since: int) -> None:
    """Exclude the versions stored after `since` that differ from an excluded one in nothing that a person did.

    Otherwise an answer that does not count would count as soon as Label Studio deletes its author's name.
    """
    conn.execute(
        """
        insert into exclusions (loop, annotation_version, alert_id, reason, ask)
        select x.loop, v.seq, x.alert_id, x.reason, x.ask
        from annotation_versions v cross join lateral (
            select * from annotation_versions
            where instance = v.instance and annotation_id = v.annotation_id and seq < v.seq
            order by updated_at desc, seq desc limit 1
        ) p
        join exclusions x on x.annotation_version = p.seq and x.until is null
        where v.seq > %(since)s and v.instance = %(instance)s and not v.deleted and not p.deleted
        and p.updated_at = v.updated_at and p.result = v.result and p.was_cancelled = v.was_cancelled
        on conflict do nothing
        """,
        {"since": since, "instance": instance},
    )


def written(conn: Conn, instance: UUID, since: int, tasks: Collection[TaskId] | None = None) -> dict[int, TaskId]:
    """Return the versions stored after `since` that a person wrote, with their tasks; None means of all tasks."""
    rows = conn.execute(
        """
        select v.seq, v.task_id from annotation_versions v left join lateral (
            select * from annotation_versions
            where instance = v.instance and annotation_id = v.annotation_id and seq < v.seq
            order by updated_at desc, seq desc limit 1
        ) p on true
        where v.seq > %(since)s and v.instance = %(instance)s and v.output_id is not null and not v.deleted
        and (%(tasks)s::bigint[] is null or v.task_id = any(%(tasks)s))
        and (p.seq is null or p.deleted or (p.updated_at, p.result, p.was_cancelled)
             is distinct from (v.updated_at, v.result, v.was_cancelled))
        """,
        {"since": since, "instance": instance, "tasks": None if tasks is None else list(tasks)},
    )
    return {row["seq"]: row["task_id"] for row in rows}


def seen_since(conn: Conn, instance: UUID, seconds: float) -> list[int]:
    """Return the versions of outputs that were read within the last `seconds`, tombstones left out."""
    rows = conn.execute(
        """
        select seq from annotation_versions
        where instance = %(instance)s and output_id is not null and not deleted
        and seen_at > now() - make_interval(secs => %(seconds)s)
        """,
        {"instance": instance, "seconds": seconds},
    )
    return [row["seq"] for row in rows]


def answered(conn: Conn, instances: Sequence[UUID], output_ids: Sequence[UUID]) -> dict[UUID, tuple[TaskId, int]]:
    """Return those of these outputs that have a counting answer, with Label Studio's task and the number of answers."""
    rows = conn.execute(
        """
        select a.output_id, max(a.task_id) as task_id, count(*) as n from counting_annotations a
        where a.instance = any(%(instances)s) and a.output_id = any(%(ids)s)
        and a.annotation_id = any(array(select annotation_id from annotation_versions where output_id = any(%(ids)s)))
        and not a.was_cancelled and a.distrusted is null
        group by a.output_id
        """,
        {"instances": list(instances), "ids": list(output_ids)},
    )
    return {row["output_id"]: (row["task_id"], row["n"]) for row in rows}


def stored_tasks(conn: Conn, instance: UUID) -> int:
    """Count the tasks of this project that are stored: those that labelloop made, and adopted ones."""
    row = conn.execute(
        """
        select (select count(*) from adopted_tasks where instance = %(instance)s)
             + (select count(*) from tasks t where instance = %(instance)s and not exists (
                   select from adopted_tasks a
                   where a.instance = t.instance and a.label_studio_id = t.label_studio_id)) as n
        """,
        {"instance": instance},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def opened_tasks(conn: Conn, instance: UUID) -> set[TaskId]:
    """Return the tasks of this project that are or were open."""
    rows = conn.execute("select label_studio_id from tasks where instance = %(instance)s", {"instance": instance})
    return {row["label_studio_id"] for row in rows}
