"""Statements about the table certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.errors import UsageError
from labelloop.store.database import Conn, columns, rows_of
from labelloop.store.promises.trials import Labeller, PromiseTest

CHANGED = "the promise, the trigger or the form in loop.yaml was changed"
"""Reason of the end of a certificate that another basis has overtaken."""


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
    succeeded: bool
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


_CERTIFICATE = columns(Certificate)


def in_force(conn: Conn, loop: str, *, hold: bool = True) -> Certificate | None:
    """Return the certificate in force; None if there is none.

    `hold`: whether to keep it in force until the transaction ends. Two transactions that hold it would wait for each
    other if both ended it.
    """
    cursor = rows_of(conn, Certificate)
    lock = "for share" if hold else ""
    return cursor.execute(
        f"select {_CERTIFICATE} from certificates where loop = %(loop)s and ended_at is null {lock}", {"loop": loop}
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


def end(conn: Conn, certificate_id: UUID, why: str, *, replaced: bool = False, succeeded: bool = False) -> bool:
    """End the certificate; False if it has ended already.

    `replaced`: another one of the same model takes its place. `succeeded`: labels are from another model now, and what
    it let pass keeps its promise.
    """
    done = conn.execute(
        """
        update certificates set ended_at = clock_timestamp(), ended_because = %(why)s, replaced = %(replaced)s,
            succeeded = %(succeeded)s
        where id = %(id)s and ended_at is null
        """,
        {"id": certificate_id, "why": why, "replaced": replaced, "succeeded": succeeded},
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


def on_answers_of(conn: Conn, one: Certificate) -> list[Certificate]:
    """Return the later certificates of the same model that rest on answers of this one and are not revoked, by age.

    A test that counts only outputs that came after this certificate was made shares no answer with it.
    """
    return (
        rows_of(conn, Certificate)
        .execute(
            f"""
            select {_CERTIFICATE} from certificates
            where loop = %(loop)s and labeller = %(labeller)s and version = %(version)s
            and id <> %(id)s and made_at >= %(made)s and revoked_at is null
            and test_id in (select id from promise_tests where since is null or since < %(made)s)
            order by made_at, id
            """,
            {
                "loop": one.loop,
                "labeller": one.labeller,
                "version": one.version,
                "id": one.id,
                "made": one.made_at,
            },
        )
        .fetchall()
    )


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
