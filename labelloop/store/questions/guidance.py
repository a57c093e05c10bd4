"""Statements for what annotators read about a loop: answered texts as examples of labels, and what answers brought."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from labelloop.store.database import Conn, rows_of
from labelloop.store.questions.versions import newest_judging_run
from labelloop.store.tables.versions import champion

_SPARE = 3
"""Number of candidates for each wanted example, because some are left out."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    label: str
    text: str
    group_key: str


def of_labels(conn: Conn, loop: str, field: str, n: int) -> dict[str, list[str]]:
    """Return up to `n` texts of `field` for each answer of the loop, those with a known answer and the oldest first.

    All people agree on an example, and nobody is asked about it any more. An output with a known answer counts if the
    people's answer is the known one. Texts of the hold-out set are never examples: neither those items, nor others of
    their groups, nor others with the same text. The same holds for texts that people are still asked about.
    """
    candidates = rows_of(conn, _Candidate).execute(
        """
        with newest as (
            select distinct on (output_id) output_id, label, agreement, seq
            from answers where loop = %(loop)s order by output_id, seq desc
        ), ranked as (
            select a.label, o.data ->> %(field)s as text, o.group_key, row_number() over (
                partition by a.label order by o.gold is null, o.received_at, o.key
            ) as place
            from newest a join outputs o on o.id = a.output_id
            where a.label is not null and coalesce(a.agreement, 1) = 1 and o.state = 'answered' and not o.holdout
            and (o.gold is null or o.gold = a.label) and jsonb_typeof(o.data -> %(field)s) = 'string'
            and trim(o.data ->> %(field)s) <> ''
        )
        select label, text, group_key from ranked where place <= %(most)s order by label, place
        """,
        {"loop": loop, "field": field, "most": n * _SPARE},
    )
    found = candidates.fetchall()
    hidden = _hidden(conn, loop, field, found)
    texts = defaultdict[str, list[str]](list)
    for one in found:
        if one.group_key in hidden or one.text in hidden or one.text in texts[one.label] or len(texts[one.label]) == n:
            continue
        texts[one.label].append(one.text)
    return {label: some for label, some in texts.items() if some}


def _hidden(conn: Conn, loop: str, field: str, candidates: list[_Candidate]) -> set[str]:
    """Return the groups and texts of the candidates that the hold-out set, or an unanswered output, has too."""
    if not candidates:
        return set()
    rows = conn.execute(
        """
        select case when holdout then group_key end as group_key, data ->> %(field)s as text from outputs
        where loop = %(loop)s and (holdout or state in ('waiting', 'pushing', 'in_review'))
        and ((holdout and group_key = any(%(groups)s)) or data ->> %(field)s = any(%(texts)s))
        """,
        {
            "loop": loop,
            "field": field,
            "groups": list({one.group_key for one in candidates}),
            "texts": list({one.text for one in candidates}),
        },
    )
    return {value for row in rows for value in (row["group_key"], row["text"]) if value is not None}


@dataclass(frozen=True, slots=True)
class Measured:
    """The accuracy (0 to 1) of the model in force, as a run measured it on held-out answers."""

    accuracy: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """The work of people in a loop, and the accuracy of its models meanwhile."""

    answers: int
    """Answers that people gave, the readable ones."""
    measured: tuple[Measured, ...]
    """The model in force at each run that judged one, the oldest first; the last one is that of now."""

    def since(self, at: datetime | None) -> tuple[float, float] | None:
        """Return the accuracy at this time and the accuracy of now; None if they are not two measurements.

        The first is the last measurement before `at`, or the earliest one. None for `at` means the beginning.
        """
        if len(self.measured) < 2:
            return None
        before = [one for one in self.measured[:-1] if at is not None and one.at <= at]
        return (before[-1] if before else self.measured[0]).accuracy, self.measured[-1].accuracy


def progress(conn: Conn, loop: str) -> Progress:
    """Return the number of the loop's answers and the measurements of its models in force."""
    counted = conn.execute(
        "select count(*) as n from feedback f join outputs o on o.id = f.model_output_id where o.loop = %(loop)s",
        {"loop": loop},
    ).fetchone()
    assert counted is not None
    rows = conn.execute(
        """
        select (scores #>> '{champion,accuracy}')::float8 as accuracy, finished_at as at from retrain_runs
        where loop = %(loop)s and scores #>> '{champion,accuracy}' is not null and finished_at is not null
        order by finished_at
        """,
        {"loop": loop},
    ).fetchall()
    measured = [Measured(**row) for row in rows]
    serving = champion(conn, loop)
    run = None if serving is None else newest_judging_run(conn, loop, serving.id)
    if serving is not None and run is not None and run.version_id == serving.id and run.finished_at is not None:
        now = (run.scores.get("challenger") or {}).get("accuracy")
        if now is not None:
            measured = [*(one for one in measured if one.at <= run.finished_at), Measured(now, run.finished_at)]
    return Progress(counted["n"], tuple(measured))


def first_answers(conn: Conn, loop: str) -> dict[int, datetime]:
    """Return when each person gave the first answer to the loop, by the id of the person's user in Label Studio."""
    rows = conn.execute(
        """
        select r.label_studio_user_id as user_id, min(f.created_at) as at
        from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
        where o.loop = %(loop)s and r.label_studio_user_id is not null group by 1
        """,
        {"loop": loop},
    )
    return {row["user_id"]: row["at"] for row in rows}
