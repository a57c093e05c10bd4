"""Resolve: what the reviewers of touched outputs say now, and what they agree on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.answers.annotations import Annotation, StoredAnnotation
from labelloop.answers.consensus import consensus
from labelloop.answers.feedback import Answer, Feedback, one_a_reviewer
from labelloop.answers.people import Person
from labelloop.answers.unreadable import NAMELESS, Unreadable, why_unreadable
from labelloop.answers.untouched import prelabel_kept
from labelloop.labeling import results
from labelloop.outputs.output import OutputState
from labelloop.queue.prelabel import prelabel_result
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import doubts, jobs
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import tasks as task_store
from labelloop.store.tables import unreadable as unreadable_store
from labelloop.store.tables.feedback import Reviewed

NO_ANSWER = Answer(None, None, 0)


@dataclass(frozen=True, slots=True)
class Resolved:
    feedback: int = 0
    answers: int = 0
    """Answers that are new or have changed, those that were taken back too."""

    def __add__(self, other: Resolved) -> Resolved:
        return Resolved(self.feedback + other.feedback, self.answers + other.answers)


def resolve(
    conn: Conn, spec: LoopSpec, instance: UUID, output_ids: Collection[UUID], users: Mapping[int, Person]
) -> Resolved:
    """Bring feedback, answers and states of these outputs up to date, in the caller's transaction; twice is once.

    The caller holds the loop's answers. `users`: Label Studio's users, as far as they are known. What people said in a
    project that was lost counts beside what is said in this one (`instance`), unless they have said it anew.
    """
    if not output_ids:
        return Resolved()
    outputs = feedback_store.outputs(conn, list(output_ids))
    annotations: dict[UUID, list[StoredAnnotation]] = defaultdict(list)
    for row in annotation_store.of_outputs(conn, instance, list(output_ids)):
        annotations[row.output_id].append(row)

    read = {output.id: _read(spec, output, annotations[output.id]) for output in outputs}
    everything = [row for said, _ in read.values() for row in said]
    not_read = [row for _, rows in read.values() for row in rows]
    people = {row.reviewer for row in everything} | {row.reviewer for row in not_read if row.reviewer is not None}
    feedback_store.upsert_reviewers(conn, instance, {person: users.get(person) for person in sorted(people)})
    known = {person: row.id for person, row in feedback_store.reviewers(conn, instance).items()}
    feedback_store.replace(conn, instance, list(read), everything, known)
    agreed = {
        id_: consensus(labels, spec.overlap, spec.config.answer, spec.tolerance)
        for id_, labels in feedback_store.labels(conn, list(read)).items()
    }
    changed = [(output.id, agreed[output.id] or NO_ANSWER) for output in outputs if _differs(output, agreed[output.id])]

    found = [row.stored(None if row.reviewer is None else known[row.reviewer]) for row in not_read]
    unreadable_store.replace(conn, spec.name, form_hash(spec), list(read), found)
    feedback_store.answer(conn, spec.name, changed)
    doubts.forget(conn, [output_id for output_id, _ in changed])
    # An output that is asked of one person more waits for that answer; until then the first answer stands.
    done = [output.id for output in outputs if _complete(agreed[output.id], output.overlap)]
    undone = [id_ for id_ in agreed if id_ not in done]
    task_store.set_state(conn, done, [OutputState.IN_REVIEW], OutputState.ANSWERED, None)
    reason = "an answer was taken back, or cannot be read"
    if task_store.set_state(conn, undone, [OutputState.ANSWERED], OutputState.IN_REVIEW, reason):
        jobs.ask(conn, jobs.PRELABEL, spec.name)  # while they stood answered nobody renewed their predictions
    jobs.ask(conn, jobs.PUSH, spec.name)  # without an answer too: a skipped task leaves its place to another
    if changed:
        jobs.ask_for_more(conn, spec)
    return Resolved(len(everything), len(changed))


def form_hash(spec: LoopSpec) -> bytes:
    """What says whether an answer that could not be read is worth reading again: SHA-256 of the labeling config."""
    return hashlib.sha256(spec.labels_xml.encode()).digest()


@dataclass(frozen=True, slots=True)
class NotRead:
    """An annotation that is no answer."""

    output_id: UUID
    annotation_version: int
    reviewer: int | None
    why: Unreadable
    comment: str | None = None

    def stored(self, reviewer_id: UUID | None) -> unreadable_store.Row:
        return unreadable_store.Row(
            self.output_id, self.annotation_version, reviewer_id, self.why.reason, self.why.ask, self.comment
        )


def _read(spec: LoopSpec, output: Reviewed, rows: Sequence[StoredAnnotation]) -> tuple[list[Feedback], list[NotRead]]:
    """What the annotations of an output say, and those that nobody can read."""
    said, not_read = list[Feedback](), list[NotRead]()
    versions = {row.id: row.seq for row in rows}
    for row in rows:
        if row.distrusted is not None:
            why = Unreadable(row.distrusted, ask=False)
            not_read.append(NotRead(output.id, row.seq, row.reviewer, why))
    trusted = [row for row in rows if row.distrusted is None]
    for row in trusted:
        if row.reviewer is None:
            not_read.append(NotRead(output.id, row.seq, None, Unreadable(NAMELESS, ask=True)))
    for annotation in one_a_reviewer(trusted):
        reading = results.read(spec.config, annotation.result, output.label)
        found = why_unreadable(spec.config, annotation.result, reading)
        if found is None:
            said.append(_feedback(spec, output, annotation, reading))
        else:
            version = versions[annotation.id]
            not_read.append(NotRead(output.id, version, annotation.reviewer, found, reading.comment))
    return said, not_read


def _feedback(spec: LoopSpec, output: Reviewed, annotation: Annotation, reading: results.Reading) -> Feedback:
    assert annotation.reviewer is not None
    # A reject that names the very label that it rejects says, in the end, that the output stands.
    stands = reading.label is not None and reading.label == output.label
    return Feedback(
        output_id=output.id,
        reviewer=annotation.reviewer,
        approval=True if stands else reading.approval,
        correction=None if stands else reading.correction,
        comment=reading.comment,
        label=reading.label,
        annotation_id=annotation.id,
        lead_time_s=annotation.lead_time_s,
        prelabel_kept=prelabel_kept(spec.config, annotation, _preselected(spec, output)),
        created_at=annotation.created_at,
        updated_at=annotation.updated_at,
    )


def _preselected(spec: LoopSpec, output: Reviewed) -> list[Any]:
    """Return what the task was last given as its prediction."""
    return [] if output.shown is None else prelabel_result(spec, output.shown)


def _complete(answer: Answer | None, overlap: int) -> bool:
    return answer is not None and answer.reviewers >= overlap


def _differs(output: Reviewed, answer: Answer | None) -> bool:
    """Whether there is something to append: an answer that never was cannot be taken back."""
    if output.answered is None:
        return answer is not None
    return Answer(output.answer, output.agreement, output.reviewers or 0) != (answer or NO_ANSWER)
