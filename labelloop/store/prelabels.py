"""What the champion and the ranker say of the outputs that wait, in the pool and in Label Studio."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.store import pool, tasks
from labelloop.store.database import Conn

# Up to date is: scored by the pair of champion and ranker that is in force.
_STALE = """
    select w.output_id, w.lane, o.data, o.key, o.holdout, o.probabilities,
        o.label as pipeline_label, o.confidence as pipeline_confidence, w.label, w.confidence, w.version
    from (
        select output_id, loop, lane, label, confidence, version from pool
        union all
        select output_id, loop, lane, label, confidence, version from tasks
    ) w join outputs o on o.id = w.output_id
    where w.loop = %(loop)s and o.state in ('waiting', 'in_review') and w.version <> %(version)s
"""


@dataclass(frozen=True, slots=True)
class Prelabel:
    """What to write for one output. `utility` or `why` None: it keeps what it has."""

    output_id: UUID
    utility: float | None
    label: str | None
    confidence: float | None
    version: str
    why: str | None = None


def stale(conn: Conn, loop: str, version: str, limit: int) -> list[dict[str, Any]]:
    """Outputs whose prelabel and utility are not of the pair `version`, by their ids."""
    return conn.execute(
        _STALE + " order by w.output_id limit %(limit)s", {"loop": loop, "version": version, "limit": limit}
    ).fetchall()


def any_stale(conn: Conn, loop: str, version: str) -> bool:
    row = conn.execute("select exists (" + _STALE + ") as found", {"loop": loop, "version": version}).fetchone()
    assert row is not None
    return bool(row["found"])


def write(conn: Conn, prelabels: Iterable[Prelabel]) -> None:
    """Wherever the output is by now, in the pool or in Label Studio. Only the rule lane takes utility and reason.

    The others keep their random number: they are to show what the rule does not choose.
    """
    prelabels = list(prelabels)
    ids = [p.output_id for p in prelabels]
    pool.lock(conn, ids)
    tasks.lock(conn, ids)
    conn.execute(
        """
        create temp table prelabels (
            output_id uuid, utility float8, label text, confidence float8, version text, why text
        ) on commit drop
        """
    )
    with conn.cursor().copy("copy prelabels from stdin") as copy:
        for p in prelabels:
            copy.write_row((p.output_id, p.utility, p.label, p.confidence, p.version, p.why))
    for table in ("pool", "tasks"):
        conn.execute(
            f"""
            update {table} w set label = p.label, confidence = p.confidence, version = p.version,
                utility = case when w.lane = 'rule' then coalesce(p.utility, w.utility) else w.utility end,
                why = case when w.lane = 'rule' then coalesce(p.why, w.why) else w.why end
            from prelabels p where w.output_id = p.output_id
            """
        )
