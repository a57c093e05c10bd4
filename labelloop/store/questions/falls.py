"""Statements about falls of accuracy: how the champion's predictions were answered when it was judged, and since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.runs import RUN
from labelloop.versions.runs import RetrainRun

MOST_ANSWERS = 20_000
"""Largest number of answers that are read, the newest."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of people to an output that chance chose, and the champion's prediction for it."""

    output_id: UUID
    group_key: str
    received_at: datetime
    """Outputs of one request have the same time."""
    triggered: bool | None
    """Whether the trigger sends it to people; None if that was not stored when it came."""
    holdout: bool
    answer: str
    predicted: str | None
    """None if the champion predicted nothing."""


def judged_by(conn: Conn, loop: str, version_id: str | None) -> RetrainRun | None:
    """Return the run that judged this version before it became champion; None if there is none.

    For the pipeline's own outputs (`version_id` None), return the first run that was judged against them, so that later
    runs do not make what they were like today the standard.
    """
    return (
        rows_of(conn, RetrainRun)
        .execute(
            f"""
            select {RUN} from retrain_runs
            where loop = %(loop)s and scores is not null and feedback_upto is not null
            and case when %(version_id)s::text is null then champion_id is null and judges is null
                else version_id = %(version_id)s and champion_id is distinct from version_id end
            order by case when %(version_id)s::text is null then -feedback_upto else feedback_upto end desc,
                finished_at desc limit 1
            """,
            {"loop": loop, "version_id": version_id},
        )
        .fetchone()
    )


def newest_answer(conn: Conn, run: RetrainRun) -> int:
    """Return the seq of the newest answer that the run was judged on, or its cut: what came later is new."""
    row = conn.execute(
        "select max(answer_seq) as newest from run_items where run_id = %(id)s and part = 'holdout'", {"id": run.id}
    ).fetchone()
    assert row is not None
    return max(run.cut, row["newest"] or 0)


def versions_judged(conn: Conn, run: RetrainRun) -> int:
    """Count the versions that were judged against the same incumbent, up to the verdict of this run.

    Verdicts are in the order of the newest held-out answer that they used, because a clock can go back. The cut does
    not order them: a run that judges a version again has the cut of the run that made it.
    """
    row = conn.execute(
        """
        with verdicts as (
            select r.id, r.version_id, coalesce(
                (select max(answer_seq) from run_items where run_id = r.id and part = 'holdout'), r.feedback_upto
            ) as newest
            from retrain_runs r
            where r.loop = %(loop)s and r.scores is not null and r.champion_id is not distinct from %(champion_id)s
            and r.version_id is distinct from r.champion_id
        )
        select count(distinct version_id) as n from verdicts
        where newest <= (select newest from verdicts where id = %(id)s)
        """,
        {"id": run.id, "loop": run.loop, "champion_id": run.champion_id},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def answers_then(conn: Conn, run: RetrainRun, *, challenger: bool) -> list[Answered]:
    """Return the held-out answers of a run with the predictions of its challenger, or else of its incumbent."""
    return (
        rows_of(conn, Answered)
        .execute(
            """
            select o.id as output_id, o.group_key, o.received_at, o.triggered, o.holdout,
                i.label as answer,
                case when %(challenger)s then i.challenger_label else i.champion_label end as predicted
            from run_items i join outputs o on o.id = i.output_id
            where i.run_id = %(run_id)s and i.part = 'holdout' order by i.answer_seq
            """,
            {"run_id": run.id, "challenger": challenger},
        )
        .fetchall()
    )


def answers_since(conn: Conn, loop: str, champion: str | None, after: int) -> list[Answered]:
    """Return the answers to outputs of the lanes that chance fills which were first answered after the cut `after`.

    They are in the order of the first answer, each with its newest one. Outputs without a clear answer today are left
    out, and so are those that people answered in a project before labelloop chose them. `champion` is the short name of
    the version whose prelabels are compared with the answers; if it is None, the pipeline's own labels are.
    """
    rows = (
        rows_of(conn, Answered)
        .execute(
            f"""
            select output_id, group_key, received_at, triggered, holdout, answer, predicted from (
                select o.id as output_id, o.group_key, o.received_at, o.triggered, o.holdout,
                    min(a.seq) as first,
                    (array_agg(a.label order by a.seq desc))[1] as answer,
                    case when %(champion)s::text is null then o.label else t.label end as predicted
                from answers a join outputs o on o.id = a.output_id left join tasks t on t.output_id = o.id
                where a.loop = %(loop)s and a.seq > %(after)s and o.lane in ('holdout', 'audit', 'control')
                and not exists (select from adopted_tasks where output_id = o.id and chosen_by_people)
                and (%(champion)s::text is null or t.champion = %(champion)s)
                and not exists (select from answers e where e.output_id = o.id and e.seq <= %(after)s)
                group by o.id, t.output_id
            ) one
            where answer is not null order by first desc limit {MOST_ANSWERS}
            """,
            {"loop": loop, "champion": champion, "after": after},
        )
        .fetchall()
    )
    return rows[::-1]
