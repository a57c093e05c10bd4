"""Use of answers and of accepted outputs: from an output or a reviewer to the versions trained or judged on them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class OutputUse:
    """A version that was trained or judged on an output's answer, or trained on its accepted label."""

    version: str
    stage: str
    part: str
    """`train` or `holdout`: on an answer. `accepted`: trained on the label with which the output passed unseen."""
    label: str
    """The label that was used."""
    answer_seq: int | None
    """The answer that was used; None if the output was accepted."""
    run: UUID
    now_label: str | None
    """The output's answer today; None if nobody has answered it, or the answer was withdrawn."""


@dataclass(frozen=True, slots=True)
class ReviewerUse:
    """A version that was trained or judged on answers of one reviewer."""

    version: str
    stage: str
    taught: int
    """Answers in its training set."""
    judged: int
    """Answers in its hold-out set."""


def by_output(conn: Conn, loop: str, key: str) -> list[OutputUse]:
    """Return the versions trained or judged on the output, newest first: one row for each part."""
    cursor = rows_of(conn, OutputUse)
    return cursor.execute(
        """
        select distinct on (v.created_at, v.id, i.part) v.id as version, v.stage::text, i.part, i.label, i.answer_seq,
               r.id as run, now.label as now_label
        from outputs o cross join lateral (
            select run_id, part, label, answer_seq from run_items where output_id = o.id
            union all select run_id, 'accepted', label, null from accepted_items where output_id = o.id
        ) i join retrain_runs r on r.id = i.run_id join model_versions v on v.id = r.version_id
        left join lateral (select label from answers where output_id = o.id order by seq desc limit 1) now on true
        where o.loop = %(loop)s and o.key = %(key)s
        order by v.created_at desc, v.id, i.part, r.requested_at desc
        """,
        {"loop": loop, "key": key},
    ).fetchall()


def by_reviewer(conn: Conn, loop: str, reviewer: str) -> list[ReviewerUse]:
    """Return the versions trained or judged on answers of this reviewer, newest first.

    `reviewer` is an email address, or `user 7` if Label Studio gave none.
    """
    cursor = rows_of(conn, ReviewerUse)
    return cursor.execute(
        """
        with theirs as materialized (
            select s.answer_seq, s.output_id from answer_sources s
            where s.loop = %(loop)s and s.reviewer = %(reviewer)s and s.output_id in (
                select v.output_id from annotation_versions v join reviewers r
                    on r.instance = v.instance and r.label_studio_user_id = coalesce(v.updated_by, v.completed_by)
                where coalesce(r.email, 'user ' || r.label_studio_user_id) = %(reviewer)s)
        )
        select v.id as version, v.stage::text,
               count(distinct i.output_id) filter (where i.part = 'train') as taught,
               count(distinct i.output_id) filter (where i.part = 'holdout') as judged
        from theirs t join run_items i on i.output_id = t.output_id and i.answer_seq = t.answer_seq
        join retrain_runs r on r.id = i.run_id join model_versions v on v.id = r.version_id
        group by v.id order by v.created_at desc, v.id
        """,
        {"loop": loop, "reviewer": reviewer},
    ).fetchall()


def known_output(conn: Conn, loop: str, key: str) -> bool:
    """Return whether the loop has an output with this key."""
    found = conn.execute("select 1 from outputs where loop = %(loop)s and key = %(key)s", {"loop": loop, "key": key})
    return found.fetchone() is not None


def known_reviewers(conn: Conn) -> list[str]:
    """Return every reviewer who has ever answered, in any loop: email addresses, or `user 7`."""
    rows = conn.execute(
        "select distinct coalesce(email, 'user ' || label_studio_user_id) as reviewer from reviewers order by 1"
    ).fetchall()
    return [row["reviewer"] for row in rows]
