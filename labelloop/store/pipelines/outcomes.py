"""Statements about the table outcomes: how the hold of a pipeline on an output ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.store.database import Conn, columns, rows_of


class Kind(StrEnum):
    """The way in which a hold ended."""

    ANSWER = "answer"
    """People agreed on a label."""
    PASSED = "passed"
    """No person is asked: the pipeline's own label holds."""
    ACCEPTED = "accepted"
    """No person is asked: a certificate promises that few labels such as this one are incorrect."""
    FALLBACK = "fallback"
    UNDECIDED = "undecided"
    """The pipeline declared no fallback."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a hold; it never changes."""

    output_id: UUID
    outcome: Kind
    value: Any
    """A label, or the declared fallback (any JSON). None if undecided, and for a label or a fallback that is null."""
    decided_at: datetime
    deadline_at: datetime | None


def lock(conn: Conn, loop: str, key: str) -> None:
    """Lock the output of this key until the transaction ends, so that nobody changes its state meanwhile."""
    conn.execute("select from outputs where loop = %(loop)s and key = %(key)s for share", {"loop": loop, "key": key})


def record(
    conn: Conn, output_id: UUID, kind: Kind, value: object, deadline_at: datetime | None
) -> tuple[Outcome, bool]:
    """Store the outcome unless the output has one. Returns the outcome that holds, and whether it is this one."""
    row = (
        rows_of(conn, Outcome)
        .execute(
            f"""
            insert into outcomes (output_id, outcome, value, deadline_at)
            values (%(id)s, %(outcome)s, %(value)s, %(deadline_at)s) on conflict (output_id) do nothing
            returning {columns(Outcome)}
            """,
            {
                "id": output_id,
                "outcome": kind,
                "value": None if kind == Kind.UNDECIDED else Jsonb(value),
                "deadline_at": deadline_at,
            },
        )
        .fetchone()
    )
    return (of_outputs(conn, [output_id])[output_id], False) if row is None else (row, True)


def of_outputs(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, Outcome]:
    """Return the outcomes of these outputs; outputs without one are left out."""
    rows = rows_of(conn, Outcome).execute(
        f"select {columns(Outcome)} from outcomes where output_id = any(%(ids)s)",
        {"ids": list(output_ids)},
    )
    return {row.output_id: row for row in rows}
