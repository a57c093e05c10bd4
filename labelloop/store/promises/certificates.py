"""Statements about the tables promise_tests and certificates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.errors import UsageError
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, columns, rows_of

CHANGED = "the promise, the trigger or the form in loop.yaml was changed"
"""Reason of the end of a certificate that another basis has overtaken."""
ALL = "*"
"""The key of a threshold that holds for every label."""


@dataclass(frozen=True, slots=True)
class Labeller:
    """The model whose labels are shown, and so may pass unseen."""

    kind: Literal["pipeline", "champion"]
    version: str
    """The model_version of the pipeline's outputs, or the id of the champion."""

    @property
    def words(self) -> str:
        """Return the name that people read."""
        if self.kind == "pipeline":
            return f"model version {self.version!r} of the pipeline"
        return f"champion {self.version[:12]}"


@dataclass(frozen=True, slots=True)
class PromiseTest:
    """The test of one model's confidences; its thresholds were fixed before a look at any answer."""

    id: UUID
    loop: str
    labeller: Literal["pipeline", "champion"]
    version: str
    basis: bytes
    number: int
    thresholds: Mapping[str, Sequence[float]]
    """By label, or by ALL: the confidences that are tested one after another, falling."""
    since: datetime | None
    """Only outputs that came after this time count; None for all."""
    begun_at: datetime
    closed_at: datetime | None
    closed_because: str | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The promise about what passes unseen."""

    id: UUID
    test_id: UUID
    loop: str
    labeller: Literal["pipeline", "champion"]
    version: str
    basis: bytes
    error: float
    confidence: float
    thresholds: Mapping[str, float]
    """By label, or by ALL: the smallest confidence with which an output passes unseen."""
    answers: int
    made_at: datetime
    ended_at: datetime | None
    ended_because: str | None
    replaced: bool
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_because: str | None

    @property
    def of(self) -> Labeller:
        """Return the model that it is about."""
        return Labeller(self.labeller, self.version)


@dataclass(frozen=True, slots=True)
class Counted:
    """A certificate's id, and how many outputs it let pass."""

    certificate_id: UUID
    accepted: int
    revoked: int
    """Those of them that went back to people."""
    corrected: int
    """Those of them that people answered later with another label."""


_TEST, _CERTIFICATE = columns(PromiseTest), columns(Certificate)


def basis(spec: LoopSpec) -> bytes:
    """Return the hash of what a test depends on: the promise, the trigger, the form, and when two answers are equal."""
    parts = [
        None if spec.accept is None else spec.accept.model_dump(mode="json"),
        spec.trigger,
        spec.labels_xml,
        list(spec.labels),
        list(spec.answer),
        spec.tolerance,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def asks_the_same(one: LoopSpec, other: LoopSpec) -> bool:
    """Whether people's answers and the trigger's decisions under both specs are of one kind, whatever they promise."""
    return basis(one.model_copy(update={"accept": None})) == basis(other.model_copy(update={"accept": None}))


def in_force(conn: Conn, loop: str) -> Certificate | None:
    """Return the certificate in force, which then cannot end before the transaction does; None if there is none."""
    cursor = rows_of(conn, Certificate)
    return cursor.execute(
        f"select {_CERTIFICATE} from certificates where loop = %(loop)s and ended_at is null for share", {"loop": loop}
    ).fetchone()


def list_(conn: Conn, loop: str, most: int = 1000) -> list[Certificate]:
    """Return the newest certificates of the loop, newest first."""
    cursor = rows_of(conn, Certificate)
    return cursor.execute(
        f"""
        select {_CERTIFICATE} from certificates where loop = %(loop)s
        order by made_at desc, id limit %(most)s
        """,
        {"loop": loop, "most": most},
    ).fetchall()


def find(conn: Conn, loop: str, beginning: str) -> Certificate:
    """Return the certificate of the loop whose id begins so. Raises UsageError if there is none, or more than one."""
    known = list_(conn, loop)
    found = [one for one in known if beginning and str(one.id).startswith(beginning.lower())]
    if len(found) != 1:
        there = ", ".join(str(one.id)[:8] for one in known[:10]) or "none"
        many = "no" if not found else "more than one"
        raise UsageError(f"{beginning!r} names {many} certificate of loop {loop!r}; there are: {there}")
    return found[0]


def make(
    conn: Conn, test: PromiseTest, error: float, confidence: float, thresholds: Mapping[str, float], answers: int
) -> Certificate:
    """Store a certificate, which is in force at once. The caller has ended the one before it."""
    row = (
        rows_of(conn, Certificate)
        .execute(
            f"""
            insert into certificates
                (test_id, loop, labeller, version, basis, error, confidence, thresholds, answers, made_at)
            values (%(test)s, %(loop)s, %(labeller)s, %(version)s, %(basis)s, %(error)s, %(confidence)s,
                %(thresholds)s, %(answers)s, clock_timestamp())
            returning {_CERTIFICATE}
            """,
            {
                "test": test.id,
                "loop": test.loop,
                "labeller": test.labeller,
                "version": test.version,
                "basis": test.basis,
                "error": error,
                "confidence": confidence,
                "thresholds": Jsonb(dict(thresholds)),
                "answers": answers,
            },
        )
        .fetchone()
    )
    assert row is not None
    return row


def seen(conn: Conn, certificate_id: UUID, answers: int) -> None:
    """Store that a later look confirmed the certificate."""
    conn.execute(
        "update certificates set answers = %(n)s where id = %(id)s and answers < %(n)s",
        {"id": certificate_id, "n": answers},
    )


def end(conn: Conn, certificate_id: UUID, why: str, *, replaced: bool = False) -> bool:
    """End the certificate; False if it has ended already. `replaced`: another one of the same model takes its place."""
    done = conn.execute(
        """
        update certificates set ended_at = clock_timestamp(), ended_because = %(why)s, replaced = %(replaced)s
        where id = %(id)s and ended_at is null
        """,
        {"id": certificate_id, "why": why, "replaced": replaced},
    )
    return done.rowcount == 1


def revoke(conn: Conn, certificate_id: UUID, by: str, why: str) -> bool:
    """Record that a person revoked the certificate, and end it; False if it was revoked before."""
    done = conn.execute(
        """
        update certificates set revoked_at = clock_timestamp(), revoked_by = %(by)s, revoked_because = %(why)s,
            ended_at = coalesce(ended_at, clock_timestamp()),
            ended_because = coalesce(ended_because, 'revoked: ' || %(why)s)
        where id = %(id)s and revoked_at is null
        """,
        {"id": certificate_id, "by": by, "why": why},
    )
    return done.rowcount == 1


def open_test(conn: Conn, loop: str, of: Labeller, basis: bytes) -> PromiseTest | None:
    """Return the test of this model under this basis whose answers still count; None if there is none yet."""
    cursor = rows_of(conn, PromiseTest)
    return cursor.execute(
        f"""
        select {_TEST} from promise_tests where loop = %(loop)s and labeller = %(kind)s and version = %(version)s
        and basis = %(basis)s and closed_at is null
        """,
        {"loop": loop, "kind": of.kind, "version": of.version, "basis": basis},
    ).fetchone()


def last_closed(conn: Conn, loop: str, of: Labeller) -> PromiseTest | None:
    """Return the test of this model that was closed last, under any basis; None if none was."""
    cursor = rows_of(conn, PromiseTest)
    return cursor.execute(
        f"""
        select {_TEST} from promise_tests where loop = %(loop)s and labeller = %(kind)s and version = %(version)s
        and closed_at is not null order by closed_at desc limit 1
        """,
        {"loop": loop, "kind": of.kind, "version": of.version},
    ).fetchone()


def begin_test(
    conn: Conn,
    loop: str,
    of: Labeller,
    basis: bytes,
    number: int,
    thresholds: Mapping[str, Sequence[float]],
    since: datetime | None,
) -> PromiseTest:
    """Store a test with its thresholds."""
    row = (
        rows_of(conn, PromiseTest)
        .execute(
            f"""
            insert into promise_tests (loop, labeller, version, basis, number, thresholds, since)
            values (%(loop)s, %(kind)s, %(version)s, %(basis)s, %(number)s, %(thresholds)s, %(since)s)
            returning {_TEST}
            """,
            {
                "loop": loop,
                "kind": of.kind,
                "version": of.version,
                "basis": basis,
                "number": number,
                "thresholds": Jsonb({label: list(row) for label, row in thresholds.items()}),
                "since": since,
            },
        )
        .fetchone()
    )
    assert row is not None
    return row


def close_test(conn: Conn, test_id: UUID, why: str) -> None:
    """Let the answers of this test count no more: a new one takes only outputs that come from now on."""
    conn.execute(
        """
        update promise_tests set closed_at = clock_timestamp(), closed_because = %(why)s
        where id = %(id)s and closed_at is null
        """,
        {"id": test_id, "why": why},
    )


def next_number(conn: Conn, loop: str, of: Labeller) -> int:
    """Return the place in the loop's life of a test that begins now, at least 1.

    Each version that a gate judged on the held-out answers takes a place, promoted or not: the champion is the one that
    looked best on the same answers, and all of them share one chance of error.
    """
    row = conn.execute(
        """
        select greatest(
            (select coalesce(max(number), 0) + 1 from promise_tests where loop = %(loop)s),
            (select count(distinct version_id) from retrain_runs where loop = %(loop)s and scores is not null)
            + (select count(*) from promise_tests where loop = %(loop)s and labeller = 'pipeline')
            + (case when %(kind)s = 'pipeline' then 1 else 0 end)
        ) as number
        """,
        {"loop": loop, "kind": of.kind},
    ).fetchone()
    assert row is not None
    return max(1, int(row["number"]))


def counts(conn: Conn, loop: str) -> dict[UUID, Counted]:
    """Count what each certificate of the loop let pass; certificates that let nothing pass are left out."""
    rows = rows_of(conn, Counted).execute(
        """
        select x.certificate_id, count(*) as accepted, count(x.revoked_at) as revoked,
            count(*) filter (where a.label is distinct from x.label and a.reviewers > 0) as corrected
        from accepted x left join lateral (
            select label, reviewers from answers where output_id = x.output_id order by seq desc limit 1
        ) a on true
        where x.loop = %(loop)s group by 1
        """,
        {"loop": loop},
    )
    return {row.certificate_id: row for row in rows}


def as_json(one: Certificate) -> dict[str, Any]:
    """Return the certificate as people and programs read it."""
    names = (
        "id labeller version error confidence thresholds answers made_at ended_at ended_because replaced revoked_at "
        "revoked_by revoked_because"
    )
    return {name: getattr(one, name) for name in names.split()}
