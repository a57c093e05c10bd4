"""Stored outputs as they were routed, one after the other: what a changed rule is tried on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import kwargs_row

from labelloop.outputs.output import Output
from labelloop.store.database import Conn, columns

AT_ONCE = 1000
"""Rows that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A stored output and the lane that it was given."""

    id: UUID
    key: str
    group_key: str
    data: Mapping[str, Any]
    probabilities: Mapping[str, float] | None
    result: list[dict[str, Any]] | None
    label: str | None
    confidence: float | None
    model_version: str
    evidence: Mapping[str, Any] | None
    gold: str | None
    source: str | None
    trace: str | None
    step: str | None
    meta: Mapping[str, Any] | None
    received_at: datetime
    lane: str
    triggered: bool | None
    width: int
    """Length of its embedding; 0 without one."""
    repeats: bool
    """Whether it has the answer of an earlier output with the same content."""
    accepted: bool
    """Whether it passed unseen by a certificate, and nobody has answered it or sent it back to people."""

    def output(self) -> Output:
        """Return the output as it was submitted, as far as a rule can read it: without its embedding and its time."""
        stands = self.probabilities is None
        return Output(
            key=self.key,
            data=self.data,
            probabilities=self.probabilities,
            model_version=self.model_version,
            label=self.label if stands and self.result is None else None,
            confidence=self.confidence if stands and self.result is None else None,
            result=self.result,
            score=self.confidence if stands and self.result is not None else None,
            group=self.group_key,
            evidence=self.evidence,
            gold=self.gold,
            source=self.source,
            trace=self.trace,
            step=self.step,
            meta=self.meta,
        )


_COLUMNS = (
    columns(Routed).removesuffix("width, repeats, accepted")
    + """coalesce(array_length(embedding, 1), 0) as width,
    exists (select from repeats r where r.output_id = outputs.id) as repeats,
    state = 'accepted' as accepted"""
)


def one(conn: Conn, output_id: UUID) -> Routed:
    """Return this output, which the caller has locked."""
    cursor = conn.cursor(row_factory=kwargs_row(Routed))
    found = cursor.execute(f"select {_COLUMNS} from outputs where id = %(id)s", {"id": output_id}).fetchone()
    assert found is not None
    return found


def routed(conn: Conn, loop: str, since: datetime | None = None, *, in_order: bool = False) -> Iterator[Routed]:
    """Yield the loop's outputs that came since then: the earliest first, or in no order, which is faster.

    At most AT_ONCE of them are in memory.
    """
    with conn.cursor(name="routed", row_factory=kwargs_row(Routed)) as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(
            f"""
            select {_COLUMNS} from outputs
            where loop = %(loop)s and received_at >= coalesce(%(since)s::timestamptz, '-infinity')
            {"order by received_at" if in_order else ""}
            """,
            {"loop": loop, "since": since},
        )
        yield from cursor
