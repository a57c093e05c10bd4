"""Statements about the table promise_tests: each is the test of one model's confidences against people's answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, columns, rows_of


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


_TEST = columns(PromiseTest)


def basis(spec: LoopSpec) -> bytes:
    """Return the hash of what a test depends on: the promise, the trigger, the form, and when two answers are equal."""
    parts = [
        # Whether versions are trained on what passed changes nothing about the promise.
        None if spec.accept is None else spec.accept.model_dump(mode="json", exclude={"teach"}),
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


def open_(conn: Conn, loop: str, of: Labeller, basis: bytes) -> PromiseTest | None:
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


def begin(
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


def close(conn: Conn, test_id: UUID, why: str) -> None:
    """Let the answers of this test count no more: a new one takes only outputs that come from now on."""
    conn.execute(
        """
        update promise_tests set closed_at = clock_timestamp(), closed_because = %(why)s
        where id = %(id)s and closed_at is null
        """,
        {"id": test_id, "why": why},
    )


def close_all(conn: Conn, loop: str, of: Labeller, before: datetime, why: str) -> None:
    """Close each open test of this model, under any basis, that counts answers to outputs that came before a time."""
    conn.execute(
        """
        update promise_tests set closed_at = clock_timestamp(), closed_because = %(why)s
        where loop = %(loop)s and labeller = %(kind)s and version = %(version)s
        and closed_at is null and (since is null or since < %(before)s)
        """,
        {"loop": loop, "kind": of.kind, "version": of.version, "before": before, "why": why},
    )


def next_number(conn: Conn, loop: str, of: Labeller) -> int:
    """Return the place in the loop's life of a test that begins now, at least 1.

    Each version that a gate judged on the held-out answers takes a place, promoted or not. The champion is the one that
    looked best on the same answers, so all of them share one chance of error.
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
