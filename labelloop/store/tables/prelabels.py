"""What the champion and the ranker say of the outputs that wait, in the pool and in Label Studio."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.store.database import Conn
from labelloop.store.tables import pool

MAX_BYTES = 32 << 20
"""Of data that is read at a time, as Postgres keeps it."""
START = (2.0, "")
"""A utility and key before all others."""

_OPEN_TASKS = """
    select t.output_id, t.lane, t.utility, '' as key, t.label, t.confidence, t.version, t.margin
    from tasks t join outputs o on o.id = t.output_id
    where o.loop = %(loop)s and o.state = 'in_review' and t.version <> %(version)s
    and (%(after)s::uuid is null or t.output_id > %(after)s) order by t.output_id limit %(limit)s
"""
# Below the last row that was read, version by version: the others that are as useful, then those that are less so.
_OF_LANE = f"""
    select p.* from (select %(lane)s::lane) as l (lane) cross join lateral (
        {pool.VERSIONS}
        select p.* from versions v cross join lateral (
            (
                select output_id, lane, utility, key, label, confidence, version, margin from pool
                where loop = %(loop)s and lane = l.lane and version = v.version
                and utility = %(utility)s and key > %(key)s order by key limit %(limit)s
            ) union all (
                select output_id, lane, utility, key, label, confidence, version, margin from pool
                where loop = %(loop)s and lane = l.lane and version = v.version
                and utility < %(utility)s order by utility desc, key limit %(limit)s
            )
        ) p
        where v.version <> %(version)s order by p.utility desc, p.key limit %(limit)s
    ) p
"""
_WRITE = """
    update {} w set label = p.label, confidence = p.confidence, margin = p.margin, version = p.version,
        utility = case when w.lane = 'rule' then coalesce(p.utility, w.utility) else w.utility end,
        why = case when w.lane = 'rule' then coalesce(p.why, w.why) else w.why end
    from (select * from prelabels order by output_id) p where w.output_id = p.output_id
"""


class Prelabel(NamedTuple):
    """What to write for one output. `utility` or `why` None: it keeps what it has."""

    output_id: UUID
    utility: float | None
    label: str | None
    confidence: float | None
    version: str
    why: str | None = None
    margin: float | None = None
    """Probability of `label` less that of the next likeliest one; None where the version gives no probabilities."""


def of_tasks(conn: Conn, loop: str, version: str, limit: int, after: UUID | None = None) -> list[dict[str, Any]]:
    """Open tasks that another pair than `version` has scored, in the order of their ids, from behind `after` on.

    Each with its output's `data` as JSON and what the pipeline said. At most `limit`, and less where the data is large.
    """
    values = {"loop": loop, "version": version, "limit": limit, "after": after}
    return _read(conn, _OPEN_TASKS, "w.output_id", values)


def of_pool(
    conn: Conn, loop: str, lane: str, version: str, limit: int, after: tuple[float, str] = START
) -> list[dict[str, Any]]:
    """As of_tasks, of what waits in a lane: the most useful first, from behind the utility and key `after` on.

    By index: rows that were scored anew since, and stand elsewhere in it now, are not read again.
    """
    values = {"loop": loop, "lane": lane, "version": version, "limit": limit, "utility": after[0], "key": after[1]}
    return _read(conn, _OF_LANE, "w.utility desc, w.key", values)


def any_stale(conn: Conn, loop: str, version: str) -> bool:
    """Whether anything waits or stands open that another pair than `version` has scored."""
    with pool.by_index(conn):
        row = conn.execute(
            f"""
            select exists (
                select from unnest(enum_range(null::lane)) as l (lane)
                where exists (select from pool where loop = %(loop)s and lane = l.lane and version < %(version)s)
                or exists (select from pool where loop = %(loop)s and lane = l.lane and version > %(version)s)
            ) or exists ({_OPEN_TASKS}) as found
            """,
            {"loop": loop, "version": version, "after": None, "limit": 1},
        ).fetchone()
    assert row is not None
    return bool(row["found"])


def count_stale(conn: Conn, loop: str, version: str) -> int:
    """How many waiting outputs and open tasks another pair than `version` has scored; reads all of them."""
    row = conn.execute(
        """
        select (select count(*) from pool where loop = %(loop)s and version <> %(version)s)
             + (select count(*) from tasks t join outputs o on o.id = t.output_id
                where t.loop = %(loop)s and t.version <> %(version)s and o.state = 'in_review') as n
        """,
        {"loop": loop, "version": version},
    ).fetchone()
    return int(row["n"]) if row else 0


def write(conn: Conn, prelabels: Iterable[Prelabel]) -> None:
    """Wherever the output is by now, in the pool or in Label Studio. Only the rule lane takes utility and reason.

    The others keep their random number: they are to show what the rule does not choose.
    """
    # In the order in which everybody takes rows of pool and tasks, see pool.lock: nobody waits in a circle.
    prelabels = sorted(prelabels, key=itemgetter(0))
    conn.execute(
        """
        create temp table prelabels (
            output_id uuid, utility float8, label text, confidence float8, version text, why text,
            margin float8
        ) on commit drop
        """
    )
    with conn.cursor().copy("copy prelabels from stdin (format binary)") as copy:
        copy.set_types(["uuid", "float8", "text", "float8", "text", "text", "float8"])
        for p in prelabels:
            copy.write_row(p)
    with pool.by_index(conn):
        for table in ("pool", "tasks"):
            conn.execute(_WRITE.format(table))


def _read(conn: Conn, which: str, order: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    with pool.by_index(conn):
        return conn.execute(
            f"""
            select output_id, lane::text, utility, key, label, confidence, version, margin, data::text as data,
                pipeline_label, pipeline_confidence
            from (
                select w.*, o.data, o.label as pipeline_label, o.confidence as pipeline_confidence,
                    sum(pg_column_size(o.data)) over (order by {order}) - pg_column_size(o.data) as bytes_before
                from ({which}) w join outputs o on o.id = w.output_id
            ) w
            where bytes_before < {MAX_BYTES} order by {order}
            """,
            values,
            binary=True,
        ).fetchall()
