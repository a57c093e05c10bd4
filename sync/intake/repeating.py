"""Repeating: new outputs with unchanged content get the answer of the earlier one, in a loop with `reuse_answers`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from labelloop.outputs.content import content_sha256, still_fits
from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import repeats
from labelloop.store.pipelines.repeats import Original
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import projects
from labelloop.store.tables.outputs import Row, Stored

OPEN = frozenset({OutputState.WAITING, OutputState.PUSHING, OutputState.IN_REVIEW})
"""States of an original whose answer is still to come."""


def follow(conn: Conn, spec: LoopSpec, new: Sequence[Stored], rows: Mapping[str, Row]) -> list[Stored]:
    """Make those of these new outputs repeats whose content an earlier output has; return all, with their states.

    A repeat of an answered output is `answered` at once. A repeat of one that waits for its answer follows it. If
    nobody answers for the earlier output, the first new one that people see takes its place. Each becomes what it would
    be if it had come alone: that depends on the outputs before it, and never on its own lane. So what chance chose
    stays a fair sample of the outputs that are no repeats.
    """
    # gather
    config = spec.config
    by_content = defaultdict[bytes, list[Stored]](list)
    for stored in new:
        row = rows[stored.key]
        if (sha256 := content_sha256(row.output, config, row.placement.label)) is not None:
            by_content[sha256].append(stored)
    if not by_content:
        return list(new)
    # In the order of sync/answering/feedback.py. Until the commit no answer comes, and no original leaves the queue.
    projects.lock_hop(conn, spec.name, "answers")
    projects.lock_hop(conn, spec.name, "push")
    asked_first = {sha256: _asked_first(found, rows) for sha256, found in by_content.items()}
    repeats.register(conn, spec.name, {sha256: first.id for sha256, first in asked_first.items()})
    originals = repeats.originals(conn, spec.name, list(by_content))

    # decide
    labels = frozenset(spec.labels)
    takes_over = dict[bytes, UUID]()
    of = dict[UUID, UUID]()
    answered = list[UUID]()
    for sha256, found in by_content.items():
        original, leads = originals[sha256], originals[sha256].id
        behind = found
        if original.state == OutputState.ANSWERED and _has_answer(original, spec, labels):
            answered += [stored.id for stored in found]
        elif original.state not in OPEN:
            if rows[asked_first[sha256].key].placement.lane == Lane.PASS:
                continue  # nobody was asked, and nobody is
            leads = asked_first[sha256].id
            if leads != original.id:
                takes_over[sha256] = leads
        if leads == asked_first[sha256].id:
            behind = found[found.index(asked_first[sha256]) + 1 :]
        of |= dict.fromkeys((stored.id for stored in behind), leads)

    # apply
    repeats.replace(conn, spec.name, takes_over)
    repeats.add(conn, spec.name, of)
    was = [OutputState.WAITING, OutputState.PASSED]
    output_store.set_state(conn, answered, was, OutputState.ANSWERED, "the content was answered before")
    states = dict.fromkeys(answered, OutputState.ANSWERED)
    return [stored._replace(state=states.get(stored.id, stored.state)) for stored in new]


def _asked_first(found: Sequence[Stored], rows: Mapping[str, Row]) -> Stored:
    """Return the first of these outputs that people see, or the first of all if nobody sees any."""
    return next((stored for stored in found if rows[stored.key].placement.lane != Lane.PASS), found[0])


def _has_answer(original: Original, spec: LoopSpec, labels: frozenset[str]) -> bool:
    return original.answer is not None and still_fits(original.answer, spec.config, labels)
