"""Statements about adjudicated answers, and about the outputs that wait for an adjudicator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.store.database import Conn

ADJUDICATED = """exists (
    select from adjudications j where j.answer_seq = (select max(seq) from answers where output_id = o.id))"""
"""SQL: whether the answer of the output `o` is an adjudicator's."""


class Word(NamedTuple):
    """The answer of an adjudicator to an output."""

    reviewer_id: UUID
    label: str


def words(conn: Conn, output_ids: Sequence[UUID], adjudicators: Sequence[str]) -> dict[UUID, Word]:
    """Return the newest clear answer of an adjudicator to each of these outputs; outputs without one are left out.

    An adjudicator whose name was removed on request is known by the answers that were adjudicated before.
    """
    rows = conn.execute(
        """
        select distinct on (f.model_output_id) f.model_output_id as output_id, f.reviewer_id, f.label
        from feedback f join reviewers r on r.id = f.reviewer_id
        where f.model_output_id = any(%(ids)s) and f.label is not null and (
            lower(r.email) = any(%(adjudicators)s) or r.forgotten_at is not null and exists (
                select from adjudications j where j.output_id = f.model_output_id and j.reviewer_id = r.id))
        order by f.model_output_id, f.updated_at desc, f.reviewer_id
        """,
        {"ids": list(output_ids), "adjudicators": [address.lower() for address in adjudicators]},
    )
    return {row["output_id"]: Word(row["reviewer_id"], row["label"]) for row in rows}


def close(conn: Conn, output_ids: Sequence[UUID]) -> None:
    """Have the next push take those of these answered tasks out of the queue whose answer is an adjudicator's.

    Label Studio would go on to ask the people whose opinions are not needed any more.
    """
    conn.execute(
        f"""
        update tasks t set elsewhere = true from outputs o
        where t.output_id = any(%(ids)s) and o.id = t.output_id and o.state = 'answered' and not t.elsewhere
        and {ADJUDICATED}
        """,
        {"ids": list(output_ids)},
    )
