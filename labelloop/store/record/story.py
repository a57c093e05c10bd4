"""The story of an output, a version or a person: the entries of the record about it, in the order of their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labelloop.errors import UsageError
from labelloop.reading.nearest import did_you_mean, some
from labelloop.store.database import Conn
from labelloop.store.record import entries
from labelloop.store.record.names import names_for
from labelloop.store.record.words.telling import why, words
from labelloop.store.tables import loops
from labelloop.versions.version import short


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story."""

    at: datetime
    by: str
    happened: str
    why: str | None
    loop: str | None
    entry: int | None
    """Id of the entry; None for a line that other tables tell."""


@dataclass(frozen=True, slots=True)
class Story:
    """A story and its subject in words."""

    subject: str
    lines: Sequence[Line]


def story(conn: Conn, subject: str, loop: str | None = None) -> Story:
    """Return the story of the output with this key, of the version whose id begins so, or of the person.

    Raises UsageError if nothing has this name, if several things have it, or if there was never such a loop.
    """
    check_loop(conn, loop)
    conn.execute("set local statement_timeout = 0")  # the record has no index by person
    told = [*_outputs(conn, subject, loop), *_versions(conn, subject, loop), *_people(conn, subject, loop)]
    if not told:
        where = f" in loop {loop!r}" if loop else ""
        raise UsageError(
            f"no output, version or person {subject!r}{where}; give a key, the first 6 digits of a "
            "version, or a person's name or login"
        )
    if len(told) > 1:
        names = "; ".join(one.subject for one in told)
        raise UsageError(f"{subject!r} is several things: {names}. Name the loop with --loop, or give a longer id")
    return told[0]


def check_loop(conn: Conn, loop: str | None) -> None:
    """Raise UsageError if this loop was never there; a removed one is still on record. None means all loops."""
    if loop is None or conn.execute("select from loops where name = %s", [loop]).fetchone() is not None:
        return
    conn.execute("set local statement_timeout = 0")  # the record has no index by loop
    if conn.execute("select from record_entries where loop = %s limit 1", [loop]).fetchone() is None:
        names = loops.names(conn, archived=True)
        known_names = some(names or ["none"])
        raise UsageError(f"no loop {loop!r} was ever here{did_you_mean(loop, names)}; {known_names}")


def _outputs(conn: Conn, key: str, loop: str | None) -> list[Story]:
    found = conn.execute(
        """
        select id, loop from outputs where key = %(key)s and (%(loop)s::text is null or loop = %(loop)s) order by loop
        """,
        {"key": key, "loop": loop},
    ).fetchall()
    return [
        Story(f"output {key} of loop {row['loop']}", _sorted([*_of_output(conn, row), *_learned(conn, row)]))
        for row in found
    ]


def _of_output(conn: Conn, row: Mapping[str, Any]) -> list[Line]:
    of_output = """
        where e.loop = %(loop)s and (
            split_part(e.key, '/', 1) = %(id)s and e.what = any(%(by_output)s)
            or coalesce(e.after, e.before) ->> 'output' = %(id)s
            or e.what = 'exclusions' and e.key = any(%(exclusions)s)
            or e.what = 'alerts' and e.key = any(%(alerts)s)
        )
    """
    # An alert about the form is about no output, and keeps its answers from counting.
    covered = conn.execute(
        """
        select x.id::text, x.alert_id::text as alert from exclusions x
        join annotation_versions v on v.seq = x.annotation_version where v.output_id = %(id)s
        """,
        {"id": row["id"]},
    ).fetchall()
    values = {
        "loop": row["loop"],
        "id": str(row["id"]),
        "by_output": list(entries.BY_OUTPUT),
        "exclusions": [one["id"] for one in covered],
        "alerts": [one["alert"] for one in covered],
    }
    return _lines(conn, of_output, values, whose=False)


def _learned(conn: Conn, row: Mapping[str, Any]) -> list[Line]:
    runs = conn.execute(
        """
        select v.created_at as at, v.id, i.part from run_items i join retrain_runs r on r.id = i.run_id
        join model_versions v on v.id = r.version_id where i.output_id = %(id)s
        """,
        {"id": row["id"]},
    )
    did = {"train": "learned from it", "holdout": "was evaluated on it"}
    return [
        Line(run["at"], "training", f"version {short(run['id'])} {did[run['part']]}", None, row["loop"], None)
        for run in runs
    ]


def _versions(conn: Conn, prefix: str, loop: str | None) -> list[Story]:
    if len(prefix) < 6:
        return []
    found = conn.execute(
        """
        select id, loop from model_versions
        where starts_with(id, lower(%(prefix)s)) and (%(loop)s::text is null or loop = %(loop)s) order by id
        """,
        {"prefix": prefix, "loop": loop},
    ).fetchall()
    about = """
        where e.loop = %(loop)s and (
            e.what = 'model_versions' and e.key = %(id)s
            or e.what in ('promotions', 'version_descriptions')
            and %(id)s in (e.after ->> 'version', e.after ->> 'previous')
            or e.what = 'retrain_runs' and e.key = any(%(runs)s)
            or e.what = 'decisions' and e.after ->> 'run' = any(%(runs)s)
        )
    """
    told = []
    for row in found:
        runs = conn.execute("select id::text from retrain_runs where version_id = %(id)s", {"id": row["id"]}).fetchall()
        lines = _lines(conn, about, {"loop": row["loop"], "id": row["id"], "runs": [run["id"] for run in runs]})
        told.append(Story(f"version {short(row['id'])} of loop {row['loop']}", _sorted(lines)))
    return told


def _people(conn: Conn, name: str, loop: str | None) -> list[Story]:
    """Return the acts of the person, the person's answers, and the decisions about both."""
    theirs = conn.execute(
        """
        select p.id::text as reviewer, array_agg(v.seq::text) filter (where v.seq is not null) as versions
        from reviewers p left join annotation_versions v
        on v.instance = p.instance and coalesce(v.updated_by, v.completed_by) = p.label_studio_user_id
        where p.email = %(name)s or p.name = %(name)s group by p.id
        """,
        {"name": name},
    ).fetchall()
    about = """
        where (%(loop)s::text is null or e.loop = %(loop)s) and (
            e.actor in (select id from record_actors where name = %(name)s)
            or coalesce(e.after, e.before) ->> 'reviewer' = any(%(reviewers)s)
            or e.what = 'assignments' and split_part(e.key, '/', 2) = any(%(reviewers)s)
            or e.what = 'annotation_versions' and e.key = any(%(versions)s)
            or e.what in ('unreadable', 'exclusions')
            and coalesce(e.after, e.before) ->> 'annotation_version' = any(%(versions)s)
            or e.what = 'alerts' and e.key in (select id::text from alerts where person = %(name)s)
        )
    """
    values = {
        "name": name,
        "loop": loop,
        "reviewers": [row["reviewer"] for row in theirs],
        "versions": [seq for row in theirs for seq in row["versions"] or ()],
    }
    lines = _lines(conn, about, values)
    return [Story(f"person {name}", _sorted(lines))] if lines else []


def _lines(conn: Conn, where: str, parameters: Mapping[str, Any], *, whose: bool = True) -> list[Line]:
    """Return the entries that this condition names. `whose`: each names its output."""
    found = entries.read(conn, where, parameters)
    names, lines = names_for(conn, found), list[Line]()
    reasons: dict[tuple[str, str], str | None] = {}
    for e in found:
        stale = reasons.get((e.what, e.key))
        lines.append(Line(e.at, e.by, words(e, names, whose=whose), why(e, names, stale), e.loop, e.id))
        reasons[e.what, e.key] = e.reason
    return lines


def _sorted(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (line.at, line.entry or 0))
