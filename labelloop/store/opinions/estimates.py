"""Statements about the tables quality_estimates and person_quality, and the answers that an estimate is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from psycopg.types.json import Jsonb

from labelloop.answers.dawid_skene import Accuracy, Floats, Quality
from labelloop.store.database import Conn


@dataclass(frozen=True, slots=True)
class Opinions:
    """The clear answers of people about one loop, one row each, in the order of the outputs."""

    outputs: Sequence[UUID]
    people: Sequence[UUID]
    """The reviewer, one row of reviewers for each login."""
    labels: Sequence[str]
    changes_upto: int
    """Newest row of feedback_changes that they are up to."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The estimate in force."""

    id: int
    quality: Quality[UUID]
    """By every row of reviewers of each person."""
    learner: dict[str, Any] | None
    weights: dict[UUID, float]
    """Weight of each person by crowdlab."""


@dataclass(frozen=True, slots=True)
class PersonRow:
    """The quality of one person in an estimate."""

    reviewer_id: UUID
    accuracy: Accuracy
    confusion: Floats
    weight: float | None = None


def opinions(conn: Conn, loop: str, labels: Sequence[str]) -> Opinions:
    """Return people's answers with one of these labels. A person with two rows of reviewers counts as one."""
    upto = _newest_change(conn, loop)
    rows = conn.execute(
        """
        select array_agg(model_output_id) as outputs, array_agg(person) as people, array_agg(label) as labels from (
            select f.model_output_id, f.label, f.reviewer_id, coalesce(
                (select min(s.id::text)::uuid from reviewers s where s.email = r.email), r.id) as person
            from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
            where o.loop = %(loop)s and f.label = any(%(labels)s)
            order by f.model_output_id, f.reviewer_id
        ) ordered
        """,
        {"loop": loop, "labels": list(labels)},
    ).fetchone()
    assert rows is not None
    return Opinions(rows["outputs"] or [], rows["people"] or [], rows["labels"] or [], upto)


def is_outdated(conn: Conn, loop: str, method: str, labels: Sequence[str]) -> bool:
    """Return whether the newest estimate is of another method or other labels, or older than a person's answer."""
    row = conn.execute(
        """
        select method = %(method)s and labels = %(labels)s::text[] and not exists (
            select from feedback_changes where loop = %(loop)s and reviewer_id is not null and seq > e.changes_upto
        ) as current
        from quality_estimates e where loop = %(loop)s order by id desc limit 1
        """,
        {"loop": loop, "method": method, "labels": list(labels)},
    ).fetchone()
    return row is None or not row["current"]


def save(
    conn: Conn,
    loop: str,
    method: str,
    labels: Sequence[str],
    of: Opinions,
    shares: Floats,
    newcomer: Floats,
    people: Sequence[PersonRow],
    learner: dict[str, Any] | None = None,
) -> int:
    """Store an estimate, which is in force from the commit on; return its id. Earlier ones that no answer rests on are
    deleted.
    """
    row = conn.execute(
        """
        insert into quality_estimates (loop, method, labels, shares, newcomer, answers, items, changes_upto, learner)
        values (%(loop)s, %(method)s, %(labels)s, %(shares)s, %(newcomer)s, %(answers)s, %(items)s, %(upto)s,
                %(learner)s)
        returning id
        """,
        {
            "loop": loop,
            "method": method,
            "labels": list(labels),
            "shares": shares.tolist(),
            "newcomer": newcomer.ravel().tolist(),
            "answers": len(of.outputs),
            "items": len(set(of.outputs)),
            "upto": of.changes_upto,
            "learner": None if learner is None else Jsonb(learner),
        },
    ).fetchone()
    assert row is not None
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into person_quality (estimate_id, reviewer_id, answers, shared, accuracy, low, high, confusion,
                                        weight)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    row["id"],
                    person.reviewer_id,
                    person.accuracy.answers,
                    person.accuracy.shared,
                    person.accuracy.value,
                    person.accuracy.low,
                    person.accuracy.high,
                    person.confusion.ravel().tolist(),
                    person.weight,
                )
                for person in people
            ],
        )
    conn.execute(
        """
        delete from quality_estimates e where loop = %(loop)s and id < %(id)s
        and not exists (select from answers where estimate_id = e.id)
        """,
        {"loop": loop, "id": row["id"]},
    )
    return int(row["id"])


def newest(conn: Conn, loop: str, labels: Sequence[str]) -> Stored | None:
    """Return the estimate in force; None before the first one, and if it is of other labels."""
    row = conn.execute(
        """
        select id, labels, shares, newcomer, learner from quality_estimates
        where loop = %(loop)s order by id desc limit 1
        """,
        {"loop": loop},
    ).fetchone()
    if row is None or row["labels"] != list(labels):
        return None
    k = len(labels)
    rows = conn.execute(
        """
        select s.id, q.confusion, q.weight from person_quality q join reviewers r on r.id = q.reviewer_id
        join reviewers s on s.id = r.id or s.email = r.email where q.estimate_id = %(id)s
        """,
        {"id": row["id"]},
    ).fetchall()
    matrices = {one["id"]: np.array(one["confusion"]).reshape(k, k) for one in rows}
    weights = {one["id"]: one["weight"] for one in rows if one["weight"] is not None}
    shares, newcomer = np.array(row["shares"]), np.array(row["newcomer"]).reshape(k, k)
    quality: Quality[UUID] = Quality(tuple(labels), shares, newcomer, matrices)
    return Stored(int(row["id"]), quality, row["learner"], weights)


def answers_of_newest(conn: Conn, loop: str) -> int:
    """Return the number of answers that the newest estimate is made of; 0 before the first one."""
    row = conn.execute(
        "select answers from quality_estimates where loop = %(loop)s order by id desc limit 1", {"loop": loop}
    ).fetchone()
    return 0 if row is None else int(row["answers"])


def _newest_change(conn: Conn, loop: str) -> int:
    row = conn.execute(
        "select coalesce(max(seq), 0) as upto from feedback_changes where loop = %(loop)s", {"loop": loop}
    ).fetchone()
    assert row is not None
    return int(row["upto"])
