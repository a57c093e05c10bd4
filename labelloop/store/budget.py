"""Statements about the budget: the tasks of a day, and the outputs that pass because of it. The caller owns the
transaction.

A day is a calendar day in UTC by the clock of Postgres.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from labelloop.queue.budget import Exhausted, Origin, Spent
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn

ORIGIN = "coalesce(o.source, '') as source, coalesce(o.label, '') as label"
BEGINS = "(%(day)s::date::timestamp at time zone 'utc')"
ENDS = "((%(day)s::date + 1)::timestamp at time zone 'utc')"


def today(conn: Conn) -> date:
    """Return the day of now."""
    row = conn.execute("select (now() at time zone 'utc')::date as today").fetchone()
    assert row is not None
    found: date = row["today"]
    return found


def spent(conn: Conn, spec: LoopSpec, day: date | None = None) -> Spent | None:
    """Return the budget and the tasks of a day, or of today with those on their way; None without a budget."""
    if spec.budget is None:
        return None
    on_the_way = """
        union
        select i.output_id from batch_items i join batches b on b.id = i.batch_id
        where b.loop = %(loop)s and b.kind = 'tasks' and b.state in ('intent', 'sending')
    """
    rows = conn.execute(
        f"""
        select {ORIGIN}, count(*) as n from (
            select output_id from tasks where loop = %(loop)s and pushed_at >= {BEGINS} and pushed_at < {ENDS}
            {on_the_way if day is None else ""}
        ) made join outputs o on o.id = made.output_id group by 1, 2
        """,
        {"loop": spec.name, "day": day or today(conn)},
    )
    return Spent(spec.budget, {Origin(row["source"], row["label"]): row["n"] for row in rows})


def origins(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, Origin]:
    """Return the source and the pipeline's label of these outputs."""
    rows = conn.execute(f"select o.id, {ORIGIN} from outputs o where o.id = any(%(ids)s)", {"ids": list(output_ids)})
    return {row["id"]: Origin(row["source"], row["label"]) for row in rows}


def last_day(conn: Conn, loop: str, before: date) -> date | None:
    """Return the last day before this one on which the loop got a task; None if there is none."""
    row = conn.execute(
        f"""
        select (pushed_at at time zone 'utc')::date as last from tasks
        where loop = %(loop)s and pushed_at < {BEGINS} order by pushed_at desc limit 1
        """,
        {"loop": loop, "day": before},
    ).fetchone()
    return None if row is None else row["last"]


def is_over(conn: Conn, loop: str, day: date) -> bool:
    """Return whether what the budget kept out before this day has passed already."""
    row = conn.execute(
        "select budget_day >= %(day)s as over from loops where name = %(loop)s", {"loop": loop, "day": day}
    ).fetchone()
    return row is not None and bool(row["over"])


def begin(conn: Conn, loop: str, day: date) -> None:
    """Store that what the budget kept out before this day has passed."""
    conn.execute("update loops set budget_day = %(day)s where name = %(loop)s", {"loop": loop, "day": day})


def pass_over(conn: Conn, loop: str, day: date, exhausted: Exhausted, most: int) -> int:
    """Let outputs of the rule lane pass that came up to the end of this day and that these limits kept out.

    Their `state_reason` names the limit. Returns how many passed, at most `most`; fewer than that if none is left.
    """
    return conn.execute(
        f"""
        with kept_out as (
            select p.output_id, 'over the budget of ' || %(day)s::date || ': ' || case
                when %(all)s then 'per_day'
                when coalesce(o.source, '') = any(%(sources)s) then 'per_source' || coalesce(' ' || o.source, '')
                else 'per_label' || coalesce(' ' || o.label, '') end as reason
            from pool p join outputs o on o.id = p.output_id
            where p.loop = %(loop)s and p.lane = 'rule' and o.state = 'waiting' and o.received_at < {ENDS}
            and (%(all)s or coalesce(o.source, '') = any(%(sources)s) or coalesce(o.label, '') = any(%(labels)s))
            order by p.output_id limit %(most)s for update of p
        ), left_pool as (
            delete from pool where output_id in (select output_id from kept_out)
        )
        update outputs o set state = 'passed', state_reason = kept_out.reason
        from kept_out where o.id = kept_out.output_id and o.state = 'waiting'
        """,
        {
            "loop": loop,
            "day": day,
            "all": exhausted.day,
            "sources": list(exhausted.sources),
            "labels": list(exhausted.labels),
            "most": most,
        },
    ).rowcount
