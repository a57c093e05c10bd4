"""Agree: the answers of outputs by the loop's consensus, and which of them need one more opinion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from labelloop.answers.consensus import adjudicated, consensus, needed, wants_more, weighed
from labelloop.answers.crowdlab import Weights
from labelloop.answers.dawid_skene import Floats, Quality, newcomers
from labelloop.answers.feedback import Answer
from labelloop.spec.loop import LoopSpec
from labelloop.spec.opinions import CROWDLAB, MAJORITY
from labelloop.store.database import Conn
from labelloop.store.opinions import adjudicated as adjudicated_answers
from labelloop.store.opinions import estimates, further, learned
from labelloop.store.tables import feedback as feedback_store

ASK_IN_S = 20.0
"""Least seconds from an answer to the next estimate of people's quality, which reads all answers of the loop."""
S_PER_CELL = 2e-5
"""Seconds to wait for each answer and label. An estimate takes about 1.5e-6 s of one core for each, so it is at work
for less than a tenth of the time, however many answers a loop has."""


@dataclass(frozen=True, slots=True)
class Judging:
    """The rule by which the answers of a loop become one, at this moment."""

    spec: LoopSpec
    quality: Quality[UUID] | None
    """The quality of people in force; None by majority."""
    estimate: estimates.Stored | None
    """The estimate that it comes from; None by majority, and before the first one."""


def weighs(spec: LoopSpec) -> bool:
    """Whether this loop needs the job: its people's quality is estimated, or further opinions are asked."""
    return spec.consensus != MAJORITY or spec.opinions is not None


def judging(conn: Conn, spec: LoopSpec) -> Judging:
    """Return how answers become one now. Before the first estimate, everybody counts the same."""
    if spec.consensus == MAJORITY:
        return Judging(spec, None, None)
    stored = estimates.newest(conn, spec.name, spec.labels)
    return Judging(spec, newcomers(spec.labels) if stored is None else stored.quality, stored)


def ask_in_s(conn: Conn, spec: LoopSpec) -> float:
    """Return in how many seconds people's quality is to be estimated anew: later if there are many answers."""
    answers = 0 if spec.consensus == MAJORITY else estimates.answers_of_newest(conn, spec.name)
    return max(ASK_IN_S, S_PER_CELL * answers * len(spec.labels))


def agree(conn: Conn, by: Judging, before: Mapping[UUID, int]) -> dict[UUID, Answer | None]:
    """Return the answer of each of these outputs; None before enough people have answered.

    `before`: the number of people behind the newest answer of each output, 0 if it has none.
    """
    spec = by.spec
    said = feedback_store.labels(conn, list(before))
    final = adjudicated_answers.words(conn, list(before), spec.adjudicators) if spec.adjudicators else {}
    found: dict[UUID, Answer | None] = {
        id_: adjudicated(word.reviewer_id, word.label, [label for _, label in said[id_]]) for id_, word in final.items()
    }
    rest = {id_: answers for id_, answers in said.items() if id_ not in found}
    least = {id_: needed(spec.overlap, before[id_]) for id_ in rest}
    if by.quality is None:
        return found | {
            id_: consensus([label for _, label in answers], least[id_], spec.config.answer, spec.tolerance)
            for id_, answers in rest.items()
        }
    number = None if by.estimate is None else by.estimate.id
    also = _with_learner(conn, by.spec, by.estimate, rest)
    return found | {
        id_: weighed(answers, least[id_], by.quality, estimate=number, also=also.get(id_))
        for id_, answers in rest.items()
    }


def _with_learner(
    conn: Conn,
    spec: LoopSpec,
    estimate: estimates.Stored | None,
    said: Mapping[UUID, Sequence[tuple[UUID, str | None]]],
) -> dict[UUID, Floats]:
    """Return the posterior of the items about which the learner spoke too; none unless the consensus is crowdlab."""
    if spec.consensus != CROWDLAB or estimate is None or estimate.learner is None:
        return {}
    learner, agreement = estimate.learner["weight"], estimate.learner["agreement"]
    newcomer = estimate.learner["newcomer"]
    both = Weights(np.zeros(0), learner, agreement)
    found = {}
    for id_, shares in learned.spoken(conn, spec.name, list(said), spec.labels).items():
        answers = [
            (estimate.weights.get(person, newcomer), spec.labels.index(label))
            for person, label in said[id_]
            if label in spec.labels
        ]
        if answers:
            found[id_] = both.posterior(answers, shares)
    return found


def ask_further(conn: Conn, spec: LoopSpec, answers: Mapping[UUID, Answer | None]) -> set[UUID]:
    """Ask one more person about those of these items that need it most, as far as the budget allows; return them.

    The least certain come first. The caller holds the lock on the loop's answers.
    """
    rule = spec.opinions
    if rule is None:
        return set()
    wanting = {id_: said for id_, said in answers.items() if said and wants_more(said, rule.most, rule.enough)}
    if not wanting:
        return set()
    rows = {row.output_id: row for row in further.all_(conn, spec.name, list(wanting)) if row.askable}
    asked = {id_ for id_, row in rows.items() if row.overlap > row.given}
    asked &= {id_ for id_, row in rows.items() if row.state == "in_review"}
    others = sorted((id_ for id_ in rows if id_ not in asked), key=lambda id_: (_sure(wanting[id_]), str(id_)))
    left = further.room(conn, spec.name, spec.overlap, rule.budget)
    chosen = [id_ for place, id_ in enumerate(others) if place < left]
    further.ask(conn, {id_: rows[id_].given + 1 for id_ in chosen})
    return asked | set(chosen)


def _sure(answer: Answer) -> float:
    """Return how certain an answer is, for the order of further opinions; by majority all ties are alike."""
    return 0.0 if answer.certainty is None else answer.certainty
