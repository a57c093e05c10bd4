"""Statements about the table tasks: outputs that Label Studio has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from labelloop.queue.tasks import AskedAgain, KnownOutput, KnownTask, OpenTask
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, rows_of
from labelloop.store.opinions.adjudicated import ADJUDICATED
from labelloop.store.tables.unreadable import MORE
from labelloop.versions.version import VersionPair


def in_review(conn: Conn, loop: str, pair: VersionPair) -> list[OpenTask]:
    """Return the open tasks; `pair`: the versions in force."""
    cursor = rows_of(conn, OpenTask)
    return cursor.execute(
        f"""
        select t.output_id, t.label_studio_id, t.lane, t.utility, t.priority, t.label, t.champion, t.margin,
            t.shown_version, t.pushed_at, t.overlap, o.key, o.label as output_label, o.result, o.probabilities,
            a.annotated, (t.champion, t.ranker) = (%(champion)s, %(ranker)s) as fresh,
            {MORE} as more,
            exists (select from blind_tasks d where d.output_id = t.output_id) as blind
        from tasks t join outputs o on o.id = t.output_id cross join lateral (
            select count(*) as annotated from annotations
            where instance = t.instance and task_id = t.label_studio_id
            and annotation_id = any(array(
                select annotation_id from annotation_versions
                where instance = t.instance and task_id = t.label_studio_id))
        ) a
        where t.loop = %(loop)s and o.state = 'in_review' order by t.output_id
        """,
        {"loop": loop, "champion": pair.champion, "ranker": pair.ranker},
    ).fetchall()


def any_yet(conn: Conn, loop: str) -> bool:
    """Return whether the loop has a task, open or answered."""
    row = conn.execute("select exists (select from tasks where loop = %(loop)s) as found", {"loop": loop}).fetchone()
    assert row is not None
    return bool(row["found"])


def pushed(conn: Conn, loop: str, last: int) -> dict[str, int]:
    """Count by lane the `last` pushed outputs, with all that were pushed together with the earliest of them, and those
    on their way; `second` counts second opinions.
    """
    rows = conn.execute(
        """
        with newest as (
            select lane::text, overlap from tasks where loop = %(loop)s
            order by pushed_at desc fetch first (%(last)s) rows with ties
        )
        select lane, count(*) as n from (
            select lane from newest
            union all
            select 'second' from newest where overlap > 1
            union all
            select i.lane::text from batch_items i join batches b on b.id = i.batch_id
            where b.loop = %(loop)s and b.kind = 'tasks'
        ) all_of_them group by lane
        """,
        {"loop": loop, "last": last},
    ).fetchall()
    return {row["lane"]: row["n"] for row in rows}


def recent(conn: Conn, loop: str, limit: int) -> list[UUID]:
    """Return the outputs that were pushed last, newest first."""
    rows = conn.execute(
        "select output_id from tasks where loop = %(loop)s order by pushed_at desc, output_id limit %(limit)s",
        {"loop": loop, "limit": limit},
    ).fetchall()
    return [row["output_id"] for row in rows]


def ask_again(conn: Conn, output_ids: Sequence[UUID]) -> int:
    """Open answered tasks again for a second opinion; return how many.

    Tasks that are not answered, were asked twice already or are adjudicated stay as they are.
    """
    lock(conn, output_ids)
    return conn.execute(
        f"""
        with reopened as (
            update outputs o set state = 'in_review', state_reason = 'a second opinion is wanted'
            from tasks t where t.output_id = o.id and t.overlap = 1 and o.id = any(%(ids)s) and o.state = 'answered'
            and not {ADJUDICATED}
            returning o.id
        )
        update tasks set overlap = 2 where output_id in (select id from reopened)
        """,
        {"ids": list(output_ids)},
    ).rowcount


def asked_again(conn: Conn, loop: str, overlap: int) -> list[AskedAgain]:
    """Return the tasks that Label Studio should ask of another number of people than `overlap`, the loop's.

    These are open tasks that wait for a second opinion or have an unreadable answer. Any task that has fewer unreadable
    answers now than Label Studio was told, or needs fewer opinions, is returned too.
    """
    cursor = rows_of(conn, AskedAgain)
    return cursor.execute(
        f"""
        with those as (
            select output_id from tasks where loop = %(loop)s and overlap > 1
            union select output_id from tasks where loop = %(loop)s and (asked_more > 0 or told_overlap > overlap)
            union select output_id from unreadable where loop = %(loop)s and until is null and ask
        )
        select t.output_id, t.label_studio_id, greatest(t.overlap, %(overlap)s) + u.more as wanted, u.more,
            t.asked_more, t.overlap, t.told_overlap
        from those join tasks t using (output_id) join outputs o on o.id = t.output_id
        cross join lateral (select {MORE} as more) u
        where (o.state = 'in_review' and (t.overlap > 1 or u.more > 0)) or t.asked_more > u.more
            or t.told_overlap > t.overlap
        order by t.label_studio_id
        """,
        {"loop": loop, "overlap": overlap},
    ).fetchall()


def record_asked_more(conn: Conn, more: Mapping[UUID, int]) -> None:
    """Store for each output how many more people Label Studio asks, or is about to, because of unreadable answers."""
    lock(conn, more)
    conn.execute(
        """
        update tasks t set asked_more = m.more from unnest(%(ids)s::uuid[], %(more)s::integer[]) as m (output_id, more)
        where t.output_id = m.output_id and t.asked_more <> m.more
        """,
        {"ids": list(more), "more": list(more.values())},
    )


def lock(conn: Conn, output_ids: Iterable[UUID]) -> None:
    """Lock these rows until the transaction ends, by output id. All callers use this order, so none can deadlock."""
    conn.execute(
        "select from tasks where output_id = any(%(ids)s) order by output_id for update", {"ids": list(output_ids)}
    )


def show(conn: Conn, version: str, priorities: Mapping[UUID, float]) -> None:
    """Store that these tasks show a prediction of `version` now, each with its new priority."""
    lock(conn, priorities)
    conn.execute(
        """
        update tasks t set shown_version = %(version)s, priority = p.priority
        from unnest(%(ids)s::uuid[], %(priorities)s::float8[]) as p (output_id, priority)
        where t.output_id = p.output_id
        """,
        {"version": version, "ids": list(priorities), "priorities": list(priorities.values())},
    )


def ids(conn: Conn, loop: str) -> list[KnownTask]:
    """Return every task that Label Studio should have, adopted ones that wait or are held too."""
    cursor = rows_of(conn, KnownTask)
    return cursor.execute(
        """
        with counted as (
            select instance, task_id, count(*) as n from annotations
            where instance = any(array(select instance from projects where loop = %(loop)s))
            group by instance, task_id
        )
        select t.output_id, t.label_studio_id, t.pushed_at, o.state::text, coalesce(a.n, 0) as annotated,
            d.output_id is not null as adopted
        from tasks t join outputs o on o.id = t.output_id
        left join adopted_tasks d on d.output_id = t.output_id and d.instance = t.instance
        left join counted a on a.instance = t.instance and a.task_id = t.label_studio_id
        where t.loop = %(loop)s
        union all
        select d.output_id, d.label_studio_id, o.received_at, o.state::text, coalesce(a.n, 0), true
        from adopted_tasks d join projects p on p.loop = d.loop and p.instance = d.instance
        join outputs o on o.id = d.output_id
        left join counted a on a.instance = d.instance and a.task_id = d.label_studio_id
        where d.loop = %(loop)s and o.state in ('waiting', 'passed', 'accepted', 'quarantined')
        and not exists (select from tasks t where t.output_id = d.output_id)
        """,
        {"loop": loop},
    ).fetchall()


def by_label_studio_id(conn: Conn, instance: UUID, task_ids: Sequence[TaskId]) -> dict[TaskId, UUID]:
    """Map these ids of Label Studio to outputs; ids without a task of ours are left out."""
    rows = conn.execute(
        "select label_studio_id, output_id from tasks where instance = %(instance)s and label_studio_id = any(%(ids)s)",
        {"instance": instance, "ids": list(task_ids)},
    ).fetchall()
    return {row["label_studio_id"]: row["output_id"] for row in rows}


def known(conn: Conn, loop: str, output_ids: Sequence[UUID]) -> dict[UUID, KnownOutput]:
    """Return those of these outputs that belong to the loop, by id."""
    rows = rows_of(conn, KnownOutput).execute(
        """
        select o.id, o.state::text, t.label_studio_id from outputs o left join tasks t on t.output_id = o.id
        where o.loop = %(loop)s and o.id = any(%(ids)s)
        """,
        {"loop": loop, "ids": list(output_ids)},
    )
    return {row.id: row for row in rows}


def adopt_stray(conn: Conn, output_id: UUID, instance: UUID, task_id: TaskId, batch_id: UUID) -> bool:
    """Store a task that arrived after its import was given up, or that came back; False if it was not stored.

    It is not stored if the batch belongs to another loop, if the output is on its way or quarantined, or if
    it has a task already. `shown_version` stays empty, so the next push checks what the task shows.
    """
    return (
        conn.execute(
            """
            insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,
                               confidence, champion, ranker, why, shown_version)
            select o.id, o.loop, b.id, %(instance)s, %(task)s, o.lane, coalesce(p.utility, 0), coalesce(p.utility, 0),
                   coalesce(p.label, o.label), coalesce(p.confidence, o.confidence),
                   coalesce(p.champion, 'pipeline'), coalesce(p.ranker, 'pipeline'), p.why, ''
            from outputs o join batches b on b.id = %(batch)s and b.loop = o.loop
            left join pool p on p.output_id = o.id
            where o.id = %(output)s and o.state not in ('pushing', 'quarantined')
            on conflict do nothing
            """,
            {"output": output_id, "instance": instance, "task": task_id, "batch": batch_id},
        ).rowcount
        == 1
    )


def wait_again(conn: Conn, loop: str, reason: str) -> int:
    """Move the outputs of all open tasks back to the pool and delete all tasks of the loop; return how many wait.

    They keep their utility. Answered outputs stay answered. An output with an unreadable answer is asked again.
    """
    conn.execute("select from tasks where loop = %(loop)s order by output_id for update", {"loop": loop})
    conn.execute(
        """
        insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker, why, margin)
        select t.output_id, t.loop, t.lane, t.utility, o.key, t.label, t.confidence, t.champion, t.ranker, t.why,
            t.margin
        from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' on conflict (output_id) do nothing
        """,
        {"loop": loop},
    )
    conn.execute(
        """
        update unreadable u set until = now() from outputs o
        where o.id = u.output_id and u.loop = %(loop)s and u.until is null and u.decision is null
        and o.state = 'in_review'
        """,
        {"loop": loop},
    )
    n = conn.execute(
        "update outputs set state = 'waiting', state_reason = %(reason)s where loop = %(loop)s and state = 'in_review'",
        {"loop": loop, "reason": reason},
    ).rowcount
    conn.execute("delete from tasks where loop = %(loop)s", {"loop": loop})
    return n


def answered_before(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Set those of these open outputs to `answered` that enough people answered before their tasks were known."""
    conn.execute(
        """
        update outputs o set state = 'answered'
        from tasks t cross join lateral (
            select reviewers from answers where output_id = t.output_id order by seq desc limit 1
        ) a
        where t.output_id = o.id and o.id = any(%(ids)s) and o.state = 'in_review' and a.reviewers >= t.overlap
        """,
        {"ids": list(output_ids)},
    )


def doubt_open(conn: Conn, loop: str) -> None:
    """Have the next pull check whether the loop's open tasks still exist, because some task was deleted."""
    conn.execute(
        """
        insert into pull_requests (loop, task_id)
        select t.loop, t.label_studio_id from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' order by t.label_studio_id
        on conflict (loop, task_id) do update set requested_at = clock_timestamp()
        """,
        {"loop": loop},
    )


def forget(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Delete the tasks of these outputs, which Label Studio does not have any more."""
    conn.execute("delete from tasks where output_id = any(%(ids)s)", {"ids": list(output_ids)})


def point_to(conn: Conn, output_id: UUID, task_id: TaskId) -> None:
    """Store which of several tasks is the output's task."""
    conn.execute(
        "update tasks set label_studio_id = %(task)s where output_id = %(id)s", {"id": output_id, "task": task_id}
    )
