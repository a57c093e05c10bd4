"""Statements about lanes: the order in which people answered, and what the hold-out lane holds besides its answers."""

from __future__ import annotations

from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.versions.items import ItemToLabel


def in_order_of_answers(conn: Conn, loop: str) -> list[UUID]:
    """Return the outputs that have or had a clear answer, in the order in which people first answered them.

    The time is that of the output's first annotation by Label Studio's clock, since one pull stores many answers. An
    answer without an annotation has the time at which it was stored.
    """
    rows = conn.execute(
        """
        with clear as (
            select output_id, min(seq) as seq, min(resolved_at) as at from answers
            where loop = %(loop)s and label is not null group by output_id
        ), begun as (
            select v.output_id, min(v.created_at) as at from clear join counting_versions v using (output_id)
            where not v.was_cancelled and not v.deleted group by v.output_id
        )
        select output_id from clear left join begun using (output_id) order by coalesce(begun.at, clear.at), clear.seq
        """,
        {"loop": loop},
    ).fetchall()
    return [row["output_id"] for row in rows]


def held_out_without_answer(conn: Conn, loop: str, limit: int) -> list[ItemToLabel]:
    """Return random outputs of the hold-out lane that have no answer yet; ids are random, so their order is too."""
    cursor = rows_of(conn, ItemToLabel)
    return cursor.execute(
        f"""
        select o.id as output_id, o.key, o.data, o.label as pipeline_label, o.confidence as pipeline_confidence
        from outputs o
        where o.loop = %(loop)s and o.lane = 'holdout' and o.state in ('waiting', 'pushing', 'in_review')
            and {NO_REPEAT} and not exists (select from answers a where a.output_id = o.id)
        order by o.id limit %(limit)s
        """,
        {"loop": loop, "limit": limit},
    ).fetchall()
