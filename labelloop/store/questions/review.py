"""What reports of loops, runs and versions are made of: one statement a function; the caller owns the transaction."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.runs import RUN
from labelloop.store.tables.versions import PROMOTION
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import Promotion

LAST = 200
"""Response times and agreement are of so many of the last answers: what holds now, not since the beginning."""


def response(conn: Conn, loop: str) -> dict[str, Any]:
    """Of the last answers: median and 90 % quantile of a person's seconds, and median seconds from task to answer."""
    row = conn.execute(
        """
        with last as (
            select output_id, min(resolved_at) as at from (
                select output_id, resolved_at from answers
                where loop = %(loop)s and label is not null order by seq desc limit %(last)s
            ) newest group by 1
        )
        select (select count(*) from last) as answers,
            percentile_cont(0.5) within group (order by f.lead_time_s) as person_median_s,
            percentile_cont(0.9) within group (order by f.lead_time_s) as person_p90_s,
            (select percentile_cont(0.5) within group (order by extract(epoch from l.at - t.pushed_at))
             from last l join tasks t using (output_id) where l.at >= t.pushed_at)::double precision as task_median_s
        from last left join feedback f on f.model_output_id = last.output_id
        """,
        {"loop": loop, "last": LAST},
    ).fetchone()
    assert row is not None
    return dict(row)


def agreement(conn: Conn, loop: str) -> dict[str, Any]:
    """Of the last outputs that several people answered: how many, their mean share of one mind, and how many tie."""
    row = conn.execute(
        """
        with last as (
            select distinct on (output_id) label, agreement from (
                select output_id, seq, label, agreement from answers
                where loop = %(loop)s and reviewers > 1 order by seq desc limit %(last)s
            ) newest order by output_id, seq desc
        )
        select count(*) as outputs, avg(agreement) as agreement, count(*) filter (where label is null) as ties from last
        """,
        {"loop": loop, "last": LAST},
    ).fetchone()
    assert row is not None
    return dict(row)


def held_out_answers(conn: Conn, loop: str) -> int:
    """Held-out outputs whose newest answer is a clear one."""
    row = conn.execute(
        """
        select count(*) filter (where n.label is not null) as n from (
            select distinct on (a.output_id) a.label from answers a join outputs o on o.id = a.output_id
            where a.loop = %(loop)s and o.holdout order by a.output_id, a.seq desc
        ) n
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def judged(conn: Conn, loop: str, version_id: str | None) -> dict[str, Any] | None:
    """The newest run with scores that judged this version, on either side; null: the pipeline's own outputs."""
    return conn.execute(
        """
        select id, version_id, champion_id, scores, finished_at from retrain_runs
        where loop = %(loop)s and scores is not null
            and (version_id = %(version)s or champion_id is not distinct from %(version)s)
        order by finished_at desc limit 1
        """,
        {"loop": loop, "version": version_id},
    ).fetchone()


def run_ids(conn: Conn, prefix: str, limit: int = 2) -> list[UUID]:
    """Ids of runs that begin with `prefix`, which holds no % and no _."""
    rows = conn.execute(
        "select id from retrain_runs where id::text like %(prefix)s || '%%' limit %(limit)s",
        {"prefix": prefix, "limit": limit},
    )
    return [row["id"] for row in rows]


def runs_of(conn: Conn, version_id: str) -> list[RetrainRun]:
    """Return the runs that made or judged a version, newest first."""
    return (
        rows_of(conn, RetrainRun)
        .execute(
            f"""
        select {RUN} from retrain_runs where version_id = %(id)s or champion_id = %(id)s
        order by requested_at desc, id limit 50
        """,
            {"id": version_id},
        )
        .fetchall()
    )


def promotions_of(conn: Conn, version_id: str) -> list[Promotion]:
    """Return the changes of champion by which a version came or went, newest first."""
    return (
        rows_of(conn, Promotion)
        .execute(
            f"select {PROMOTION} from promotions where version_id = %(id)s or previous_id = %(id)s order by epoch desc",
            {"id": version_id},
        )
        .fetchall()
    )


def decisions(conn: Conn, run_id: UUID) -> list[dict[str, Any]]:
    """What people decided about a run, newest first."""
    return conn.execute(
        "select decision, by, why, at from decisions where run_id = %(id)s order by id desc", {"id": run_id}
    ).fetchall()


def judged_again(conn: Conn, run_id: UUID) -> UUID | None:
    """The last run that judges the version of this run again, against another champion; None: none does."""
    row = conn.execute(
        "select id from retrain_runs where judges = %(id)s order by requested_at desc limit 1", {"id": run_id}
    ).fetchone()
    return None if row is None else row["id"]


def disagreements(conn: Conn, run_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Held-out items of which champion and challenger say different things, with the task that people answered.

    First those that only the champion has right, then those that only the challenger has; `total` is how many in all.
    """
    return conn.execute(
        """
        select o.key, o.data, i.label, i.champion_label, i.champion_confidence, i.challenger_label,
            i.challenger_confidence, t.label_studio_id, p.project_id, p.label_studio_url, count(*) over () as total
        from run_items i join outputs o on o.id = i.output_id
        left join tasks t on t.output_id = o.id left join projects p on p.loop = o.loop and p.instance = t.instance
        where i.run_id = %(run_id)s and i.part = 'holdout' and i.champion_label is distinct from i.challenger_label
        order by i.label is not distinct from i.champion_label desc,
            i.label is not distinct from i.challenger_label desc, o.key collate "C"
        limit %(limit)s
        """,
        {"run_id": run_id, "limit": limit},
    ).fetchall()


def parts(conn: Conn, run_id: UUID) -> dict[str, int]:
    """How many answers a run was taught and judged on."""
    row = conn.execute(
        """
        select count(*) filter (where part = 'train') as taught, count(*) filter (where part = 'holdout') as held_out
        from run_items where run_id = %(run_id)s
        """,
        {"run_id": run_id},
    ).fetchone()
    assert row is not None
    return dict(row)


def reviewers(conn: Conn, run_id: UUID) -> dict[str, Any]:
    """Who stands behind a run's held-out answers: people, answers of several, and the mean agreement of those."""
    row = conn.execute(
        """
        select count(*) filter (where a.reviewers > 1) as answered_by_several,
            avg(a.agreement) filter (where a.reviewers > 1) as agreement,
            (select count(distinct f.reviewer_id) from run_items j join feedback f on f.model_output_id = j.output_id
             where j.run_id = %(run_id)s and j.part = 'holdout') as people
        from run_items i join answers a on a.seq = i.answer_seq where i.run_id = %(run_id)s and i.part = 'holdout'
        """,
        {"run_id": run_id},
    ).fetchone()
    assert row is not None
    return dict(row)


def shadow(conn: Conn, run_id: UUID) -> dict[str, int]:
    """What a version in shadow did so far: outputs that both labelled, those answered since, and who had them right."""
    row = conn.execute(
        """
        select count(*) as outputs, count(a.label) as answered,
            count(*) filter (where s.champion_label = a.label) as champion_right,
            count(*) filter (where s.challenger_label = a.label) as challenger_right
        from shadow_items s left join lateral (
            select label from answers where output_id = s.output_id order by seq desc limit 1
        ) a on true where s.run_id = %(run_id)s
        """,
        {"run_id": run_id},
    ).fetchone()
    assert row is not None
    return dict(row)


def in_common(conn: Conn, loop: str, one: str | None, other: str | None) -> list[dict[str, Any]]:
    """Held-out outputs on which two versions (null: the pipeline's own outputs) were both judged, each with what both
    said and its newest answer that a run was judged by, in the order of the keys.

    A version never changes, and neither does an output's data, so which run asked it does not matter.
    """
    return conn.execute(
        """
        with said as (
            select i.output_id, i.answer_seq, i.label, v.version, v.label as said
            from retrain_runs r join run_items i on i.run_id = r.id and i.part = 'holdout'
            cross join lateral (
                values (r.champion_id, i.champion_label), (r.version_id, i.challenger_label)
            ) as v (version, label)
            where r.loop = %(loop)s and r.scores is not null and r.version_id is not null
        ), one as (
            select distinct on (output_id) * from said where version is not distinct from %(one)s
            order by output_id, answer_seq desc
        ), other as (
            select distinct on (output_id) * from said where version is not distinct from %(other)s
            order by output_id, answer_seq desc
        )
        select o.key, one.said as one, other.said as other,
            case when one.answer_seq >= other.answer_seq then one.label else other.label end as label
        from one join other using (output_id) join outputs o on o.id = output_id order by o.key collate "C"
        """,
        {"loop": loop, "one": one, "other": other},
    ).fetchall()
