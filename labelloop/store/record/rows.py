"""The check of the rows: each row that is on record equals its newest entry, and each entry fits the one before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString, cast

from psycopg import sql

from labelloop.store.database import Conn
from labelloop.store.record.findings import Finding, Kind
from labelloop.store.record.sealing import SEALED_WITHIN_S

MOST_NAMED = 100
"""Findings of one kind that are named for each table."""
CLOCK_S = 60
"""Seconds by which an entry may be older than one before it: a process was paused, or the clock was set."""
COMMIT_S = 3_600
"""Seconds by which an entry may come into the chain after it was written: the longest transaction."""

_REMOVALS = """
    select key as name, max(id) as id from record_entries
    where what = 'loops' and (after ->> 'removed')::boolean and not (before ->> 'removed')::boolean group by key
"""
"""The last removal of each loop: it deletes rows without an entry for each."""
_ROWS = """
    with removals as ({removals}), newest as (
        select distinct on (key) key, id, operation, after, loop from record_entries where what = {name}
        order by key, id desc
    ), contents as (
        select distinct on (key) key, id, salt, content from record_entries
        where what = {name} and content is not null order by key, id desc
    ), now_is as (
        select {key} as key, {facts} as facts, {content} as content, {loop} as loop from {table} r
    ), compared as (
        select coalesce(n.key, r.key) as key, n.id, case
            when r.key is null and n.operation <> 'delete' and coalesce(l.id < n.id, true)
                then 'is missing, and no entry says that it was deleted'
            when n.key is null then 'is there, and no entry says where it comes from'
            when r.key is not null and n.operation = 'delete'
                then 'is there, and entry ' || n.id || ' says that it was deleted'
            when r.key is not null and r.facts is distinct from n.after
                then format('was changed without an entry: it has %%s, and entry %%s says %%s', r.facts, n.id, n.after)
            when r.content is not null and c.key is null and n.operation <> 'delete'
                then 'has no entry with a digest of its content'
            when r.content is not null and c.salt is not null and sha256(c.salt || r.content) <> c.content
                then 'has another content than entry ' || c.id || ' says'
        end as problem
        from newest n full join now_is r using (key) left join contents c using (key)
        left join removals l on l.name = n.loop
        where %(loop)s::text is null or coalesce(r.loop, n.loop) = %(loop)s
    )
    select key, id, problem, count(*) over () as n from compared where problem is not null order by key limit {most}
"""
_STEPS = """
    with removals as ({removals}), steps as (
        select id, loop, what, key, before, lag(after) over w as expected, lag(id) over w as previous, operation
        from record_entries window w as (partition by what, key order by id)
    )
    select s.id, what, key, previous, count(*) over () as n from steps s left join removals l on l.name = s.loop
    where before is distinct from expected and not (operation = 'insert' and before is null
        and (expected is null or coalesce(l.id > previous, false)))
    order by s.id limit {most}
"""
_TIMES = """
    with times as (
        select id, at, what, key, max(at) over (order by id rows between unbounded preceding and 1 preceding) as latest
        from record_entries
    )
    select id, at, what, key, latest from times where at < latest - make_interval(secs => {clock}) order by id
    limit {most}
"""
_TRIGGERS = """
    select t.name, wanted.trigger from recorded_tables t
    cross join lateral (
        values ('record_inserted'), ('record_deleted'),
            (case when exists (select from pg_proc where proname = 'record_' || t.name || '_edited')
                then 'record_edited' end),
            (case when exists (select from pg_proc where proname = 'record_' || t.name || '_updated')
                then 'record_updated' end)
    ) wanted (trigger)
    where wanted.trigger is not null and not exists (
        select from pg_trigger g where g.tgrelid = to_regclass(quote_ident(t.name)) and g.tgname = wanted.trigger
        and g.tgenabled in ('O', 'A')
    ) order by 1, 2
"""
_UNSEALED = """
    select e.id, e.what, e.key, e.at, e.id <= s.horizon as settled
    from record_entries e cross join record_sealing s
    where e.id > {after} and not exists (select from record_seals x where x.record_id = e.id)
    and (e.id <= s.horizon or e.at < now() - make_interval(secs => {seconds}))
    order by e.id
"""


def check_rows(conn: Conn, loop: str | None = None) -> Iterator[Finding]:
    """Compare the rows of every table on record, or those of one loop, with their newest entries."""
    tables = conn.execute("select * from recorded_tables order by name").fetchall()
    for table in tables:
        expressions = {name: sql.SQL(cast(LiteralString, table[name])) for name in ("key", "facts", "content", "loop")}
        query = sql.SQL(_ROWS).format(
            removals=sql.SQL(_REMOVALS),
            name=sql.Literal(table["name"]),
            table=sql.Identifier(table["name"]),
            most=sql.Literal(MOST_NAMED),
            **expressions,
        )
        for row in conn.execute(query, {"loop": loop}):
            text = f"the row {row['key']} of {table['name']} {row['problem']}{_more(row['n'])}"
            yield Finding(Kind.ROW, text, row["id"], table["name"], row["key"])


def check_entries(conn: Conn) -> Iterator[Finding]:
    """Check that each entry begins where the one before of its row ended, and that their times fit their order."""
    for row in conn.execute(sql.SQL(_STEPS).format(removals=sql.SQL(_REMOVALS), most=sql.Literal(MOST_NAMED))):
        after = f"entry {row['previous']} of that row" if row["previous"] else "the start of that row"
        text = (
            f"entry {row['id']} ({row['what']} {row['key']}) does not follow from {after}: an entry was inserted, "
            f"or one between them was removed{_more(row['n'])}"
        )
        yield Finding(Kind.INSERTED, text, row["id"], row["what"], row["key"])
    for row in conn.execute(sql.SQL(_TIMES).format(most=sql.Literal(MOST_NAMED), clock=sql.Literal(CLOCK_S))):
        text = (
            f"entry {row['id']} ({row['what']} {row['key']}) was back-dated: its time {row['at']:%Y-%m-%d %H:%M:%S} is "
            f"before {row['latest']:%Y-%m-%d %H:%M:%S}, the time of an earlier entry. "
            "Or the server's clock was set back"
        )
        yield Finding(Kind.BACK_DATED, text, row["id"], row["what"], row["key"])


def check_guards(conn: Conn) -> Iterator[Finding]:
    """Check that every trigger that writes entries is there and on."""
    for row in conn.execute(_TRIGGERS):
        text = f"changes of {row['name']} come without an entry: the trigger {row['trigger']} is missing or off"
        yield Finding(Kind.UNGUARDED, text, table=row["name"])


def check_unsealed(conn: Conn, *, inserted: bool = True) -> Iterator[Finding]:
    """Name entries that have waited too long for a seal; with `inserted` those too for which it is too late.

    Without `inserted` only the newest entries are read, however long the record is.
    """
    waiting = 0
    after = sql.SQL("0" if inserted else "(select horizon from record_sealing)")
    for row in conn.execute(sql.SQL(_UNSEALED).format(after=after, seconds=sql.Literal(SEALED_WITHIN_S))):
        if row["settled"]:
            text = f"entry {row['id']} ({row['what']} {row['key']}) was inserted among entries that had been sealed"
            yield Finding(Kind.INSERTED, text, row["id"], row["what"], row["key"])
        else:
            waiting += 1
    if waiting:
        text = f"{waiting:,} entries are older than {SEALED_WITHIN_S} s and not sealed: is the sync worker running?"
        yield Finding(Kind.UNSEALED, text)


def forgotten(conn: Conn) -> frozenset[tuple[str, str]]:
    """Return the rows, by table and key, whose salts were deleted by `record_forget`."""
    rows = conn.execute("select distinct what, key from record_entries where operation = 'forget'")
    return frozenset((row["what"], row["key"]) for row in rows)


def _more(n: int) -> str:
    return f" (one of {n:,})" if n > MOST_NAMED else ""
