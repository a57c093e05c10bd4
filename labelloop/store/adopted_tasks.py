"""Statements about the table adopted_tasks: tasks that people made before the loop. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from labelloop.queue.adopted import Adopted
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn
from labelloop.store.media import holding


def known(conn: Conn, instance: UUID) -> set[TaskId]:
    """Return the ids of all tasks of this project that are stored: adopted ones, and those that labelloop made."""
    rows = conn.execute(
        """
        select label_studio_id from adopted_tasks where instance = %(instance)s
        union select label_studio_id from tasks where instance = %(instance)s
        """,
        {"instance": instance},
    )
    return {row["label_studio_id"] for row in rows}


def add(conn: Conn, loop: str, instance: UUID, tasks: Mapping[UUID, tuple[TaskId, bytes]]) -> None:
    """Store the tasks of outputs: `tasks` maps an output to the task's id and the SHA-256 of its data. Known ones stay
    as they are.
    """
    conn.execute(
        """
        insert into adopted_tasks (output_id, loop, instance, label_studio_id, data_sha256)
        select output_id, %(loop)s, %(instance)s, task_id, decode(sha256, 'hex')
        from unnest(%(outputs)s::uuid[], %(tasks)s::bigint[], %(hashes)s::text[]) as t (output_id, task_id, sha256)
        on conflict do nothing
        """,
        {
            "loop": loop,
            "instance": instance,
            "outputs": list(tasks),
            "tasks": [task_id for task_id, _ in tasks.values()],
            "hashes": [sha256.hex() for _, sha256 in tasks.values()],
        },
    )


def by_task(conn: Conn, instance: UUID, task_ids: Collection[TaskId]) -> dict[TaskId, Adopted]:
    """Return those of these tasks that were adopted, by Label Studio's id."""
    rows = conn.execute(
        """
        select a.label_studio_id, a.output_id, a.data_sha256, o.state::text
        from adopted_tasks a join outputs o on o.id = a.output_id
        where a.instance = %(instance)s and a.label_studio_id = any(%(ids)s)
        """,
        {"instance": instance, "ids": list(task_ids)},
    )
    return {row["label_studio_id"]: Adopted(row["output_id"], bytes(row["data_sha256"]), row["state"]) for row in rows}


def waiting_tasks(conn: Conn, instance: UUID, output_ids: Collection[UUID]) -> dict[UUID, TaskId]:
    """Return the task of each of these outputs that was adopted from this project and is not open yet."""
    rows = conn.execute(
        """
        select a.output_id, a.label_studio_id from adopted_tasks a
        where a.instance = %(instance)s and a.output_id = any(%(ids)s)
        and not exists (select from tasks t where t.output_id = a.output_id)
        """,
        {"instance": instance, "ids": list(output_ids)},
    )
    return {row["output_id"]: row["label_studio_id"] for row in rows}


def data(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """Return the data of these outputs."""
    rows = conn.execute("select id, data from outputs where id = any(%(ids)s)", {"ids": list(output_ids)})
    return {row["id"]: row["data"] for row in rows}


def chosen_by_people(conn: Conn, loop: str) -> set[UUID]:
    """Return the outputs that people answered before labelloop chose them."""
    rows = conn.execute(
        "select output_id from adopted_tasks where loop = %(loop)s and chosen_by_people", {"loop": loop}
    )
    return {row["output_id"] for row in rows}


def open_(conn: Conn, instance: UUID, places: Mapping[UUID, float | None], *, by_people: bool = False) -> list[UUID]:
    """Open the tasks of these adopted outputs, each with its priority; return those that were not open.

    None as a priority means that of the pool. `by_people`: people answered them before labelloop chose them.
    `shown_version` is empty, so the next push gives each task a prediction. The caller holds the lock of the loop's
    pushes.
    """
    conn.execute("select from outputs where id = any(%(ids)s) order by id for update", {"ids": list(places)})
    if by_people:
        holding.let_go(conn, list(places), "somebody answered its task")
    idle = conn.execute(
        "select id from outputs where id = any(%(ids)s) and state in ('waiting', 'passed', 'accepted', 'withdrawn')",
        {"ids": list(places)},
    )
    places = {row["id"]: places[row["id"]] for row in idle}
    if by_people:
        _set_people_chose(conn, list(places))
    values = {"instance": instance, "ids": list(places), "places": list(places.values())}
    rows = conn.execute(
        """
        insert into tasks (output_id, loop, batch_id, instance, label_studio_id, lane, utility, priority, label,
                           confidence, champion, ranker, why, margin, shown_version)
        select o.id, o.loop, d.batch_id, a.instance, a.label_studio_id, o.lane, coalesce(p.utility, 0),
               coalesce(w.place, p.utility, 0), coalesce(p.label, o.label), coalesce(p.confidence, o.confidence),
               coalesce(p.champion, 'pipeline'), coalesce(p.ranker, 'pipeline'), p.why, p.margin, ''
        from unnest(%(ids)s::uuid[], %(places)s::float8[]) as w (output_id, place)
        join outputs o on o.id = w.output_id
        join adopted_tasks a on a.output_id = o.id and a.instance = %(instance)s
        join adoptions d on d.loop = o.loop
        left join pool p on p.output_id = o.id
        where not exists (select from repeats where output_id = o.id)
        on conflict do nothing returning output_id
        """,
        values,
    ).fetchall()
    opened = {"ids": [row["output_id"] for row in rows]}
    conn.execute("delete from pool where output_id = any(%(ids)s)", opened)
    conn.execute("update outputs set state = 'pushing' where id = any(%(ids)s) and state = 'waiting'", opened)
    conn.execute(
        """
        update outputs set state = 'in_review', state_reason = 'its task was in Label Studio already'
        where id = any(%(ids)s) and state in ('pushing', 'passed', 'accepted', 'withdrawn')
        """,
        opened,
    )
    return opened["ids"]


def _set_people_chose(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Store that people answered these outputs before labelloop chose them: no stratum of an estimate has them.

    The hold-out set stays what the hash says. The other lanes mean a choice that was not made.
    """
    values = {"ids": list(output_ids)}
    conn.execute("update adopted_tasks set chosen_by_people = true where output_id = any(%(ids)s)", values)
    conn.execute(
        """
        update outputs set triggered = null, inclusion_probability = null,
            lane = case when lane = 'holdout' then lane else 'rule' end
        where id = any(%(ids)s)
        """,
        values,
    )


def withdraw(conn: Conn, output_ids: Sequence[UUID], reason: str) -> list[UUID]:
    """Withdraw those of these adopted outputs that wait, passed or are quarantined, because their tasks were deleted.

    Returns them.
    """
    adopted = conn.execute(
        "select output_id from adopted_tasks where output_id = any(%(ids)s) order by output_id",
        {"ids": list(output_ids)},
    )
    values = {"ids": [row["output_id"] for row in adopted], "reason": reason}
    conn.execute("delete from pool where output_id = any(%(ids)s)", values)
    holding.let_go(conn, values["ids"], reason)
    conn.execute(
        """
        update outputs set state = 'waiting', state_reason = %(reason)s
        where id = any(%(ids)s) and state in ('passed', 'accepted', 'quarantined')
        """,
        values,
    )
    rows = conn.execute(
        """
        update outputs set state = 'withdrawn', state_reason = %(reason)s
        where id = any(%(ids)s) and state = 'waiting' returning id
        """,
        values,
    ).fetchall()
    return [row["id"] for row in rows]


def changed(conn: Conn, loop: str, instance: UUID) -> list[TaskId]:
    """Return the adopted tasks of which labelloop may have changed how many people Label Studio asks."""
    rows = conn.execute(
        """
        select t.label_studio_id from tasks t join adopted_tasks a on a.output_id = t.output_id
        where t.loop = %(loop)s and t.instance = %(instance)s
        and (t.overlap > 1 or t.asked_more > 0 or t.told)
        order by 1
        """,
        {"loop": loop, "instance": instance},
    )
    return [row["label_studio_id"] for row in rows]


def counts(conn: Conn, loop: str) -> dict[str, int]:
    """Count the adopted outputs: all, those that people had chosen, answered ones, and held-out ones of the latter."""
    row = conn.execute(
        """
        select count(*) as tasks, count(*) filter (where chosen_by_people) as chosen_by_people,
            count(*) filter (where chosen_by_people and o.state = 'answered') as answered,
            count(*) filter (where chosen_by_people and o.state = 'answered' and o.holdout) as held_out,
            count(*) filter (where o.state = 'waiting') as waiting
        from adopted_tasks a join outputs o on o.id = a.output_id where a.loop = %(loop)s
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return {name: int(n) for name, n in row.items()}
