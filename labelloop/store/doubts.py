"""How much the newest version doubts what one person answered: one statement a function; the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

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


def unseen(conn: Conn, loop: str, version: str, limit: int, after: UUID | None = None) -> list[dict[str, Any]]:
    """What one person answered and the pair `version` has not doubted yet: output_id, data and the answer's label.

    In the order of the ids, from behind `after` on. Of the lanes that `most` may ask again.
    """
    return conn.execute(
        """
        select o.id as output_id, o.data, a.label
        from outputs o cross join lateral (
            select label, reviewers from answers where output_id = o.id order by seq desc limit 1
        ) a left join doubts d on d.output_id = o.id
        where o.loop = %(loop)s and o.state = 'answered' and o.lane not in ('holdout', 'gold')
        and a.reviewers = 1 and a.label is not null and d.version is distinct from %(version)s
        and (%(after)s::uuid is null or o.id > %(after)s)
        order by o.id limit %(limit)s
        """,
        {"loop": loop, "version": version, "limit": limit, "after": after},
    ).fetchall()


def write(conn: Conn, loop: str, version: str, doubts: Mapping[UUID, float | None]) -> None:
    """What the pair `version` doubts. None: it cannot say, and what another said is forgotten."""
    said = {output_id: doubt for output_id, doubt in sorted(doubts.items()) if doubt is not None}
    conn.execute(
        """
        insert into doubts (output_id, loop, doubt, version)
        select output_id, %(loop)s, doubt, %(version)s
        from unnest(%(ids)s::uuid[], %(doubts)s::float8[]) as d (output_id, doubt)
        on conflict (output_id) do update set doubt = excluded.doubt, version = excluded.version
        """,
        {"loop": loop, "version": version, "ids": list(said), "doubts": list(said.values())},
    )
    conn.execute("delete from doubts where output_id = any(%(ids)s)", {"ids": [i for i in doubts if i not in said]})


def forget(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Their answers are others now."""
    conn.execute("delete from doubts where output_id = any(%(ids)s)", {"ids": list(output_ids)})
