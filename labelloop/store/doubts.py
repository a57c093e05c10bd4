"""How much the newest version doubts what one person answered: one statement a function; the caller's transaction."""

from __future__ import annotations

from typing import Any

from labelloop.store.database import Conn

DOUBTFUL = 0.5
"""The version gives another label at least as much chance as the answer's."""


def most(conn: Conn, loop: str, limit: int) -> list[dict[str, Any]]:
    """The answered tasks to ask once more, the most doubtful first: output_id, key, doubt.

    Never one that was asked twice already. Not hold-out, which judges the very version that doubts; not gold.
    """
    return conn.execute(
        """
        select d.output_id, o.key, d.doubt
        from doubts d join outputs o on o.id = d.output_id join tasks t on t.output_id = d.output_id
        where d.loop = %(loop)s and d.doubt >= %(least)s and o.state = 'answered' and t.overlap = 1
        and o.lane not in ('holdout', 'gold')
        order by d.doubt desc, o.key limit %(limit)s
        """,
        {"loop": loop, "least": DOUBTFUL, "limit": limit},
    ).fetchall()
