"""Answered outputs for export, each with its data, its consensus and the answer of each person.

The caller owns the transaction and reads all of an export in one snapshot: see `feedback_out.snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg.rows import DictRow

from labelloop.store.database import Conn
from labelloop.store.questions.feedback_out import EXPORT_ROWS

# A repeat has the answer of its original, and its own people where it was asked for itself.
_ROWS = """
    select o.key, o.data, o.result, o.label as model_label, o.confidence, o.model_version, o.lane::text, o.holdout,
        a.label as answer, a.agreement, a.reviewers, a.resolved_at, p.answers
    from outputs o left join repeats s on s.output_id = o.id
    cross join lateral (
        select label, agreement, reviewers, resolved_at from answers
        where output_id = coalesce(s.original_id, o.id) order by seq desc limit 1
    ) a
    cross join lateral (
        select coalesce(jsonb_agg(jsonb_build_object(
            'person', coalesce(r.email, r.name, r.id::text), 'label', f.label, 'approval', f.approval,
            'correction', f.correction, 'comment', f.comment, 'created_at', f.created_at, 'updated_at', f.updated_at,
            'lead_time_s', f.lead_time_s, 'result', v.result) order by f.created_at, f.id), '[]') as answers
        from feedback f join reviewers r on r.id = f.reviewer_id
        left join lateral (
            select result from counting_versions
            where instance = r.instance and annotation_id = f.annotation_id order by updated_at desc, seq desc limit 1
        ) v on true
        where %(people)s and f.model_output_id = coalesce(s.original_id, o.id)
    ) p
    where o.loop = %(loop)s and a.reviewers > 0 order by o.id
"""


def rows(conn: Conn, loop: str, *, people: bool) -> Iterator[DictRow]:
    """Yield the outputs that people answered, by their ids: key, data, result, model_label, confidence, model_version,
    lane, holdout, answer (null if the reviewers do not agree), agreement, reviewers, resolved_at, answers.

    `people`: whether `answers` has the answer of each person: person, label, approval, correction, comment, created_at,
    updated_at, lead_time_s, and result as it is stored.
    """
    with conn.cursor(name="answers_out") as cursor:
        cursor.itersize = EXPORT_ROWS
        cursor.execute(_ROWS, {"loop": loop, "people": people})
        yield from cursor
