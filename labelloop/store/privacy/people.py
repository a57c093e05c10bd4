"""Removal of a person's name. Answers and decisions stay, under a pseudonym. The caller owns the transaction."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.answers import given
from labelloop.answers.annotations import StoredAnnotation, digest
from labelloop.store.database import Conn, rows_of
from labelloop.store.privacy import on_record

NAMED_BY = (
    ("promotions", "by"),
    ("decisions", "by"),
    ("version_descriptions", "by"),
    ("retrain_runs", "stop_asked_by"),
    ("loops", "archived_by"),
    ("callbacks", "created_by"),
    ("certificates", "revoked_by"),
    ("forgotten", "by"),
    ("access_tokens", "name"),
    ("alerts", "person"),
    ("alerts", "decided_by"),
    ("person_decisions", "by"),
    ("label_changes", "by"),
)
"""Tables and columns whose whole value is the name of a person."""
_TEXTS = {
    "promotions": ("why",),
    "decisions": ("why",),
    "version_descriptions": ("name", "note"),
    "retrain_runs": ("why", "error", "log", "reasons", "scores"),
    "certificates": ("revoked_because",),
    "outputs": ("state_reason",),
    "deliveries": ("fact", "body", "last_error"),
    "unreadable": ("reason",),
    "forgotten": ("why",),
    "alerts": ("before", "after", "why"),
    "exclusions": ("reason",),
    "person_decisions": ("why",),
    "label_changes": ("why",),
}
"""Columns with sentences, lists or JSON that may name a person."""
_CASTS = {"reasons": "text[]", "scores": "jsonb", "fact": "jsonb"}


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A row of reviewers; a person has one for each project."""

    id: UUID
    instance: UUID
    email: str | None
    name: str | None


def find(conn: Conn, person: str) -> list[Reviewer]:
    """Return the person's rows in reviewers, by e-mail address, id, reviewer_id or name, locked."""
    return (
        rows_of(conn, Reviewer)
        .execute(
            """
            select id, instance, email, name from reviewers
            where (lower(email) = lower(%(person)s) or id::text = lower(%(person)s)
                or email is null and 'user ' || label_studio_user_id = %(person)s
                or lower(name) = lower(%(person)s))
            and forgotten_at is null order by id for update
            """,
            {"person": person},
        )
        .fetchall()
    )


def counts(conn: Conn, reviewers: Sequence[Reviewer], names: Sequence[str]) -> dict[str, int]:
    """Count the rows that name the person, by table, and the person's answers, which stay."""
    found = {"reviewers": len(reviewers)}
    for table, column in NAMED_BY:
        row = conn.execute(f'select count(*) as n from {table} where "{column}" = any(%s)', [list(names)]).fetchone()
        assert row is not None
        found[table] = found.get(table, 0) + row["n"]
    return {table: n for table, n in found.items() if n}


def answers(conn: Conn, reviewers: Sequence[Reviewer]) -> int:
    """Count the outputs that the person has answered."""
    ids = [reviewer.id for reviewer in reviewers]
    row = conn.execute(
        "select count(distinct model_output_id) as n from feedback where reviewer_id = any(%s)", [ids]
    ).fetchone()
    assert row is not None
    return int(row["n"])


def learned_from(conn: Conn, reviewers: Sequence[Reviewer]) -> list[tuple[str, str, int]]:
    """Return the versions that were trained on the person's answers: id, stage and number, newest first."""
    rows = conn.execute(
        """
        with theirs as materialized (
            select distinct v.output_id from annotation_versions v join reviewers r on r.instance = v.instance
            and r.label_studio_user_id = coalesce(v.updated_by, v.completed_by) where r.id = any(%(ids)s)
        )
        select v.id, v.stage::text, count(distinct i.output_id) as n from theirs t
        join run_items i on i.output_id = t.output_id and i.part = 'train'
        join answer_sources s on s.answer_seq = i.answer_seq and s.reviewer_id = any(%(ids)s)
        join retrain_runs r on r.id = i.run_id join model_versions v on v.id = r.version_id
        group by v.id order by v.created_at desc, v.id
        """,
        {"ids": [reviewer.id for reviewer in reviewers]},
    )
    return [(row["id"], row["stage"], row["n"]) for row in rows]


def rename(conn: Conn, reviewers: Sequence[Reviewer], names: Sequence[str], loops: Sequence[str]) -> str:
    """Replace the person's names everywhere by a pseudonym, and return it."""
    pseudonym = f"person-{secrets.token_hex(4)}"
    ids = [reviewer.id for reviewer in reviewers]
    conn.execute("select set_config('labelloop.forgets', 'a name', true)")  # triggers of two tables let it pass
    conn.execute(
        "update reviewers set email = %s, name = %s, forgotten_at = now() where id = any(%s)",
        [pseudonym, pseudonym, ids],
    )
    over_http = {given.instance_of(loop) for loop in loops}
    # Reports name a reviewer as `user 7`.
    names = [*names, *(f"user {_renumber(conn, row)}" for row in reviewers if row.instance in over_http)]
    pattern = rf"(?<![\w@.+-])({'|'.join(map(re.escape, sorted(names, key=len, reverse=True)))})(?![\w@+-])"
    on_record.forget_reasons(conn, names, re.compile(pattern, re.IGNORECASE))
    on_record.forget_actors(conn, names)
    for table, column in NAMED_BY:
        on_record.forget_rows(conn, table, f'"{column}" = any(%(names)s)', {"names": list(names)})
        revoke = ", revoked_at = coalesce(revoked_at, now())" if table == "access_tokens" else ""
        # A person may have several tokens' names; each name is unique.
        new = "%(new)s || '-' || left(id::text, 8)" if table == "access_tokens" else "%(new)s"
        conn.execute(
            f'update {table} set "{column}" = {new}{revoke} where "{column}" = any(%(names)s)',
            {"new": pseudonym, "names": list(names)},
        )
    for table, its in _TEXTS.items():
        for column in its:
            text = f'"{column}"::text'
            on_record.forget_rows(conn, table, f"{text} ~* %(pattern)s", {"pattern": pattern})
            conn.execute(
                f"""
                update {table} set "{column}" = regexp_replace({text}, %(pattern)s, %(new)s, 'gi')
                    ::{_CASTS.get(column, "text")}
                where {text} ~* %(pattern)s
                """,
                {"pattern": pattern, "new": pseudonym},
            )
    return pseudonym


def _renumber(conn: Conn, reviewer: Reviewer) -> int:
    """Give a reviewer over HTTP random numbers, and return the former one.

    Those numbers are hashes of the login, which can be guessed. The versions get the hashes of their new content.
    """
    row = conn.execute("select label_studio_user_id as n from reviewers where id = %s", [reviewer.id]).fetchone()
    assert row is not None
    values = {"old": row["n"], "new": secrets.randbits(62), "instance": reviewer.instance, "id": reviewer.id}
    whose = "instance = %(instance)s and coalesce(updated_by, completed_by) = %(old)s"
    on_record.forget_rows(conn, "annotation_versions", whose, values)
    on_record.forget_rows(conn, "feedback", "reviewer_id = %(id)s", values)
    conn.execute("update reviewers set label_studio_user_id = %(new)s where id = %(id)s", values)
    for old in conn.execute(
        f"select distinct annotation_id as id from annotation_versions where {whose}", values
    ).fetchall():
        each = values | {"was": old["id"], "becomes": secrets.randbits(62)}
        conn.execute(
            """
            update annotation_versions set annotation_id = %(becomes)s, completed_by = %(new)s, updated_by = %(new)s
            where instance = %(instance)s and annotation_id = %(was)s
            """,
            each,
        )
        versions = rows_of(conn, StoredAnnotation).execute(
            """
            select annotation_id as id, task_id, result, completed_by, updated_by, was_cancelled, ground_truth,
                lead_time_s, parent_prediction, created_at, updated_at, seq, output_id, distrusted, false as ask
            from annotation_versions where annotation_id = %(becomes)s and instance = %(instance)s and not deleted
            and sha256 <> ''  -- that of a forgotten output stays empty
            """,
            each,
        )
        for version in versions.fetchall():
            sha256 = digest(version, version.output_id, version.distrusted)
            conn.execute("update annotation_versions set sha256 = %s where seq = %s", [sha256, version.seq])
        conn.execute(
            "update feedback set annotation_id = %(becomes)s where reviewer_id = %(id)s and annotation_id = %(was)s",
            each,
        )
    return int(row["n"])
