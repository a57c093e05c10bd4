"""The story of an output, a version or a person: the entries of the record about it, in the order of their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labelloop.errors import UsageError
from labelloop.store.database import Conn, rows_of
from labelloop.store.record.words import words
from labelloop.versions.version import short

_ENTRIES = """
    select e.id, e.at, e.actor, coalesce(a.name, 'actor ' || e.actor || ', name deleted') as by, e.loop, e.what, e.key,
        e.operation, e.before, e.after, e.reason
    from record_entries e left join record_actors a on a.id = e.actor
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the record with the name of its actor."""

    id: int
    at: datetime
    actor: int
    by: str
    loop: str | None
    what: str
    key: str
    operation: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reason: str | None


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

    Raises UsageError if nothing has this name, or if several things have it.
    """
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
            e.key = %(id)s and e.what in ('outputs', 'tasks', 'repeats', 'outcomes', 'accepted')
            or coalesce(e.after, e.before) ->> 'output' = %(id)s
        )
    """
    return _lines(conn, of_output, {"loop": row["loop"], "id": str(row["id"])})


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
    """Return what the person did as an actor, and the annotations and feedback that are the person's."""
    about = """
        where (%(loop)s::text is null or e.loop = %(loop)s) and (
            e.actor in (select id from record_actors where name = %(name)s)
            or e.what = 'feedback' and coalesce(e.after, e.before) ->> 'reviewer' in (
                select id::text from reviewers where email = %(name)s or name = %(name)s)
            or e.what = 'annotation_versions' and e.key in (
                select v.seq::text from annotation_versions v join reviewers p
                on p.instance = v.instance and p.label_studio_user_id = v.updated_by
                where p.email = %(name)s or p.name = %(name)s)
        )
    """
    lines = _lines(conn, about, {"name": name, "loop": loop}, whose=True)
    return [Story(f"person {name}", _sorted(lines))] if lines else []


def _lines(conn: Conn, where: str, parameters: Mapping[str, Any], *, whose: bool = False) -> list[Line]:
    conn.execute("set local statement_timeout = 0")
    entries = rows_of(conn, Entry).execute(f"{_ENTRIES} {where} order by e.id", parameters).fetchall()
    names = _names(conn, entries)
    newest = {(e.what, e.key): e.id for e in entries}  # the row has the label of its newest entry only
    return [
        Line(
            e.at, e.by,
            words(
                e.what, e.key, e.operation, e.before, e.after, names,
                of_row=whose or e.what != "outputs", is_newest=newest[e.what, e.key] == e.id,
            ),
            e.reason, e.loop, e.id,
        )
        for e in entries
    ]  # fmt: skip


def _names(conn: Conn, entries: Sequence[Entry]) -> dict[str, str]:
    """Return what the record itself must not hold: labels, and names of people, as the rows have them now."""
    keys: dict[str, list[str]] = {}
    for entry in entries:
        keys.setdefault(entry.what, []).append(entry.key)
    found = {}
    for row in conn.execute(
        """
        select 'answers/' || seq as name, label as text from answers where seq::text = any(%(answers)s)
        union all
        select 'feedback/' || f.id, coalesce(p.email, p.name)
        from feedback f join reviewers p on p.id = f.reviewer_id where f.id::text = any(%(feedback)s)
        union all
        select 'annotation_versions/' || v.seq, coalesce(p.email, p.name)
        from annotation_versions v join reviewers p
        on p.instance = v.instance and p.label_studio_user_id = v.updated_by where v.seq::text = any(%(versions)s)
        union all
        select 'adjudications/' || j.answer_seq, coalesce(p.email, p.name)
        from adjudications j join reviewers p on p.id = j.reviewer_id where j.answer_seq::text = any(%(adjudications)s)
        union all
        select 'label of feedback/' || id, label from feedback where id::text = any(%(feedback)s)
        union all
        select 'outputs/' || id, key from outputs where id::text = any(%(outputs)s)
        """,
        {
            "answers": keys.get("answers", []),
            "adjudications": keys.get("adjudications", []),
            "feedback": keys.get("feedback", []),
            "versions": keys.get("annotation_versions", []),
            "outputs": keys.get("outputs", []),
        },
    ):
        if row["text"] is not None:
            found[row["name"]] = row["text"]
    return found


def _sorted(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (line.at, line.entry or 0))
