"""Resting: nothing happens in an archived loop (I27)."""

from __future__ import annotations

from console.doctor.deep.places import Loop
from console.doctor.deep.postgres import Conn, not_forgotten
from console.doctor.deep.seen import Seen

ENDS_WITHIN_S = 3600.0
"""Seconds in which work that had begun before the loop was archived may end. A first pull can be long."""


def rests(seen: Seen, conn: Conn, loop: Loop) -> None:
    """Note what came in, was pushed, pulled or asked for since the loop was archived, but for removals of data."""
    for row in conn.execute(
        f"""
        select says, count(*) as n, max(at) as at from (
            select 'outputs that came in' as says, received_at as at from outputs where loop = %(loop)s
            union all select 'imports', created_at from batches where loop = %(loop)s
            union all select 'annotations that were stored', v.seen_at
            from annotation_versions v join outputs o on o.id = v.output_id where o.loop = %(loop)s
            and {not_forgotten(conn)}
            union all select 'requests for a run', requested_at from retrain_runs where loop = %(loop)s
        ) happened where at > %(archived)s + make_interval(secs => %(ends_within)s) group by says
        """,
        {"loop": loop.name, "archived": loop.archived_at, "ends_within": ENDS_WITHIN_S},
    ):
        says = f"{row['says']} since it was archived: {row['n']}, the last one at {row['at']:%Y-%m-%d %H:%M:%S%z}"
        seen.wrong("I27", loop.name, says)
