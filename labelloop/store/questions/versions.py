"""Statements of a version's report: its newest evaluation, its runs, and a comparison with another version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.runs import RUN
from labelloop.store.tables.versions import PROMOTION
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import Promotion


@dataclass(frozen=True, slots=True)
class JudgingRun:
    """A run that judged a version, with its evaluation."""

    id: UUID
    version_id: str | None
    champion_id: str | None
    scores: Mapping[str, Any]
    """The evaluation."""
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class AnswerInCommon:
    """A held-out output that two versions were both judged on."""

    key: str
    one: str | None
    """Label that the first version predicted."""
    other: str | None
    """Label that the second version predicted."""
    label: str
    """The newest answer that a run was judged by."""


class Prediction(NamedTuple):
    """The label that a version predicted for a held-out output."""

    version: str
    output_id: UUID
    label: str
    """The newest answer by which the version was judged."""
    predicted: str | None


# What both models of each verdict predicted. The caller adds a condition and closes the bracket.
_PREDICTED = """
    predicted as (
        select v.version, i.output_id, i.answer_seq, i.label, v.label as predicted
        from retrain_runs r join run_items i on i.run_id = r.id and i.part = 'holdout'
        cross join lateral (
            values (r.champion_id, i.champion_label), (r.version_id, i.challenger_label)
        ) as v (version, label)
        where r.loop = %(loop)s and r.scores is not null
"""


def newest_judging_run(conn: Conn, loop: str, version_id: str | None) -> JudgingRun | None:
    """Return the newest run with an evaluation of this version, as champion or as challenger; None if there is none.

    `version_id` is None for the pipeline's own outputs.
    """
    cursor = rows_of(conn, JudgingRun)
    return cursor.execute(
        """
        select id, version_id, champion_id, scores, finished_at from retrain_runs
        where loop = %(loop)s and scores is not null
            and (version_id = %(version)s or champion_id is not distinct from %(version)s)
        order by finished_at desc limit 1
        """,
        {"loop": loop, "version": version_id},
    ).fetchone()


def runs_of(conn: Conn, version_id: str) -> list[RetrainRun]:
    """Return the runs that made or judged a version, newest first, at most 50."""
    cursor = rows_of(conn, RetrainRun)
    return cursor.execute(
        f"""
        select {RUN} from retrain_runs where version_id = %(id)s or champion_id = %(id)s
        order by requested_at desc, id limit 50
        """,
        {"id": version_id},
    ).fetchall()


def promotions_of(conn: Conn, version_id: str) -> list[Promotion]:
    """Return the changes of champion to or from a version, newest first."""
    cursor = rows_of(conn, Promotion)
    return cursor.execute(
        f"select {PROMOTION} from promotions where version_id = %(id)s or previous_id = %(id)s order by epoch desc",
        {"id": version_id},
    ).fetchall()


def answers_in_common(conn: Conn, loop: str, one: str | None, other: str | None) -> list[AnswerInCommon]:
    """Return the held-out outputs that two versions were both judged on, in the order of the keys.

    None stands for the pipeline's own outputs. Neither a version nor an output's data ever changes, so it does not
    matter which run asked a version for its label.
    """
    cursor = rows_of(conn, AnswerInCommon)
    return cursor.execute(
        f"""
        with {_PREDICTED} and r.version_id is not null
        ), one as (
            select distinct on (output_id) * from predicted where version is not distinct from %(one)s
            order by output_id, answer_seq desc
        ), other as (
            select distinct on (output_id) * from predicted where version is not distinct from %(other)s
            order by output_id, answer_seq desc
        )
        select o.key, one.predicted as one, other.predicted as other,
            case when one.answer_seq >= other.answer_seq then one.label else other.label end as label
        from one join other using (output_id) join outputs o on o.id = output_id order by o.key collate "C"
        """,
        {"loop": loop, "one": one, "other": other},
    ).fetchall()


def held_out_predictions(conn: Conn, loop: str, versions: Sequence[str], most: int) -> list[Prediction]:
    """Return what these versions predicted for held-out outputs, each version and output once.

    Runs judged a version as challenger or as champion; both count. If there are more
    than `most` outputs, some are drawn, always the same ones.
    """
    cursor = rows_of(conn, Prediction)
    return cursor.execute(
        f"""
        with {_PREDICTED} and v.version = any(%(versions)s)
        ), drawn as (
            select output_id from predicted group by 1 order by md5(output_id::text) limit %(most)s
        )
        select distinct on (version, output_id) version, output_id, label, predicted
        from predicted join drawn using (output_id) order by version, output_id, answer_seq desc
        """,
        {"loop": loop, "versions": list(versions), "most": most},
    ).fetchall()


class Waiting(NamedTuple):
    """Doubt of the newest version about the waiting outputs."""

    outputs: int
    """Outputs that it has ranked."""
    uncertainty: float | None
    """Mean utility, 0 to 1; None if it ranked nothing that waits."""
    waiting: int
    """All waiting outputs of the lane rule."""


def uncertainty_of_waiting(conn: Conn, loop: str, ranker: str | None) -> Waiting:
    """Return the mean utility of the waiting outputs of the lane rule, as far as this ranker gave it.

    `ranker` is a version by its first 12 digits; None if no version has been trained.
    """
    cursor = rows_of(conn, Waiting)
    row = cursor.execute(
        """
        select count(*) filter (where ranker = %(ranker)s) as outputs,
            avg(utility) filter (where ranker = %(ranker)s) as uncertainty, count(*) as waiting
        from pool where loop = %(loop)s and lane = 'rule'
        """,
        {"loop": loop, "ranker": ranker},
    ).fetchone()
    assert row is not None
    return row
