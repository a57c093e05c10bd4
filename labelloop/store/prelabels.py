"""What the champion and the ranker say of the outputs that wait, in the pool and in Label Studio."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.store import pool, tasks
from labelloop.store.database import Conn

# Up to date is: labelled by the champion and ranked by the ranker, each the output's own model where there is none.
_STALE = """
    select w.output_id, w.lane, o.data, o.key, o.holdout, o.probabilities,
        o.label as pipeline_label, o.confidence as pipeline_confidence, o.model_version as pipeline_version,
        w.label, w.confidence, w.scored_by <> coalesce(%(champion)s, o.model_version) as to_label,
        w.ranked_by <> coalesce(%(ranker)s, o.model_version) as to_rank
    from (
        select output_id, loop, lane, label, confidence, scored_by, ranked_by from pool
        union all
        select output_id, loop, lane, label, confidence, scored_by, ranked_by from tasks
    ) w join outputs o on o.id = w.output_id
    where w.loop = %(loop)s and o.state in ('waiting', 'in_review')
    and (w.scored_by <> coalesce(%(champion)s, o.model_version) or w.ranked_by <> coalesce(%(ranker)s, o.model_version))
"""


@dataclass(frozen=True, slots=True)
class Prelabel:
    """What to write for one output. `utility` None: it keeps the one it has."""

    output_id: UUID
    utility: float | None
    label: str | None
    confidence: float | None
    scored_by: str
    ranked_by: str


def stale(conn: Conn, loop: str, champion: str | None, ranker: str | None, limit: int) -> list[dict[str, Any]]:
    """Outputs whose prelabel or utility is not of today's champion and ranker, by their ids."""
    return conn.execute(
        _STALE + " order by w.output_id limit %(limit)s",
        {"loop": loop, "champion": champion, "ranker": ranker, "limit": limit},
    ).fetchall()


def any_stale(conn: Conn, loop: str, champion: str | None, ranker: str | None) -> bool:
    row = conn.execute(
        "select exists (" + _STALE + ") as found", {"loop": loop, "champion": champion, "ranker": ranker}
    ).fetchone()
    assert row is not None
    return bool(row["found"])


def write(conn: Conn, prelabels: Iterable[Prelabel]) -> None:
    """Wherever the output is by now, in the pool or in Label Studio. Only the rule lane takes the utility.

    Audit and hold-out keep their random number: they are to show what the rule does not choose.
    """
    prelabels = list(prelabels)
    ids = [p.output_id for p in prelabels]
    pool.lock(conn, ids)
    tasks.lock(conn, ids)
    conn.execute(
        """
        create temp table prelabels (
            output_id uuid, utility float8, label text, confidence float8, scored_by text, ranked_by text
        ) on commit drop
        """
    )
    with conn.cursor().copy("copy prelabels from stdin") as copy:
        for p in prelabels:
            copy.write_row((p.output_id, p.utility, p.label, p.confidence, p.scored_by, p.ranked_by))
    for table in ("pool", "tasks"):
        conn.execute(
            f"""
            update {table} w set label = p.label, confidence = p.confidence,
                scored_by = p.scored_by, ranked_by = p.ranked_by,
                utility = case when w.lane = 'rule' then coalesce(p.utility, w.utility) else w.utility end
            from prelabels p where w.output_id = p.output_id
            """
        )
