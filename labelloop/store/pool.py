"""The outputs that wait for people: one statement a function; the caller owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from labelloop.store.database import Conn


def best(conn: Conn, loop: str, limit: int, champion_id: str | None, ranker_id: str | None) -> list[dict[str, Any]]:
    """The `limit` most useful of each lane; `fresh` are those that the versions in force have seen: they come first.

    Before the first champion, fresh labels are the pipeline's own: those that no version of ours gave.
    """
    return conn.execute(
        """
        select p.* from unnest(enum_range(null::lane)) as l (lane) cross join lateral (
            select *,
                (case when %(champion)s::text is null
                      then not exists (select from model_versions v where v.id = pool.scored_by)
                      else scored_by = %(champion)s end)
                and (%(ranker)s::text is null or ranked_by = %(ranker)s) as fresh
            from pool where loop = %(loop)s and lane = l.lane
            order by fresh desc, utility desc, output_id limit %(limit)s
        ) p
        """,
        {"loop": loop, "limit": limit, "champion": champion_id, "ranker": ranker_id},
    ).fetchall()


def lock(conn: Conn, output_ids: Iterable[UUID]) -> None:
    """Hold these rows. Whoever changes several takes them in this order, and so nobody waits in a circle."""
    conn.execute(
        "select from pool where output_id = any(%(ids)s) order by output_id for update", {"ids": list(output_ids)}
    )


def take(conn: Conn, batch_id: UUID, places: dict[UUID, float]) -> int:
    """Move these rows into a batch, each with its priority; returns how many were still there."""
    lock(conn, places)
    return conn.execute(
        """
        with taken as (delete from pool where output_id = any(%(ids)s) returning *)
        insert into batch_items
            (batch_id, output_id, lane, utility, priority, label, confidence, scored_by, ranked_by)
        select %(batch)s, t.output_id, t.lane, t.utility, p.priority, t.label, t.confidence, t.scored_by, t.ranked_by
        from taken t join unnest(%(ids)s, %(priorities)s::float8[]) as p (output_id, priority) using (output_id)
        """,
        {"batch": batch_id, "ids": list(places), "priorities": list(places.values())},
    ).rowcount


def put_back(conn: Conn, batch_id: UUID) -> None:
    """Copy a batch's rows back to the pool; what is there already is newer and stays."""
    conn.execute(
        """
        insert into pool (output_id, loop, lane, utility, label, confidence, scored_by, ranked_by)
        select i.output_id, o.loop, i.lane, i.utility, i.label, i.confidence, i.scored_by, i.ranked_by
        from batch_items i join outputs o on o.id = i.output_id
        where i.batch_id = %(batch)s and o.batch_id = %(batch)s and o.state = 'pushing'
        on conflict (output_id) do nothing
        """,
        {"batch": batch_id},
    )
