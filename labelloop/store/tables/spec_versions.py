"""Versions of a loop's spec: each content that it has had, numbered from 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class SpecVersion:
    """One content of a loop's spec."""

    number: int
    sha256: bytes
    trigger: str
    created_at: datetime
    """When this content was registered, or first used, for the first time."""
    outputs: int
    """Number of outputs whose lane it chose."""


def number(conn: Conn, spec: LoopSpec) -> int | None:
    """Return the number of this content of the loop's spec; store it if it is new.

    None if the loop is removed, or was never registered. Of two transactions that store one content, the second waits.
    """
    key = {"loop": spec.name, "sha256": spec.sha256()}
    known = _number(conn, key)
    if known is not None:
        return known
    # The lock leaves outputs alone: a reference to the loop takes a weaker one.
    loop = conn.execute(
        "select from loops where name = %(loop)s and removed_at is null for no key update", {"loop": spec.name}
    ).fetchone()
    if loop is None:
        return None
    conn.execute(
        """
        insert into spec_versions (loop, number, sha256, spec, labels_xml)
        select %(loop)s, coalesce(max(number), 0) + 1, %(sha256)s, %(spec)s, %(labels_xml)s
        from spec_versions where loop = %(loop)s
        on conflict (loop, sha256) do nothing
        """,
        {**key, "spec": Jsonb(spec.to_json()), "labels_xml": spec.labels_xml},
    )
    return _number(conn, key)


def get(conn: Conn, loop: str, number: int) -> LoopSpec | None:
    """Return the spec of this number; None if there is none."""
    row = conn.execute(
        "select spec from spec_versions where loop = %(loop)s and number = %(number)s",
        {"loop": loop, "number": number},
    ).fetchone()
    return None if row is None else LoopSpec.from_json(row["spec"])


def of_loop(conn: Conn, loop: str) -> list[SpecVersion]:
    """Return all versions of the loop's spec, oldest first."""
    return (
        rows_of(conn, SpecVersion)
        .execute(
            """
            select number, sha256, spec ->> 'trigger' as trigger, created_at, coalesce(n, 0) as outputs
            from spec_versions left join (
                select spec_version, count(*) as n from outputs where loop = %(loop)s group by spec_version
            ) counted on spec_version = number
            where loop = %(loop)s order by number
            """,
            {"loop": loop},
        )
        .fetchall()
    )


def _number(conn: Conn, key: Mapping[str, object]) -> int | None:
    row = conn.execute("select number from spec_versions where loop = %(loop)s and sha256 = %(sha256)s", key).fetchone()
    return None if row is None else int(row["number"])
