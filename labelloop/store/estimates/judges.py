"""Statements about a judge: its verdicts beside people's blind answers, and its outputs.

Outputs without a label and repeats are left out everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.people.decisions import RESTS_ON_DISTRUSTED
from labelloop.store.pipelines.blind_tasks import BLIND
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.store.questions.error_rate import NEWEST

_DRAWN = "(o.lane in ('holdout', 'control', 'audit') and o.triggered is not null)"
_FIRST = """
    select output_id, min(seq) as seq from answers where loop = %(loop)s and label is not null group by output_id
"""
"""An output is evidence from its first label on; an earlier tie does not count."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to an output that chance chose, with the judge's verdict and people's blind answer."""

    output_id: UUID
    model_version: str
    form_sha256: bytes
    triggered: bool
    group_key: str
    judge: bool
    """Whether the judge's label is the positive one."""
    people: bool | None
    """Whether people's label is the positive one; None if they agree on none any more."""
    resolved_at: datetime


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Answered outputs that are no evidence, each counted once, by the first reason that applies."""

    gold: int
    ranked: int
    """Chance did not choose them."""
    unclear: int
    """Their reviewers agree on no label."""
    not_blind: int
    """People saw a prelabel, or answered outside of Label Studio."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The outputs of one version of a judge and one stratum."""

    model_version: str
    triggered: bool
    n: int
    positive: int
    newest: datetime


def answered(conn: Conn, loop: str, positive: str) -> list[Answered]:
    """Return the evidence: all blind answers that chance chose, in their order. A later one replaces the output's."""
    return (
        rows_of(conn, Answered)
        .execute(
            f"""
            select o.id as output_id, o.model_version, d.form_sha256, o.triggered, o.group_key,
                o.label = %(positive)s as judge, case when a.reviewers > 0 then a.label = %(positive)s end as people,
                a.resolved_at
            from outputs o join blind_tasks d on d.output_id = o.id join ({_FIRST}) first on first.output_id = o.id
                join answers a on a.output_id = o.id and a.seq >= first.seq
            where o.loop = %(loop)s and o.label is not null and {NO_REPEAT} and {_DRAWN} and {BLIND}
            and not ({RESTS_ON_DISTRUSTED})
            order by a.seq
            """,
            {"loop": loop, "positive": positive},
        )
        .fetchall()
    )


def left_out(conn: Conn, loop: str) -> LeftOut:
    """Count the answered outputs that are no evidence."""
    row = (
        rows_of(conn, LeftOut)
        .execute(
            f"""
            select count(*) filter (where gold) as gold, count(*) filter (where not gold and not drawn) as ranked,
                count(*) filter (where drawn and unclear) as unclear,
                count(*) filter (where drawn and not unclear and not blind) as not_blind
            from (
                select o.lane = 'gold' as gold, coalesce({_DRAWN}, false) as drawn, a.label is null as unclear,
                    {BLIND} as blind
                from outputs o join ({NEWEST}) a on a.output_id = o.id
                where o.loop = %(loop)s and o.label is not null and {NO_REPEAT} and a.reviewers > 0
            ) answered
            """,
            {"loop": loop},
        )
        .fetchone()
    )
    assert row is not None
    return row


def verdicts(conn: Conn, loop: str, positive: str) -> list[Verdicts]:
    """Count the outputs by version of the judge and stratum, the version of the newest output first; no gold."""
    return (
        rows_of(conn, Verdicts)
        .execute(
            f"""
            select model_version, triggered, count(*) as n, count(*) filter (where label = %(positive)s) as positive,
                max(received_at) as newest
            from outputs o where loop = %(loop)s and label is not null and triggered is not null and {NO_REPEAT}
            group by 1, 2 order by max(max(received_at)) over (partition by model_version) desc, 1, 2
            """,
            {"loop": loop, "positive": positive},
        )
        .fetchall()
    )


def waiting(conn: Conn, loop: str, model_version: str) -> int:
    """Count the outputs of this version that chance chose and that have no answer yet."""
    row: dict[str, Any] | None = conn.execute(
        f"""
        select count(*) as n from outputs o where loop = %(loop)s and model_version = %(version)s
            and label is not null and {_DRAWN} and {NO_REPEAT} and state in ('waiting', 'pushing', 'in_review')
        """,
        {"loop": loop, "version": model_version},
    ).fetchone()
    assert row is not None
    return int(row["n"])
