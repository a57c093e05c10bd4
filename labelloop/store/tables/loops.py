"""Loops, with the content of their files when these were last read, and every content that their specs have had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from labelloop.spec.kept_answer import keep_answer
from labelloop.spec.loop import LoopSpec, keep_controls
from labelloop.spec.relabel import with_former
from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines import label_changes


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


def register(conn: Conn, spec: LoopSpec) -> LoopSpec:
    """Store the loop with the content of its files, and a version of its spec if the content is new. Return the spec.

    A second call with the same files changes nothing. A loop that is registered already keeps its answer if loop.yaml
    names none, and a loop with answers keeps the controls that they may use. Raises SpecError, before anything is
    written, if answers that exist could not be read (keep_answer), or if the form has a former label.
    """
    known = get(conn, spec.name)
    if known is not None and _has_answers(conn, spec.name):
        spec = keep_controls(spec, known)
    spec = keep_answer(known, spec, answered=known is not None and _has_outputs(conn, spec.name))
    spec = with_former(spec, label_changes.former(conn, spec.name))
    conn.execute(
        """
        insert into loops (name, spec, labels_xml) values (%(name)s, %(spec)s, %(labels_xml)s)
        on conflict (name) do update
            set spec = excluded.spec, labels_xml = excluded.labels_xml, updated_at = now()
            where (loops.spec, loops.labels_xml) is distinct from (excluded.spec, excluded.labels_xml)
        """,
        {"name": spec.name, "spec": Jsonb(spec.to_json()), "labels_xml": spec.labels_xml},
    )
    spec_version(conn, spec)
    return spec


def _has_outputs(conn: Conn, name: str) -> bool:
    return conn.execute("select from outputs where loop = %(name)s limit 1", {"name": name}).fetchone() is not None


def _has_answers(conn: Conn, loop: str) -> bool:
    found = conn.execute(
        """
        select from outputs join annotation_versions on annotation_versions.output_id = outputs.id
        where outputs.loop = %(loop)s limit 1
        """,
        {"loop": loop},
    )
    return found.fetchone() is not None


def get(conn: Conn, name: str) -> LoopSpec | None:
    """Return the loop of this name, archived or not; None if it was never registered or has been removed."""
    row = conn.execute("select spec from loops where name = %(name)s and removed_at is null", {"name": name}).fetchone()
    return None if row is None else LoopSpec.from_json(row["spec"])


def knows_labels(conn: Conn, spec: LoopSpec) -> bool:
    """Whether the labels of the loop have not changed since this spec was read."""
    row = conn.execute("select spec -> 'former_labels' as now from loops where name = %s", [spec.name]).fetchone()
    return row is None or (row["now"] or {}) == spec.to_json()["former_labels"]


def get_with_rest(conn: Conn, name: str) -> tuple[LoopSpec | None, str | None]:
    """Return the loop as `get` does and, if it is archived, the date and the person in words, as `resting` does."""
    with conn.pipeline():  # with the begin of a transaction in the same request to Postgres
        cursor = conn.execute(
            "select spec, archived_at, archived_by, removed_at from loops where name = %(name)s and removed_at is null",
            {"name": name},
        )
    row = cursor.fetchone()
    if row is None:
        return None, None
    return LoopSpec.from_json(row["spec"]), None if row["archived_at"] is None else _rest(row)


def spec_version(conn: Conn, spec: LoopSpec) -> int | None:
    """Return the number of this content of the loop's spec; store it if it is new.

    None if the loop is removed, or was never registered; otherwise nobody removes it before the transaction ends. If
    two transactions store one content, one of them waits.
    """
    key = {"loop": spec.name, "sha256": spec.sha256()}
    known = _spec_version(conn, key)
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
    return _spec_version(conn, key)


def spec_at(conn: Conn, loop: str, number: int) -> LoopSpec | None:
    """Return the spec of this number; None if there is none."""
    row = conn.execute(
        "select spec from spec_versions where loop = %(loop)s and number = %(number)s",
        {"loop": loop, "number": number},
    ).fetchone()
    return None if row is None else LoopSpec.from_json(row["spec"])


def spec_versions(conn: Conn, loop: str) -> list[SpecVersion]:
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


def forms(conn: Conn, loop: str) -> list[str]:
    """Return every labeling config that the loop has had, the present one too, in no particular order."""
    rows = conn.execute("select distinct labels_xml from spec_versions where loop = %(loop)s", {"loop": loop})
    return [row["labels_xml"] for row in rows]


def at_work(conn: Conn, name: str) -> LoopSpec | None:
    """Return the loop of this name; None if it is archived or removed, or was never registered."""
    return get(conn, name) if name in names(conn) else None


def names(conn: Conn, *, archived: bool = False) -> list[str]:
    """Return the names of all loops that are neither archived nor removed; with `archived` also the archived ones."""
    rows = conn.execute(
        """
        select name from loops where removed_at is null and (archived_at is null or %(archived)s) order by name
        """,
        {"archived": archived},
    )
    return [row["name"] for row in rows]


def with_budget(conn: Conn) -> list[str]:
    """Return the names of the loops at work whose specs have a budget."""
    rows = conn.execute(
        """
        select name from loops where removed_at is null and archived_at is null
        and spec ->> 'budget' is not null order by name
        """
    )
    return [row["name"] for row in rows]


def is_archived(conn: Conn, name: str) -> bool:
    """Return whether the loop is archived and not removed, so that it can be restored."""
    return name in names(conn, archived=True) and name not in names(conn)


def resting(conn: Conn) -> dict[str, str]:
    """Return, for each archived or removed loop, the date and the person in words."""
    rows = conn.execute(
        "select name, archived_at, archived_by, removed_at from loops where archived_at is not null order by name"
    )
    return {row["name"]: _rest(row) for row in rows}


def _rest(row: Mapping[str, Any]) -> str:
    if row["removed_at"] is None:
        return f"archived on {row['archived_at']:%Y-%m-%d} by {row['archived_by']}"
    return f"removed on {row['removed_at']:%Y-%m-%d}"


def archive(conn: Conn, name: str, by: str) -> bool:
    """Archive the loop; False if it was archived already or is unknown.

    From the commit on, nothing is received, pushed, pulled or trained for it.
    """
    return (
        conn.execute(
            "update loops set archived_at = now(), archived_by = %(by)s where name = %(name)s and archived_at is null",
            {"name": name, "by": by},
        ).rowcount
        == 1
    )


def restore(conn: Conn, name: str) -> bool:
    """Start an archived loop again with all its data; a removed loop starts empty. False if it was not archived."""
    return (
        conn.execute(
            """
            update loops set archived_at = null, archived_by = null, removed_at = null
            where name = %(name)s and archived_at is not null
            """,
            {"name": name},
        ).rowcount
        == 1
    )


def _spec_version(conn: Conn, key: Mapping[str, object]) -> int | None:
    row = conn.execute(
        """
        select number from loops join spec_versions on loop = name
        where name = %(loop)s and sha256 = %(sha256)s and removed_at is null for key share of loops
        """,
        key,
    ).fetchone()
    return None if row is None else int(row["number"])
