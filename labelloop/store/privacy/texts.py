"""Names of forgotten outputs inside longer texts: reports and logs of runs, reasons, rows of the outbox.

A run's report names slices of the data, such as `data.customer = ada`. A value that other outputs have too is no name
of the forgotten ones, and stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.store.database import Conn
from labelloop.store.privacy import on_record

SHORTEST = 3
"""Shorter values, such as a country's code, name nothing."""
GONE = "(forgotten)"
_REASONS = {"outputs": "state_reason", "batches": "reason"}
_RUN_TEXTS = ("scores", "progress", "tried", "reasons", "why", "error", "log")


def leaves(value: Any) -> Iterator[str]:
    """Yield every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from leaves(one)


def remove(conn: Conn, loop: str, names: Collection[str], values: Collection[str], ids: Sequence[UUID]) -> int:
    """Replace names, and values that no other output has, in the texts of the loop; return the number of rows.

    `names`: keys and groups. `values`: texts of the outputs' data, which is removed already.
    """
    wanted = {name for name in {*names, *values} if len(name) >= SHORTEST or name in names}
    found = 0
    for row in conn.execute(f"select id, {', '.join(_RUN_TEXTS)} from retrain_runs where loop = %s", [loop]).fetchall():
        whole = "\0".join(text for name in _RUN_TEXTS for text in _all_texts(row[name]))
        here = {one for one in wanted if one in whole and (one in names or not _elsewhere(conn, loop, one, ids))}
        if not here:
            continue
        change = _changing(here)
        changed = {name: _deep(row[name], change) for name in _RUN_TEXTS}
        if all(changed[name] == row[name] for name in _RUN_TEXTS):
            continue
        for name in ("scores", "progress", "tried"):
            changed[name] = None if changed[name] is None else Jsonb(changed[name])
        sets = ", ".join(f"{name} = %({name})s" for name in _RUN_TEXTS)
        changed["id"] = row["id"]
        on_record.forget_rows(conn, "retrain_runs", "id = %(id)s", changed)
        found += conn.execute(f"update retrain_runs set {sets} where id = %(id)s", changed).rowcount
    on_record.forget_reasons(conn, names, _words(names), loop)
    return found + sum(_replace(conn, table, column, loop, names) for table, column in _REASONS.items())


def _replace(conn: Conn, table: str, column: str, loop: str, names: Collection[str]) -> int:
    """Replace the names in one column of the loop's rows; return the number of rows."""
    change = _changing(names)
    rows = conn.execute(
        f"""
        select id, {column} as text from {table} where loop = %(loop)s
        and exists (select from unnest(%(names)s::text[]) as n (name) where strpos({column}, name) > 0)
        """,
        {"loop": loop, "names": list(names)},
    ).fetchall()
    changed = [(text, row["id"]) for row in rows if (text := change(row["text"])) != row["text"]]
    with conn.cursor() as cursor:
        cursor.executemany(f"update {table} set {column} = %s where id = %s", changed)
    return len(changed)


def count_in_outbox(conn: Conn, loop: str, keys: Collection[str], group: str | None) -> int:
    """Count the rows of the outbox that are about these outputs: they wait, or were refused."""
    return len(_in_outbox(conn, loop, keys, group))


def remove_from_outbox(conn: Conn, loop: str, keys: Collection[str], group: str | None) -> int:
    """Delete the rows of the outbox that are about these outputs; return the number."""
    return conn.execute("delete from outbox where id = any(%s)", [_in_outbox(conn, loop, keys, group)]).rowcount


def _in_outbox(conn: Conn, loop: str, keys: Collection[str], group: str | None) -> list[int]:
    rows = conn.execute("select id, body from outbox where loop = %s order by id for update", [loop]).fetchall()
    return [row["id"] for row in rows if _is_about(row["body"], keys, group)]


def _is_about(body: str, keys: Collection[str], group: str | None) -> bool:
    try:
        sent = json.loads(body)
    except ValueError:
        return any(name in body for name in [*keys, *([group] if group else [])])
    if not isinstance(sent, dict):
        return False
    return sent.get("key") in keys or (group is not None and group in (sent.get("group"), sent.get("key")))


def _elsewhere(conn: Conn, loop: str, value: str, ids: Sequence[UUID]) -> bool:
    """Return whether another output of the loop has this text in its data, or as its label."""
    written = json.dumps(value, ensure_ascii=False)
    found = conn.execute(
        """
        select from outputs where loop = %(loop)s and id <> all(%(ids)s)
        and (strpos(data::text, %(written)s) > 0 or strpos(meta::text, %(written)s) > 0 or label = %(value)s) limit 1
        """,
        {"loop": loop, "ids": list(ids), "written": written, "value": value},
    )
    return found.fetchone() is not None


def _changing(names: Collection[str]) -> Callable[[str], str]:
    """Return the function that replaces the names as whole words, the longest first."""
    pattern = _words(names)
    return lambda text: pattern.sub(GONE, text)


def _words(names: Collection[str]) -> re.Pattern[str]:
    parts = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{parts})(?!\w)")


def _deep(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(name): _deep(one, change) for name, one in value.items()}
    if isinstance(value, Sequence):
        return [_deep(one, change) for one in value]
    return value


def _all_texts(value: Any) -> Iterator[str]:
    """Yield every text inside a JSON value, and the names of fields."""
    if isinstance(value, Mapping):
        yield from value
        for one in value.values():
            yield from _all_texts(one)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from _all_texts(one)
    elif isinstance(value, str):
        yield value
