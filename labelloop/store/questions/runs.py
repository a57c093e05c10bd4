"""Statements of a run's report: what it was trained and judged on, and what people decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.reading.ids import ProjectId, TaskId
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of a person, or of the gate, about a run."""

    decision: str
    """`promote` or `refuse`."""
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A held-out item for which champion and challenger predict different labels, with its task."""

    key: str
    data: Mapping[str, Any]
    label: str
    """The answer."""
    champion_label: str | None
    champion_confidence: float | None
    challenger_label: str | None
    challenger_confidence: float | None
    label_studio_id: TaskId | None
    """Id of the task; None if it has none any more."""
    project_id: ProjectId | None
    label_studio_url: str | None
    total: int
    """Number of all such items, also of those beyond the limit."""


@dataclass(frozen=True, slots=True)
class RunParts:
    """Numbers of answers that a run was trained and judged on."""

    taught: int
    held_out: int


@dataclass(frozen=True, slots=True)
class HeldOutReviewers:
    """The reviewers who gave the held-out answers of a run."""

    answered_by_several: int
    """Answers that several reviewers gave."""
    agreement: float | None
    """Mean agreement of those answers, 0 to 1."""
    people: int


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """Outputs that champion and challenger both labelled in shadow."""

    outputs: int
    answered: int
    """Those that people have answered since."""
    champion_right: int
    """Answered outputs that the champion labelled correctly."""
    challenger_right: int


def ids_beginning_with(conn: Conn, prefix: str, limit: int = 2) -> list[UUID]:
    """Return at most `limit` ids of runs that begin with `prefix`, which must not hold % or _."""
    rows = conn.execute(
        "select id from retrain_runs where id::text like %(prefix)s || '%%' limit %(limit)s",
        {"prefix": prefix, "limit": limit},
    )
    return [row["id"] for row in rows]


def decisions(conn: Conn, run_id: UUID) -> list[Decision]:
    """Return the decisions about a run, newest first."""
    cursor = rows_of(conn, Decision)
    cursor.execute("select decision, by, why, at from decisions where run_id = %(id)s order by id desc", {"id": run_id})
    return cursor.fetchall()


def judged_again_by(conn: Conn, run_id: UUID) -> UUID | None:
    """Return the newest run that judges the version of this run again; None if none does."""
    row = conn.execute(
        "select id from retrain_runs where judges = %(id)s order by requested_at desc limit 1", {"id": run_id}
    ).fetchone()
    return None if row is None else row["id"]


def disagreements(conn: Conn, run_id: UUID, limit: int) -> list[Disagreement]:
    """Return held-out items for which champion and challenger predict different labels.

    Items that only the champion labels correctly come first, then those that only the challenger does.
    """
    cursor = rows_of(conn, Disagreement)
    return cursor.execute(
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


def parts(conn: Conn, run_id: UUID) -> RunParts:
    """Count the answers that a run was trained and judged on."""
    cursor = rows_of(conn, RunParts)
    row = cursor.execute(
        """
        select count(*) filter (where part = 'train') as taught, count(*) filter (where part = 'holdout') as held_out
        from run_items where run_id = %(run_id)s
        """,
        {"run_id": run_id},
    ).fetchone()
    assert row is not None
    return row


def held_out_reviewers(conn: Conn, run_id: UUID) -> HeldOutReviewers:
    """Return who gave the held-out answers of a run, and how far they agree."""
    cursor = rows_of(conn, HeldOutReviewers)
    row = cursor.execute(
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
    return row


def shadow(conn: Conn, run_id: UUID) -> ShadowCounts:
    """Compare both versions of a run in shadow on the outputs answered so far."""
    cursor = rows_of(conn, ShadowCounts)
    row = cursor.execute(
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
    return row
