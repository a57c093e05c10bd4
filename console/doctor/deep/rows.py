"""Rows: each row that is on record is what its newest entries say (I16)."""

from __future__ import annotations

from typing import LiteralString, cast

from psycopg import sql

from console.doctor.deep.postgres import Conn, is_there, stream
from console.doctor.deep.seen import Seen

_OF_OUTPUTS = ("outputs", "tasks", "repeats", "outcomes", "accepted", "forgotten_outputs")
"""Tables whose key is the id of an output."""
_COMPARED = """
    with entries as (
        select key, (array_agg(id order by id desc))[1] as id, (array_agg(after order by id desc))[1] as after,
            (array_agg(operation order by id desc))[1] as operation, (array_agg(loop order by id desc))[1] as loop,
            (array_agg(salt order by id desc) filter (where content is not null))[1] as salt,
            (array_agg(content order by id desc) filter (where content is not null))[1] as content
        from record_entries where what = {name} group by key
    ), rows as (
        select {key} as key, {facts} as facts, {content} as content, {loop} as loop from {table} r
    ), compared as (
        select coalesce(e.key, r.key) as key, coalesce(r.facts, e.after) as facts, e.id as entry, case
            when e.key is null then 'no entry says where it comes from'
            when r.key is null and e.operation <> 'delete' and l.removed_at is null then 'it is gone without an entry'
            when r.key is null then null
            when e.operation = 'delete' then 'its newest entry says that it was deleted'
            when r.facts is distinct from e.after then 'its facts were changed without an entry'
            when r.content is not null and e.content is null then 'no entry has a digest of its content'
            when e.salt is not null and sha256(e.salt || r.content) is distinct from e.content
                then 'its content was changed without an entry'
        end as says
        from entries e full join rows r using (key) left join loops l on l.name = e.loop
        where %(loop)s::text is null or coalesce(r.loop, e.loop) = %(loop)s
    )
    select key, facts, entry, says from compared where says is not null
"""


def compare(seen: Seen, conn: Conn, loop: str | None) -> None:
    """Compare all rows on record, or those of a loop. A row that another invariant named is not named again."""
    if not is_there(conn, "recorded_tables"):
        return
    for table in conn.execute("select * from recorded_tables order by name").fetchall():
        name = table["name"]
        expressions = {part: sql.SQL(cast(LiteralString, table[part])) for part in ("key", "facts", "content", "loop")}
        query = sql.SQL(_COMPARED).format(name=sql.Literal(name), table=sql.Identifier(name), **expressions)
        for row in stream(conn, query, {"loop": loop}):
            facts = row["facts"] or {}
            output = row["key"] if name in _OF_OUTPUTS else facts.get("output")
            of = [f"{name}/{row['key']}", f"output {output}", f"annotation_versions/{facts.get('annotation_version')}"]
            if not any(map(seen.names_row, of)):
                seen.wrong("I16", f"{name} {row['key']}", row["says"], mark=row["entry"] or 0)
