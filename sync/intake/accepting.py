"""Accepting: new outputs pass unseen if the certificate in force covers them, in a loop with `accept`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.promises import accepted, certificates, trials
from labelloop.store.tables.outputs import Row, Stored

logger = logging.getLogger(__name__)


def accept(conn: Conn, spec: LoopSpec, new: Sequence[Stored], rows: Mapping[str, Row]) -> list[Stored]:
    """Let those of these new outputs pass that the certificate covers; return all, with their states.

    An output of another model version of the pipeline ends the certificate, and then none of them passes. Labels of a
    champion are not known yet: its outputs pass when it has scored them.
    """
    if spec.accept is None or not new:
        return list(new)
    certificate = certificates.in_force(conn, spec.name, hold=False)
    if certificate is None:
        return list(new)
    if certificate.basis != trials.basis(spec):
        certificates.end(conn, certificate.id, certificates.CHANGED)
        return list(new)
    if certificate.labeller != "pipeline":
        return list(new)
    versions = {rows[stored.key].output.model_version or "" for stored in new if not _is_gold(rows[stored.key])}
    if others := sorted(versions - {certificate.version}):
        why = f"an output of model version {others[0]!r} came in; it was made for {certificate.version!r}"
        certificates.end(conn, certificate.id, why, succeeded=True)
        logger.info("loop %s: certificate %s ended: %s", spec.name, certificate.id, why)
        return list(new)
    held = certificates.in_force(conn, spec.name)
    if held is None or (held.of, held.basis) != (certificate.of, certificate.basis):
        return list(new)
    passed = set(accepted.accept(conn, held, [one.id for one in new if one.state == OutputState.WAITING]))
    return [one._replace(state=OutputState.ACCEPTED) if one.id in passed else one for one in new]


def _is_gold(row: Row) -> bool:
    return row.placement.lane == Lane.GOLD
