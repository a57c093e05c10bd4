"""How much the newest version doubts what one person answered: one statement a function; the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from labelloop.store.database import Conn
from labelloop.store.tables.prelabels import MAX_BYTES

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
    """What one person answered and the pair `version` has not doubted yet: output_id, data, the answer's seq and label.

    In the order of the ids, from behind `after` on; less than `limit` where the data is large. Of the lanes that `most`
    may ask again.
    """
    return conn.execute(
        f"""
        select output_id, data, seq, label from (
            select w.*, o.data,
                sum(pg_column_size(o.data)) over (order by o.id) - pg_column_size(o.data) as bytes_before
            from (
                select o.id as output_id, a.seq, a.label
                from outputs o cross join lateral (
                    select seq, label, reviewers from answers where output_id = o.id order by seq desc limit 1
                ) a left join doubts d on d.output_id = o.id
                where o.loop = %(loop)s and o.state = 'answered' and o.lane not in ('holdout', 'gold')
                and a.reviewers = 1 and a.label is not null and d.version is distinct from %(version)s
                and (%(after)s::uuid is null or o.id > %(after)s)
                order by o.id limit %(limit)s
            ) w join outputs o on o.id = w.output_id
        ) w
        where bytes_before < {MAX_BYTES} order by output_id
        """,
        {"loop": loop, "version": version, "limit": limit, "after": after},
    ).fetchall()


def write(conn: Conn, loop: str, version: str, doubts: Mapping[UUID, float | None], of: Mapping[UUID, int]) -> None:
    """What the pair `version` doubts of these answers (`of`: their seq), as far as they still hold. None: it cannot
    say, and what another said is forgotten. The caller holds the loop's answers.
    """
    said = {output_id: doubt for output_id, doubt in sorted(doubts.items()) if doubt is not None}
    conn.execute(
        """
        insert into doubts (output_id, loop, doubt, version)
        select output_id, %(loop)s, doubt, %(version)s
        from unnest(%(ids)s::uuid[], %(doubts)s::float8[], %(of)s::bigint[]) as d (output_id, doubt, seq)
        where seq = (select max(a.seq) from answers a where a.output_id = d.output_id)
        on conflict (output_id) do update set doubt = excluded.doubt, version = excluded.version
        """,
        {
            "loop": loop,
            "version": version,
            "ids": list(said),
            "doubts": list(said.values()),
            "of": [of[output_id] for output_id in said],
        },
    )
    conn.execute("delete from doubts where output_id = any(%(ids)s)", {"ids": [i for i in doubts if i not in said]})


def forget(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Their answers are others now."""
    conn.execute("delete from doubts where output_id = any(%(ids)s)", {"ids": list(output_ids)})
