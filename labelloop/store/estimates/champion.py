"""Statements about the champion's stored predictions: of held-out outputs, which never train a version.

A run stores the predictions of the held-out outputs that were answered by its cut. Those of the others are in their
task or in the pool, as they were when the output was last scored. The champion's predictions of other
outputs are incomplete, and answers to those may have trained it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines import label_changes
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.store.questions.error_rate import DOUBT, NEWEST, OPINIONS

PREDICTED = f"""
    select o.id, o.triggered, o.group_key, o.received_at, o.source, o.label as pipeline_label,
        coalesce(j.label, t.label, p.label) as label, case
            when j.label is not null then j.confidence when t.label is not null then t.confidence else p.confidence
        end as confidence
    from outputs o left join (
        select distinct on (output_id) output_id, label, confidence from (
            select i.output_id, r.finished_at,
                case when r.version_id = %(version)s then i.challenger_label else i.champion_label end as label,
                case when r.version_id = %(version)s then i.challenger_confidence else i.champion_confidence end
                    as confidence
            from retrain_runs r join run_items i on i.run_id = r.id
            where r.loop = %(loop)s and %(version)s in (r.version_id, r.champion_id) and i.part = 'holdout'
        ) runs where label is not null order by output_id, finished_at desc nulls last
    ) j on j.output_id = o.id
    left join tasks t on t.output_id = o.id and t.champion = left(%(version)s, 12)
    left join pool p on p.output_id = o.id and p.champion = left(%(version)s, 12)
    where o.loop = %(loop)s and o.lane = 'holdout' and o.triggered is not null and {NO_REPEAT}
        and coalesce(j.label, t.label, p.label) is not null
"""
"""The held-out outputs with a stored prediction of the version."""


@dataclass(frozen=True, slots=True)
class Held:
    """An answered, held-out output with the champion's prediction."""

    triggered: bool
    group_key: str
    received_at: datetime
    source: str | None
    predicted: str
    doubt: float
    """1 - the champion's confidence; UNKNOWN_DOUBT if it gave none."""
    answer: str | None
    """None if the reviewers agree on no label."""
    opinions: Sequence[str | None] | None
    """As in Answered."""


def answered(conn: Conn, loop: str, version: str) -> list[Held]:
    """Return the answered, held-out outputs of which a prediction of this version is stored."""
    former = label_changes.former(conn, loop)
    rows = (
        rows_of(conn, Held)
        .execute(
            f"""
            select o.triggered, o.group_key, o.received_at, o.source, o.label as predicted, {DOUBT} as doubt,
                a.label as answer, {OPINIONS}
            from ({PREDICTED}) o join ({NEWEST}) a on a.output_id = o.id where a.reviewers > 0
            """,
            {"loop": loop, "version": version},
        )
        .fetchall()
    )
    # A run's predictions are in the labels of its time, and the answers in those of today.
    named = {label: one.to[0] for label, one in former.items() if len(one.to) == 1 and not one.ask}
    return [replace(row, predicted=named.get(row.predicted, row.predicted)) for row in rows]


def strata(conn: Conn, loop: str) -> dict[bool, int]:
    """Count all outputs of the loop by stratum, without repeats and gold."""
    rows = conn.execute(
        f"""
        select triggered, count(*) as n from outputs o
        where loop = %(loop)s and triggered is not null and {NO_REPEAT} group by 1
        """,
        {"loop": loop},
    ).fetchall()
    return {row["triggered"]: row["n"] for row in rows}
