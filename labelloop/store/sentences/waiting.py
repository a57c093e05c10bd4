"""Waiting outputs and open tasks whose text has no vector yet, the most useful first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.reading import paths
from labelloop.reading.texts import text_of
from labelloop.store.database import Conn

_MISSING = "not exists (select from sentence_outputs s where s.output_id = w.output_id and s.encoder = %(mark)s)"


class Text(NamedTuple):
    """The text of an output."""

    output_id: UUID
    text: str | None
    """Its first characters; None if the field holds no text."""


def without_vector(conn: Conn, loop: str, mark: str, limit: int) -> list[UUID]:
    """Return outputs without the mark: open tasks, then the most useful ones that the trigger sends, then the others.

    It reads the loop's whole pool, which takes about a second for a million outputs.
    """
    rows = conn.execute(
        f"""
        (
            select t.output_id from tasks t join outputs o on o.id = t.output_id, lateral (select t.output_id) w
            where t.loop = %(loop)s and o.state = 'in_review' and {_MISSING} order by t.output_id limit %(limit)s
        ) union all (
            select w.output_id from pool w where loop = %(loop)s and {_MISSING}
            order by lane <> 'rule', utility desc, key limit %(limit)s
        ) limit %(limit)s
        """,
        {"loop": loop, "mark": mark, "limit": limit},
    )
    return [row["output_id"] for row in rows]


def texts(conn: Conn, ids: Sequence[UUID], field: str, characters: int) -> list[Text]:
    """Return the beginning of each output's text, in the order of `ids`."""
    rows = conn.execute(
        """
        select id, case jsonb_typeof(value) when 'string' then left(value #>> '{}', %(n)s) end as text,
            case when jsonb_typeof(value) in ('number', 'boolean') then value end as other
        from outputs, coalesce(data -> %(field)s::text, data #> %(path)s::text[]) as value where id = any(%(ids)s)
        """,
        {"ids": list(ids), "field": field, "path": paths.steps(field), "n": characters},
    ).fetchall()
    found = {row["id"]: Text(row["id"], text_of(row["other"] if row["text"] is None else row["text"])) for row in rows}
    return [found[id_] for id_ in ids if id_ in found]


def mark(conn: Conn, loop: str, mark: str, ids: Sequence[UUID]) -> None:
    """Record that these outputs were looked through."""
    conn.execute(
        """
        insert into sentence_outputs as s (output_id, loop, encoder)
        select id, %(loop)s, %(mark)s from unnest(%(ids)s::uuid[]) as i (id)
        on conflict (output_id) do update set encoder = excluded.encoder where s.encoder <> excluded.encoder
        """,
        {"loop": loop, "mark": mark, "ids": sorted(ids)},
    )


def chunks(ids: Sequence[UUID], n: int) -> Iterator[Sequence[UUID]]:
    """Yield the ids in parts of `n`."""
    for start in range(0, len(ids), n):
        yield ids[start : start + n]
