"""Statements of a run's report: what it was trained and judged on, and what people decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class PredictedItem:
    """A held-out item for which champion and challenger predict different texts."""

    output_id: UUID
    key: str
    label: str
    """The answer."""
    champion_label: str | None
    champion_confidence: float | None
    challenger_label: str | None
    challenger_confidence: float | None


@dataclass(frozen=True, slots=True)
class ShownItem:
    """The data of an item, with its task."""

    output_id: UUID
    data: Mapping[str, Any]
    label_studio_id: TaskId | None
    """Id of the task; None if it has none any more."""
    project_id: ProjectId | None
    label_studio_url: str | None


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
class ShadowItem:
    """An output that champion and challenger both predicted in shadow."""

    label: str | None
    """Its newest answer; None if it has none."""
    champion_label: str | None
    challenger_label: str | None


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


def predicted(conn: Conn, run_id: UUID) -> list[PredictedItem]:
    """Return the held-out items for which champion and challenger predict different texts, in the order of the keys."""
    cursor = rows_of(conn, PredictedItem)
    return cursor.execute(
        """
        select o.id as output_id, o.key, i.label, i.champion_label, i.champion_confidence, i.challenger_label,
            i.challenger_confidence
        from run_items i join outputs o on o.id = i.output_id
        where i.run_id = %(run_id)s and i.part = 'holdout' and i.champion_label is distinct from i.challenger_label
        order by o.key collate "C"
        """,
        {"run_id": run_id},
    ).fetchall()


def shown_items(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, ShownItem]:
    """Return the data and the task of each of these outputs."""
    rows = rows_of(conn, ShownItem).execute(
        """
        select o.id as output_id, o.data, t.label_studio_id, p.project_id, p.label_studio_url
        from outputs o left join tasks t on t.output_id = o.id
        left join projects p on p.loop = o.loop and p.instance = t.instance
        where o.id = any(%(ids)s)
        """,
        {"ids": list(output_ids)},
    )
    return {row.output_id: row for row in rows}


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


def shadow(conn: Conn, run_id: UUID) -> list[ShadowItem]:
    """Return the outputs that both versions of a run in shadow have predicted so far."""
    cursor = rows_of(conn, ShadowItem)
    return cursor.execute(
        """
        select a.label, s.champion_label, s.challenger_label
        from shadow_items s left join lateral (
            select label from answers where output_id = s.output_id order by seq desc limit 1
        ) a on true where s.run_id = %(run_id)s
        """,
        {"run_id": run_id},
    ).fetchall()
