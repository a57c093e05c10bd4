"""Opinions: estimate the quality of a loop's people anew, and settle by it what is unsettled.

An item's answer depends on the quality of everybody who answered it, and that quality on all answers of the loop. So
the pull resolves an item with the newest estimate, and this job makes the next one. It changes answers by rule only:
an answer without a label gets one; a label is replaced if another one is certain. Each change is a new row of answers,
with the number of its estimate.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from labelloop.answers import crowdlab, dawid_skene
from labelloop.answers.consensus import unsettles, wants_more
from labelloop.answers.crowdlab import Weights
from labelloop.answers.dawid_skene import Ints
from labelloop.answers.feedback import Answer
from labelloop.outputs.output import OutputState
from labelloop.spec.loop import LoopSpec
from labelloop.spec.opinions import CROWDLAB, MAJORITY, SURE
from labelloop.store.database import Conn, Database
from labelloop.store.opinions import adjudicated, estimates, further, learned
from labelloop.store.opinions.further import Asked
from labelloop.store.pipelines import direct
from labelloop.store.tables import doubts, jobs, loops, projects
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import outputs as output_store
from sync.pull.agree import agree, ask_further, judging, weighs

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """The changes that the job made."""

    estimate: int | None = None
    """Number of the new estimate; None if nothing has changed since the last one, and by majority."""
    answers: int = 0
    """Answers that are new or changed."""
    asked: int = 0
    """Items that one more person is asked about."""
    released: int = 0
    """Items that nobody else is asked about any more, since an answer holds or has enough opinions now."""


def settle_opinions(database: Database, spec: LoopSpec) -> Settled:
    """Estimate, settle, and ask further. A second call changes nothing while no person answers."""
    number = _estimate(database, spec) if spec.consensus != MAJORITY else None
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        if not loops.knows_labels(conn, spec):
            return Settled(number)  # the change of the labels asks for this job again

        # gather
        only = None if weighs(spec) else further.affected(conn, spec.name, spec.adjudicators)
        rows = further.all_(conn, spec.name, only)
        now = agree(conn, judging(conn, spec), {row.output_id: row.answer.reviewers for row in rows})

        # decide
        sure = SURE if spec.opinions is None else spec.opinions.enough
        changed = [
            (row.output_id, said)
            for row in rows
            if (said := now[row.output_id]) is not None
            and (not row.answer.reviewers or unsettles(row.answer, said, sure))
        ]
        current = {row.output_id: row.answer for row in rows if row.answer.reviewers} | dict(changed)
        released = [row for row in rows if _is_released(spec, row, current.get(row.output_id))]
        complete = [row for row in rows if _is_complete(spec, row, current.get(row.output_id))]
        settled = {row.output_id for row in released}
        wanting = {row.output_id: current.get(row.output_id) for row in rows if _may_be_asked(row)}

        # apply
        feedback_store.answer(conn, spec.name, changed)
        doubts.forget(conn, [output_id for output_id, _ in changed])
        _release(conn, released)
        before = {row.output_id for row in rows if row.state == OutputState.IN_REVIEW} - settled
        waiting = ask_further(conn, spec, wanting)
        asked, done = waiting - before, [row for row in complete if row.output_id not in waiting]
        _close(conn, done)
        if asked:
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # nobody renewed their predictions while they were answered
        if asked or released or done:
            jobs.ask(conn, jobs.PUSH, spec.name)
        if changed:
            jobs.ask_for_more(conn, spec)
    found = Settled(number, len(changed), len(asked), len(released) + len(done))
    if found != Settled():
        logger.info("opinions", extra={"loop": spec.name, "report": found})
    return found


def _estimate(database: Database, spec: LoopSpec) -> int | None:
    """Store a new estimate of people's quality unless the newest one is of today's answers; return its number."""
    labels = spec.labels
    with database.transaction() as conn:
        if not estimates.is_outdated(conn, spec.name, spec.consensus, labels):
            return None
        found = estimates.opinions(conn, spec.name, labels)
    if not found.outputs:
        return None
    people = sorted(set(found.people), key=str)
    numbers = _numbered(found, people, labels)
    made = dawid_skene.estimate(*numbers, items=len(set(found.outputs)), people=len(people), labels=len(labels))
    rows = [estimates.PersonRow(person, made.accuracy[i], made.confusion[i]) for i, person in enumerate(people)]
    learner = None
    if spec.consensus == CROWDLAB and (both := _with_learner(database, spec, found, numbers, len(people))):
        rows = [replace(row, weight=float(both.people[i])) for i, row in enumerate(rows)]
        learner = {"weight": both.learner, "agreement": both.agreement, "newcomer": float(both.people.mean())}
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        if not loops.knows_labels(conn, spec):
            return None
        return estimates.save(conn, spec.name, spec.consensus, labels, found, made.shares, made.newcomer, rows, learner)


def _numbered(found: estimates.Opinions, people: Sequence[UUID], labels: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """Return item, person and label of each answer as numbers; items in the order of the outputs."""
    items = {output: i for i, output in enumerate(dict.fromkeys(found.outputs))}
    place = {person: i for i, person in enumerate(people)}
    return (
        np.array([items[output] for output in found.outputs], dtype=np.intp),
        np.array([place[person] for person in found.people], dtype=np.intp),
        np.array([labels.index(label) for label in found.labels], dtype=np.intp),
    )


def _with_learner(
    database: Database, spec: LoopSpec, found: estimates.Opinions, numbers: tuple[Ints, Ints, Ints], people: int
) -> Weights | None:
    """Return the weights of people and learner; None if the learner has not spoken about enough items."""
    outputs = list(dict.fromkeys(found.outputs))
    with database.transaction() as conn:
        spoken = learned.spoken(conn, spec.name, outputs, spec.labels)
    if not spoken:
        return None
    kept = [i for i, output in enumerate(outputs) if output in spoken]
    place = np.full(len(outputs), -1)
    place[kept] = np.arange(len(kept))
    item, person, label = numbers
    among = place[item] >= 0
    shares = np.stack([spoken[outputs[i]] for i in kept])
    return crowdlab.weights(place[item][among], person[among], label[among], shares, people)


def _may_be_asked(row: Asked) -> bool:
    return row.askable and row.state in (OutputState.ANSWERED, OutputState.IN_REVIEW)


def _is_complete(spec: LoopSpec, row: Asked, answer: Answer | None) -> bool:
    """Whether an open item has all the answers that it needs, by a change of the loop's rule or of its adjudicators."""
    if answer is None or row.state != OutputState.IN_REVIEW:
        return False
    return answer.adjudicator is not None or row.given >= max(row.overlap, spec.overlap)


def _is_released(spec: LoopSpec, row: Asked, answer: Answer | None) -> bool:
    """Whether an item waits for one more opinion that the rule does not want any more."""
    waits = row.state == OutputState.IN_REVIEW and row.overlap > row.given >= spec.overlap
    if not waits or not row.askable or spec.queue.second:
        return False
    rule = spec.opinions
    return rule is None or not wants_more(answer, rule.most, rule.enough)


def _release(conn: Conn, rows: Sequence[Asked]) -> None:
    """Ask nobody else about these items, whose answers hold."""
    further.release(conn, {row.output_id: row.given for row in rows})
    _close(conn, rows)


def _close(conn: Conn, rows: Sequence[Asked]) -> None:
    ids: list[UUID] = [row.output_id for row in rows]
    direct.close(conn, output_store.set_state(conn, ids, [OutputState.IN_REVIEW], OutputState.ANSWERED, None))
    adjudicated.close(conn, ids)
