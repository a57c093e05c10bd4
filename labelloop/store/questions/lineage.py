"""Lineage: from a version to the answers it was trained on.

Several runs may have made the same version: an output that several of them used counts once, with the answer of the
newest run. An answer is stale if the output has another label now (changed) or none any more (withdrawn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class MakingRun:
    """A run that made a version."""

    id: UUID
    status: str
    why: str
    seed: int
    feedback_upto: int | None
    """The cut: number of the last answer that the run could see."""
    champion_id: str | None
    requested_at: datetime
    finished_at: datetime | None
    reasons: Sequence[str]
    scores: Mapping[str, Any] | None
    """Its evaluation."""


@dataclass(frozen=True, slots=True)
class TrainingCounts:
    """Numbers of the answers that a version was trained on, and of the stale ones among them."""

    answers: int
    groups: int
    first_at: datetime | None
    last_at: datetime | None
    changed: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class TrainingTally:
    """Number of training answers with the same label, lane and model of the pipeline."""

    label: str
    lane: str
    source: str
    n: int


@dataclass(frozen=True, slots=True)
class ReviewerShare:
    """Number of training answers that one reviewer contributed to."""

    reviewer: str
    answers: int


@dataclass(frozen=True, slots=True)
class TrainingAnswer:
    """One answer that a version was trained on."""

    key: str
    label: str
    answer_seq: int
    resolved_at: datetime
    agreement: float
    weight: float | None
    lane: str
    stale: str | None
    """`changed`, `withdrawn`, or None if the answer still holds."""
    now_label: str | None
    """The output's label today."""
    said: Sequence[Mapping[str, Any]]
    """The annotations behind it: reviewer, annotation, annotation_version, at, prelabel_kept."""


@dataclass(frozen=True, slots=True)
class HeldOutLabel:
    """Number of held-out answers with one label."""

    label: str
    n: int
    groups: int


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


def runs_of(conn: Conn, version_id: str) -> list[MakingRun]:
    """Return the runs that made the version, newest first."""
    cursor = rows_of(conn, MakingRun)
    return cursor.execute(
        """
        select id, status::text, why, seed, feedback_upto, champion_id, requested_at, finished_at, reasons, scores
        from retrain_runs where version_id = %(version)s order by requested_at desc, id
        """,
        {"version": version_id},
    ).fetchall()


def counts(conn: Conn, version_id: str) -> TrainingCounts:
    """Count the answers that the version was trained on."""
    cursor = rows_of(conn, TrainingCounts)
    row = cursor.execute(
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
    return row


def tally(conn: Conn, version_id: str) -> list[TrainingTally]:
    """Count the training answers by label, lane and model of the pipeline, largest number first."""
    cursor = rows_of(conn, TrainingTally)
    return cursor.execute(
        f"""
        with {_TAUGHT}
        select t.label, o.lane::text, o.model_version as source, count(*) as n
        from taught t join outputs o on o.id = t.output_id group by 1, 2, 3 order by n desc, 1, 2, 3
        """,
        {"version": version_id},
    ).fetchall()


def reviewers(conn: Conn, version_id: str) -> list[ReviewerShare]:
    """Count the training answers of each reviewer, largest number first. An answer of two counts for both."""
    cursor = rows_of(conn, ReviewerShare)
    return cursor.execute(
        f"""
        with {_TAUGHT}
        select s.reviewer, count(*) as answers from taught t join answer_sources s on s.answer_seq = t.answer_seq
        group by s.reviewer order by answers desc, s.reviewer
        """,
        {"version": version_id},
    ).fetchall()


def training_answers(conn: Conn, version_id: str, *, stale_only: bool = False) -> list[TrainingAnswer]:
    """Return every answer that the version was trained on, in the order of the keys, with its annotations."""
    cursor = rows_of(conn, TrainingAnswer)
    return cursor.execute(
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


def held_out(conn: Conn, run_id: UUID) -> list[HeldOutLabel]:
    """Count the held-out answers of a run by label, largest number first."""
    cursor = rows_of(conn, HeldOutLabel)
    return cursor.execute(
        """
        select i.label, count(*) as n, count(distinct o.group_key) as groups
        from run_items i join outputs o on o.id = i.output_id where i.run_id = %(run_id)s and i.part = 'holdout'
        group by i.label order by n desc, i.label
        """,
        {"run_id": run_id},
    ).fetchall()


def stale_by_version(conn: Conn, loop: str) -> dict[str, int]:
    """Map each version to the number of its stale training answers; versions without any are left out.

    Only outputs answered more than once can be stale. They are few, so the statement finds them first.
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
