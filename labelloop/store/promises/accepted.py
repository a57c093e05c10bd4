"""Statements about the table accepted: outputs that passed unseen by a certificate. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.spec.accept import ALL
from labelloop.store.database import Conn, rows_of
from labelloop.store.promises.certificates import Certificate
from labelloop.versions.version import PIPELINE, short

AT_ONCE = 5000
"""Waiting outputs that one statement accepts."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An output that passed unseen, or that did until it was revoked."""

    output_id: UUID
    label: str
    confidence: float
    certificate_id: UUID
    by: str
    """Kind of the model whose label it is: pipeline or champion."""
    version: str
    """Version of that model."""
    error: float
    """The promise: at most this share of such outputs is incorrect."""
    at: datetime
    revoked_at: datetime | None


def accept(conn: Conn, certificate: Certificate, only: Sequence[UUID] | None = None) -> list[UUID]:
    """Let waiting outputs pass unseen that the certificate covers; return their ids, at most AT_ONCE.

    It covers outputs of the rule lane that the trigger does not send, with a label of its model and at least the
    threshold's confidence. One that was accepted before is not accepted again. Outputs on their way to Label Studio are
    left alone. `only` names the outputs to look at; None means all that wait.
    """
    rows = conn.execute(
        """
        with limits as (
            select key as label, value::text::float8 as least from jsonb_each(%(thresholds)s)
        ), covered as (
            select p.output_id, p.label, p.confidence, p.utility
            from pool p join outputs o on o.id = p.output_id
            join limits l on l.label = p.label or l.label = %(all)s
            where p.loop = %(loop)s and p.lane = 'rule' and o.lane = 'rule' and o.triggered is false
            and o.state = 'waiting' and p.label is not null and p.confidence >= l.least
            and p.champion = %(champion)s and (%(model)s::text is null or o.model_version = %(model)s)
            and (%(only)s::uuid[] is null or p.output_id = any(%(only)s))
            and not exists (select from accepted x where x.output_id = p.output_id)
            order by p.output_id limit %(most)s for update of p
        ), left_pool as (
            delete from pool where output_id in (select output_id from covered)
        ), stored as (
            insert into accepted (output_id, certificate_id, loop, label, confidence, utility)
            select output_id, %(certificate)s, %(loop)s, label, confidence, utility from covered
        )
        update outputs o set state = 'accepted', state_reason = %(reason)s
        from covered where o.id = covered.output_id returning o.id
        """,
        {
            "thresholds": Jsonb(dict(certificate.thresholds)),
            "all": ALL,
            "loop": certificate.loop,
            "champion": PIPELINE if certificate.labeller == "pipeline" else short(certificate.version),
            "model": certificate.version if certificate.labeller == "pipeline" else None,
            "only": None if only is None else list(only),
            "most": AT_ONCE if only is None else len(only),
            "certificate": certificate.id,
            "reason": f"passed unseen by certificate {str(certificate.id)[:8]}",
        },
    ).fetchall()
    return [row["id"] for row in rows]


def accept_all(conn: Conn, certificate: Certificate) -> int:
    """Let all waiting outputs pass that the certificate covers, part by part; return how many did."""
    total, n = 0, AT_ONCE
    while n == AT_ONCE:
        n = len(accept(conn, certificate))
        total += n
    return total


def revoke(conn: Conn, certificate: Certificate, why: str) -> int:
    """Send all outputs that the certificate let pass back to people; return how many there were.

    Those that a person answered meanwhile stay answered. The outcome of a pipeline's hold stays what it was.
    """
    rows = conn.execute(
        """
        with back as (
            update accepted x set revoked_at = clock_timestamp() from outputs o
            where x.certificate_id = %(id)s and x.revoked_at is null and o.id = x.output_id and o.state = 'accepted'
            returning x.output_id, x.utility
        ), waits as (
            update outputs o set state = 'waiting', state_reason = %(reason)s
            from back where o.id = back.output_id returning o.*
        )
        insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
        select w.id, w.loop, w.lane, back.utility, w.key, w.label, w.confidence, 'pipeline', 'pipeline'
        from waits w join back on back.output_id = w.id returning output_id
        """,
        {"id": certificate.id, "reason": f"certificate {str(certificate.id)[:8]} was revoked: {why}"},
    ).fetchall()
    return len(rows)


def of_outputs(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, Accepted]:
    """Return what is stored about these outputs; outputs that never passed unseen are left out."""
    rows = rows_of(conn, Accepted).execute(
        """
        select x.output_id, x.label, x.confidence, x.certificate_id, c.labeller as by, c.version, c.error, x.at,
            x.revoked_at
        from accepted x join certificates c on c.id = x.certificate_id where x.output_id = any(%(ids)s)
        """,
        {"ids": list(output_ids)},
    )
    return {row.output_id: row for row in rows}
