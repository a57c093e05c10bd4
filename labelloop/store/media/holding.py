"""Statements about media_outputs: which outputs were looked at, and which are held back for their media.

A held output is `quarantined` with its reason, like one that Label Studio refuses. It left the pool, so a push cannot
take it. The caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.queue.batches import BatchState
from labelloop.reading import paths
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables import batches, pool


@dataclass(frozen=True, slots=True)
class Held:
    """An output that is held back, with the number of those held for the same reason."""

    key: str
    code: str
    reason: str
    n: int


def not_looked_at(conn: Conn, ids: Sequence[UUID]) -> list[UUID]:
    """Return those of these outputs that were never looked at, or that are due again, in the same order."""
    rows = conn.execute(
        "select output_id from media_outputs where output_id = any(%(ids)s) and again_at > now()", {"ids": list(ids)}
    )
    known = {row["output_id"] for row in rows}
    return [id_ for id_ in ids if id_ not in known]


def young(conn: Conn, ids: Sequence[UUID], seconds: float) -> set[UUID]:
    """Return those of these outputs that came in the last `seconds` and were not looked at yet."""
    rows = conn.execute(
        """
        select id from outputs o where id = any(%(ids)s) and received_at > now() - make_interval(secs => %(seconds)s)
        and not exists (select from media_outputs m where m.output_id = o.id)
        """,
        {"ids": list(ids), "seconds": seconds},
    )
    return {row["id"] for row in rows}


def due(conn: Conn, loop: str, most: int) -> list[UUID]:
    """Return the held outputs that are to be looked at again, the longest due first."""
    rows = conn.execute(
        """
        select output_id from media_outputs where loop = %(loop)s and held and again_at <= now()
        order by again_at, output_id limit %(most)s
        """,
        {"loop": loop, "most": most},
    )
    return [row["output_id"] for row in rows]


def data(conn: Conn, ids: Sequence[UUID], fields: Sequence[str]) -> dict[UUID, dict[str, Any]]:
    """Return these fields of the data of these outputs, each under the name that the form gives it."""
    found: dict[UUID, dict[str, Any]] = {id_: {} for id_ in ids}
    for field in fields:
        rows = conn.execute(
            """
            select id, coalesce(data -> %(field)s::text, data #> %(path)s::text[]) as value
            from outputs where id = any(%(ids)s)
            """,
            {"field": field, "path": paths.steps(field), "ids": list(ids)},
        )
        for row in rows:
            found[row["id"]][field] = row["value"]
    return found


def seen(conn: Conn, loop: str, again_in_s: Mapping[UUID, float]) -> None:
    """Record that the media of these waiting outputs can be read or are not known, and when they are due again."""
    conn.execute(
        """
        insert into media_outputs (output_id, loop, held, utility, again_at)
        select p.output_id, %(loop)s, false, p.utility, now() + make_interval(secs => a.again)
        from pool p join unnest(%(ids)s::uuid[], %(again)s::float8[]) as a (output_id, again) using (output_id)
        on conflict (output_id) do update set utility = excluded.utility, again_at = excluded.again_at,
            looked_at = now(), held = false, host = null, code = null
        """,
        {"loop": loop, "ids": list(again_in_s), "again": list(again_in_s.values())},
    )


def hold(conn: Conn, loop: str, version: str, why: Mapping[UUID, tuple[str, str, str, float]]) -> int:
    """Quarantine these waiting outputs; return how many still waited.

    `why`: for each output the host, the code, the reason in words, and the seconds until the next look. It leaves the
    pool by a batch that is refused before it is sent, so it takes the states that every task takes.
    """
    utilities = {
        row["output_id"]: row["utility"]
        for row in conn.execute(
            "select output_id, utility from pool where output_id = any(%(ids)s) order by output_id for update",
            {"ids": list(why)},
        )
    }
    if not utilities:
        return 0
    batch_id = batches.intend(conn, loop, version, len(utilities))
    pool.take(conn, batch_id, dict.fromkeys(utilities, 0.0))
    batches.start(conn, batch_id)
    batches.end(conn, batch_id, BatchState.INTENT, BatchState.REFUSED, "media of its outputs cannot be read")
    of = {
        "batch": batch_id,
        "loop": loop,
        "ids": list(utilities),
        "hosts": [why[id_][0] for id_ in utilities],
        "codes": [why[id_][1] for id_ in utilities],
        "reasons": [why[id_][2] for id_ in utilities],
        "again": [why[id_][3] for id_ in utilities],
        "utilities": list(utilities.values()),
    }
    n = conn.execute(
        """
        update outputs o set state = 'quarantined', state_reason = w.reason, batch_id = null
        from unnest(%(ids)s::uuid[], %(reasons)s::text[]) as w (id, reason)
        where o.id = w.id and o.batch_id = %(batch)s and o.state = 'pushing'
        """,
        of,
    ).rowcount
    conn.execute(
        """
        insert into media_outputs (output_id, loop, held, host, code, utility, again_at)
        select w.id, %(loop)s, true, w.host, w.code, w.utility, now() + make_interval(secs => w.again)
        from unnest(%(ids)s::uuid[], %(hosts)s::text[], %(codes)s::text[], %(utilities)s::float8[], %(again)s::float8[])
            as w (id, host, code, utility, again)
        on conflict (output_id) do update set held = true, host = excluded.host, code = excluded.code,
            utility = excluded.utility, again_at = excluded.again_at, looked_at = now()
        """,
        of,
    )
    batches.forget_items(conn, batch_id)
    return n


def hold_on(conn: Conn, why: Mapping[UUID, tuple[str, str, str, float]]) -> None:
    """Keep holding these outputs, with what the newest look found."""
    conn.cursor().executemany(
        """
        with told as (
            update outputs set state_reason = %(reason)s where id = %(id)s and state = 'quarantined'
        )
        update media_outputs set host = %(host)s, code = %(code)s, looked_at = now(),
            again_at = now() + make_interval(secs => %(again)s)
        where output_id = %(id)s and held
        """,
        [
            {"id": id_, "host": host, "code": code, "reason": reason, "again": again}
            for id_, (host, code, reason, again) in sorted(why.items())
        ],
    )


def release(conn: Conn, again_in_s: Mapping[UUID, float]) -> int:
    """Let these held outputs wait again, since their media can be read; return how many.

    One that has been answered or withdrawn meanwhile is only not held any more.
    """
    rows = conn.execute(
        """
        with freed as (
            update media_outputs m set held = false, host = null, code = null, looked_at = now(),
                again_at = now() + make_interval(secs => a.again)
            from unnest(%(ids)s::uuid[], %(again)s::float8[]) as a (output_id, again)
            where m.output_id = a.output_id and m.held returning m.output_id, m.utility
        )
        update outputs o set state = 'waiting', state_reason = 'its media can be read'
        from freed where o.id = freed.output_id and o.state = 'quarantined' returning o.id, freed.utility
        """,
        {"ids": list(again_in_s), "again": list(again_in_s.values())},
    ).fetchall()
    for row in rows:
        pool.add(conn, row["id"], row["utility"])
    return len(rows)


def let_go(conn: Conn, ids: Sequence[UUID], reason: str) -> None:
    """Hold none of these outputs any more, for another reason than a look; they are in no pool."""
    conn.execute(
        """
        with freed as (
            update media_outputs set held = false, host = null, code = null
            where output_id = any(%(ids)s) and held returning output_id
        )
        update outputs set state = 'waiting', state_reason = %(reason)s
        where id in (select output_id from freed) and state = 'quarantined'
        """,
        {"ids": list(ids), "reason": reason},
    )


def look_again(conn: Conn, loop: str, host: str, codes: Sequence[str]) -> int:
    """Have all outputs looked at again that are held for this host with one of these codes; return how many."""
    return conn.execute(
        """
        with forgotten as (
            update media_looks set again_at = now()
            where loop = %(loop)s and host = %(host)s and code = any(%(codes)s) and again_at > now()
        )
        update media_outputs set again_at = now()
        where loop = %(loop)s and held and host = %(host)s and code = any(%(codes)s) and again_at > now()
        """,
        {"loop": loop, "host": host, "codes": list(codes)},
    ).rowcount


def look_at_held(conn: Conn, loop: str) -> int:
    """Make all held outputs of the loop due for a look; return how many those are."""
    n = conn.execute(
        "update media_outputs set again_at = now() where loop = %(loop)s and held", {"loop": loop}
    ).rowcount
    if n:
        conn.execute(
            "update media_looks set again_at = now() where loop = %(loop)s and level = 'unreadable'", {"loop": loop}
        )
    return n


def delete_old(conn: Conn) -> None:
    """Delete what was found long ago at addresses, and of outputs that are neither waiting nor held."""
    conn.execute("delete from media_looks where looked_at < now() - interval '7 days' and again_at <= now()")
    conn.execute(
        """
        delete from media_outputs m using outputs o
        where o.id = m.output_id and o.state not in ('waiting', 'quarantined')
        and m.looked_at < now() - interval '1 day'
        """
    )


def held(conn: Conn, loop: str) -> int:
    """Return the number of outputs that are held back."""
    row = conn.execute(
        """
        select count(*) as n from media_outputs m join outputs o on o.id = m.output_id
        where m.loop = %(loop)s and m.held and o.state = 'quarantined'
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def why_held(conn: Conn, loop: str) -> list[Held]:
    """Return one held output for each code and host, the most frequent first."""
    cursor = rows_of(conn, Held)
    return cursor.execute(
        """
        select (array_agg(o.key order by o.received_at, o.key))[1] as key, m.code,
            (array_agg(o.state_reason order by o.received_at, o.key))[1] as reason, count(*)::int as n
        from media_outputs m join outputs o on o.id = m.output_id
        where m.loop = %(loop)s and m.held and o.state = 'quarantined'
        group by m.code, m.host order by n desc, m.code, m.host
        """,
        {"loop": loop},
    ).fetchall()


def sample(conn: Conn, loop: str, most: int, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return the named fields of at most `most` outputs of each of three kinds: open tasks, waiting ones, held ones."""
    rows = conn.execute(
        """
        (select output_id as id from tasks t join outputs o on o.id = t.output_id
            where t.loop = %(loop)s and o.state = 'in_review' order by t.priority desc, o.key limit %(most)s)
        union (select output_id from pool where loop = %(loop)s order by utility desc, key limit %(most)s)
        union (select output_id from media_outputs where loop = %(loop)s and held order by again_at limit %(most)s)
        """,
        {"loop": loop, "most": most},
    ).fetchall()
    return list(data(conn, [row["id"] for row in rows], fields).values())
