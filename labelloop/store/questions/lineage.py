"""Lineage: from a version to the answers it learned from, and back. One statement a function; the caller's transaction.

Several runs may have made the same version: what any of them taught it is counted once an output, as the newest run
had it. An answer is stale where it says something else now (changed) or nothing any more (withdrawn).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from labelloop.store.database import Conn

_TAUGHT = """
    taught as materialized (
        select distinct on (i.output_id) i.output_id, i.answer_seq, i.label, i.weight
        from run_items i join retrain_runs r on r.id = i.run_id
        where r.version_id = %(version)s and i.part = 'train' order by i.output_id, r.requested_at desc
    )"""
_NEWER = """
    newer as (
        select a.output_id, (array_agg(a.label order by a.seq desc))[1] as label
        from taught t join answers a on a.output_id = t.output_id and a.seq > t.answer_seq group by a.output_id
    )"""
_STALE = """case when n.output_id is null or n.label is not distinct from t.label then null
                 when n.label is null then 'withdrawn' else 'changed' end"""


def runs_of(conn: Conn, version_id: str) -> list[dict[str, Any]]:
    """The runs that made the version, newest first."""
    return conn.execute(
        """
        select id, status::text, why, seed, feedback_upto, champion_id, requested_at, finished_at, reasons, scores
        from retrain_runs where version_id = %(version)s order by requested_at desc, id
        """,
        {"version": version_id},
    ).fetchall()


def counts(conn: Conn, version_id: str) -> dict[str, Any]:
    """What the version learned from: answers, groups, the first and the last of them, and how many are stale."""
    row = conn.execute(
        f"""
        with {_TAUGHT}, {_NEWER}
        select count(*) as answers, count(distinct o.group_key) as groups,
               min(a.resolved_at) as first_at, max(a.resolved_at) as last_at,
               count(*) filter (where {_STALE} = 'changed') as changed,
               count(*) filter (where {_STALE} = 'withdrawn') as withdrawn
        from taught t join outputs o on o.id = t.output_id join answers a on a.seq = t.answer_seq
        left join newer n on n.output_id = t.output_id
        """,
        {"version": version_id},
    ).fetchone()
    assert row is not None
    return dict(row)


def tally(conn: Conn, version_id: str) -> list[dict[str, Any]]:
    """Answers taught by label, lane and the pipeline's model: {label, lane, source, n}, most first."""
    return conn.execute(
        f"""
        with {_TAUGHT}
        select t.label, o.lane::text, o.model_version as source, count(*) as n
        from taught t join outputs o on o.id = t.output_id group by 1, 2, 3 order by n desc, 1, 2, 3
        """,
        {"version": version_id},
    ).fetchall()


def reviewers(conn: Conn, version_id: str) -> list[dict[str, Any]]:
    """Who stands behind the answers taught: {reviewer, answers}, most first. An answer of two counts for both."""
    return conn.execute(
        f"""
        with {_TAUGHT}
        select s.reviewer, count(*) as answers from taught t join answer_sources s on s.answer_seq = t.answer_seq
        group by s.reviewer order by answers desc, s.reviewer
        """,
        {"version": version_id},
    ).fetchall()


def taught(conn: Conn, version_id: str, *, stale_only: bool = False) -> list[dict[str, Any]]:
    """Every answer that the version learned from, in the order of the keys, with the annotations behind it.

    `stale`: null, changed or withdrawn; `now_label` what the answer says now.
    """
    return conn.execute(
        f"""
        with {_TAUGHT}, {_NEWER}, behind as (
            select s.answer_seq, jsonb_agg(jsonb_build_object('reviewer', s.reviewer, 'annotation', s.annotation_id,
                'annotation_version', s.annotation_version, 'at', s.updated_at, 'prelabel_kept', f.prelabel_kept)
                order by s.annotation_id) as said
            from taught t join answer_sources s on s.answer_seq = t.answer_seq
            left join feedback f on f.model_output_id = t.output_id and f.reviewer_id = s.reviewer_id
                and f.annotation_id = s.annotation_id and f.updated_at = s.updated_at
            group by s.answer_seq
        )
        select o.key, t.label, t.answer_seq, a.resolved_at, a.agreement, t.weight, o.lane::text,
               {_STALE} as stale, case when n.output_id is null then t.label else n.label end as now_label,
               coalesce(b.said, '[]') as said
        from taught t join outputs o on o.id = t.output_id join answers a on a.seq = t.answer_seq
        left join newer n on n.output_id = t.output_id
        left join behind b on b.answer_seq = t.answer_seq
        where not %(stale_only)s or {_STALE} is not null
        order by o.key collate "C"
        """,
        {"version": version_id, "stale_only": stale_only},
    ).fetchall()


def held_out(conn: Conn, run_id: UUID) -> list[dict[str, Any]]:
    """What a run was judged on, by label: {label, n, groups}, most first."""
    return conn.execute(
        """
        select i.label, count(*) as n, count(distinct o.group_key) as groups
        from run_items i join outputs o on o.id = i.output_id where i.run_id = %(run_id)s and i.part = 'holdout'
        group by i.label order by n desc, i.label
        """,
        {"run_id": run_id},
    ).fetchall()


def stale_by_version(conn: Conn, loop: str) -> dict[str, int]:
    """Version to how many of its answers are stale; versions without any are left out.

    Only outputs that were answered again can be: they are few, and found first.
    """
    rows = conn.execute(
        """
        with again as materialized (
            select output_id, (array_agg(label order by seq desc))[1] as label
            from answers where loop = %(loop)s group by output_id having count(*) > 1
        ), taught as (
            select distinct on (r.version_id, i.output_id) r.version_id, i.output_id, i.label
            from again g join run_items i on i.output_id = g.output_id join retrain_runs r on r.id = i.run_id
            where r.loop = %(loop)s and r.version_id is not null and i.part = 'train'
            order by r.version_id, i.output_id, r.requested_at desc
        )
        select t.version_id, count(*) as n from taught t join again g on g.output_id = t.output_id
        where g.label is distinct from t.label group by t.version_id
        """,
        {"loop": loop},
    ).fetchall()
    return {row["version_id"]: row["n"] for row in rows}


def by_output(conn: Conn, loop: str, key: str) -> list[dict[str, Any]]:
    """Versions that learned from the output's answer, or were judged on it, newest first: one row for each part."""
    return conn.execute(
        """
        select distinct on (v.created_at, v.id, i.part) v.id as version, v.stage::text, i.part, i.label, i.answer_seq,
               r.id as run, now.label as now_label
        from outputs o join run_items i on i.output_id = o.id join retrain_runs r on r.id = i.run_id
        join model_versions v on v.id = r.version_id
        cross join lateral (select label from answers where output_id = o.id order by seq desc limit 1) now
        where o.loop = %(loop)s and o.key = %(key)s
        order by v.created_at desc, v.id, i.part, r.requested_at desc
        """,
        {"loop": loop, "key": key},
    ).fetchall()


def by_reviewer(conn: Conn, loop: str, reviewer: str) -> list[dict[str, Any]]:
    """Versions that learned from, or were judged on, answers that this reviewer stands behind: {version, stage,
    taught, judged}, newest first. `reviewer`: an address, or `user 7` where Label Studio gave none.
    """
    return conn.execute(
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
    found = conn.execute("select 1 from outputs where loop = %(loop)s and key = %(key)s", {"loop": loop, "key": key})
    return found.fetchone() is not None


def known_reviewers(conn: Conn) -> list[str]:
    """Everybody who has ever answered, in any loop."""
    rows = conn.execute(
        "select distinct coalesce(email, 'user ' || label_studio_user_id) as reviewer from reviewers order by 1"
    ).fetchall()
    return [row["reviewer"] for row in rows]
