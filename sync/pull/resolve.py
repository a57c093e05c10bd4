"""Resolve: read the annotations of touched outputs as feedback, and find the answer that the reviewers agree on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from labelloop.answers import given
from labelloop.answers.annotations import Annotation, StoredAnnotation
from labelloop.answers.feedback import Answer, Feedback, one_a_reviewer
from labelloop.answers.people import Person
from labelloop.answers.unreadable import DISTRUSTED, NAMELESS, Unreadable, why_gone, why_unreadable
from labelloop.answers.untouched import prelabel_kept
from labelloop.errors import Unreachable
from labelloop.labeling import results
from labelloop.outputs.output import OutputState
from labelloop.queue.prelabel import prelabel_result
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.opinions import adjudicated
from labelloop.store.people import decisions
from labelloop.store.pipelines import direct
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import doubts, jobs, loops
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import unreadable as unreadable_store
from labelloop.store.tables.feedback import Reviewed
from sync.pull.agree import agree, ask_further, ask_in_s, judging, weighs

NO_ANSWER = Answer(None, None, 0)


@dataclass(frozen=True, slots=True)
class Resolved:
    feedback: int = 0
    answers: int = 0
    """Answers that are new, changed or taken back."""

    def __add__(self, other: Resolved) -> Resolved:
        return Resolved(self.feedback + other.feedback, self.answers + other.answers)


def resolve(
    conn: Conn, spec: LoopSpec, instance: UUID, output_ids: Collection[UUID], users: Mapping[UserId, Person]
) -> Resolved:
    """Update feedback, answers and states of these outputs, in the caller's transaction. A second call changes nothing.

    The caller holds the lock of the loop's answers. `users`: the users of the instance, as far as they are known.
    Answers of another instance (a lost project, or over HTTP) count beside those of `instance`; if a person answered in
    both, the newest counts. Raises Unreachable if the loop's labels have changed since `spec` was read.
    """
    if not output_ids:
        return Resolved()
    if not loops.knows_labels(conn, spec):
        raise Unreachable(f"the labels of loop {spec.name!r} have just changed: its answers are read again at once")

    # gather
    outputs = feedback_store.outputs(conn, list(output_ids))
    annotations = _annotations(conn, instance, output_ids)
    known = _upsert_reviewers(conn, instance, annotations, users)
    uncounted = _take_out_distrusted(conn, spec, instance, annotations)
    if instance == given.instance_of(spec.name):
        read = {output.id: _read_given(spec, output, annotations[output.id]) for output in outputs}
    else:
        data = output_store.data_of(conn, list(output_ids)) if results.needs_data(spec.config) else {}
        read = {output.id: _read(spec, output, annotations[output.id], data.get(output.id)) for output in outputs}
    feedback = [row for rows, _ in read.values() for row in rows]
    not_read = [row for _, rows in read.values() for row in rows] + uncounted
    _store_read(conn, spec, instance, list(read), feedback, not_read, known)

    # decide
    agreed = agree(conn, judging(conn, spec), {output.id: output.reviewers or 0 for output in outputs})
    changed = [(output.id, agreed[output.id] or NO_ANSWER) for output in outputs if _differs(output, agreed[output.id])]
    # An output that one more person is asked about waits for that answer; until then the first answer holds.
    complete = {output.id for output in outputs if _complete(spec, output, agreed[output.id])}
    wait = ask_further(conn, spec, {id_: answer for id_, answer in agreed.items() if id_ in complete})
    done = [output.id for output in outputs if output.id in complete and output.id not in wait]
    has_task = {output.id for output in outputs if output.shown is not None}
    undone = [id_ for id_ in agreed if id_ not in complete and id_ in has_task]

    # apply
    _store_answers(conn, spec, changed, done, undone)
    return Resolved(len(feedback), len(changed))


def _annotations(conn: Conn, instance: UUID, output_ids: Collection[UUID]) -> dict[UUID, list[StoredAnnotation]]:
    """Return the annotations of each output."""
    found: dict[UUID, list[StoredAnnotation]] = defaultdict(list)
    for row in annotation_store.of_outputs(conn, instance, list(output_ids)):
        found[row.output_id].append(row)
    return found


def _upsert_reviewers(
    conn: Conn, instance: UUID, annotations: Mapping[UUID, Sequence[Annotation]], users: Mapping[UserId, Person]
) -> dict[UserId, UUID]:
    """Store the people behind these annotations; return the row of each reviewer of the instance."""
    people = {row.reviewer for rows in annotations.values() for row in rows if row.reviewer is not None}
    feedback_store.upsert_reviewers(conn, instance, {person: users.get(person) for person in sorted(people)})
    return {person: row.id for person, row in feedback_store.reviewers(conn, instance).items()}


def _take_out_distrusted(
    conn: Conn, spec: LoopSpec, instance: UUID, annotations: dict[UUID, list[StoredAnnotation]]
) -> list[NotRead]:
    """Remove the annotations of people whose answers do not count, and return them. Somebody else is asked instead."""
    distrusts = decisions.in_force(conn, spec.name, instance)
    if not distrusts:
        return []
    found = []
    for output_id, rows in annotations.items():
        counts = []
        for row in rows:
            by = [one.decision for one in distrusts.get(row.reviewer or UserId(0), ()) if one.covers(row.updated_at)]
            if by and row.distrusted is None:
                why = Unreadable(DISTRUSTED, ask=True)
                found.append(NotRead(output_id, row.seq, row.reviewer, why, decision=by[0]))
            else:
                counts.append(row)
        annotations[output_id] = counts
    return found


def _store_read(
    conn: Conn,
    spec: LoopSpec,
    instance: UUID,
    output_ids: Sequence[UUID],
    feedback: Sequence[Feedback],
    not_read: Sequence[NotRead],
    known: Mapping[UserId, UUID],
) -> None:
    """Replace the feedback on these outputs and their annotations that do not count. `known`: the reviewers' rows."""
    feedback_store.replace(conn, instance, output_ids, feedback, known)
    found = [row.stored(None if row.reviewer is None else known[row.reviewer]) for row in not_read]
    over_http = instance == given.instance_of(spec.name)
    unreadable_store.replace(conn, spec.name, instance, form_hash(spec), output_ids, found, only_here=over_http)


def _store_answers(
    conn: Conn, spec: LoopSpec, changed: Sequence[tuple[UUID, Answer]], done: Sequence[UUID], undone: Sequence[UUID]
) -> None:
    """Append the changed answers, set the states, and ask for the jobs that follow."""
    feedback_store.answer(conn, spec.name, changed)
    doubts.forget(conn, [output_id for output_id, _ in changed])
    direct.close(conn, output_store.set_state(conn, done, [OutputState.IN_REVIEW], OutputState.ANSWERED, None))
    adjudicated.close(conn, done)
    reason = "an answer was taken back, or cannot be read"
    if output_store.set_state(conn, undone, [OutputState.ANSWERED], OutputState.IN_REVIEW, reason):
        jobs.ask(conn, jobs.PRELABEL, spec.name)  # nobody renewed their predictions while they were answered
    if weighs(spec):
        jobs.ask(conn, jobs.OPINIONS, spec.name, in_s=ask_in_s(conn, spec))
    jobs.ask(conn, jobs.PUSH, spec.name)  # also without an answer: a skipped task leaves its place to another
    if changed:
        jobs.ask_for_more(conn, spec)


def form_hash(spec: LoopSpec) -> bytes:
    """Return the SHA-256 of what answers are read by, the labeling config and `answer`: while it is the same, an
    unreadable answer is not read again.
    """
    former = sorted(f"{label}={one}" for label, one in spec.former_labels.items())
    read_by = "\0".join((spec.labels_xml, *spec.answer, *former))
    return hashlib.sha256(read_by.encode()).digest()


@dataclass(frozen=True, slots=True)
class NotRead:
    """An annotation that is not a valid answer, or whose person is distrusted."""

    output_id: UUID
    annotation_version: int
    reviewer: UserId | None
    why: Unreadable
    comment: str | None = None
    decision: int | None = None
    """The decision by which its person's answers do not count; None if it cannot be read."""

    def stored(self, reviewer_id: UUID | None) -> unreadable_store.Row:
        return unreadable_store.Row(
            self.output_id,
            self.annotation_version,
            reviewer_id,
            self.why.reason,
            self.why.ask,
            self.comment,
            self.decision,
        )


def _read(
    spec: LoopSpec, output: Reviewed, rows: Sequence[StoredAnnotation], data: Mapping[str, Any] | None
) -> tuple[list[Feedback], list[NotRead]]:
    """Return the feedback in the annotations of an output, and the annotations that cannot be read. `data` are those of
    the output, None if the form's answers need none.
    """
    feedback, not_read = list[Feedback](), list[NotRead]()
    versions = {row.id: row.seq for row in rows}
    for row in rows:
        if row.distrusted is not None:
            why = Unreadable(row.distrusted, ask=row.ask)
            not_read.append(NotRead(output.id, row.seq, row.reviewer, why))
    trusted = [row for row in rows if row.distrusted is None]
    for row in trusted:
        if row.reviewer is None:
            not_read.append(NotRead(output.id, row.seq, None, Unreadable(NAMELESS, ask=True)))
    for annotation in one_a_reviewer(trusted):
        reading = results.read(spec.config, annotation.result, output.label, data)
        found = _approves_gone(spec, output, reading) or why_unreadable(spec.config, annotation.result, reading, data)
        if found is None:
            feedback.append(_feedback(spec, output, annotation, reading))
        else:
            version = versions[annotation.id]
            not_read.append(NotRead(output.id, version, annotation.reviewer, found, reading.comment))
    return feedback, not_read


def _read_given(
    spec: LoopSpec, output: Reviewed, rows: Sequence[StoredAnnotation]
) -> tuple[list[Feedback], list[NotRead]]:
    """Return the feedback that came over HTTP. All of it can be read, except an answer with a former label."""
    feedback, not_read, control = list[Feedback](), list[NotRead](), spec.config.answer
    versions = {row.id: row.seq for row in rows}
    for row in one_a_reviewer(rows):
        reading = given.read(row.result, output.label)
        found = _approves_gone(spec, output, reading)
        if reading.label in control.gone:
            found = why_gone(control, str(reading.label))
        if found is not None:
            not_read.append(NotRead(output.id, versions[row.id], row.reviewer, found, reading.comment))
        else:
            label, correction = control.today(reading.label), control.today(reading.correction)
            feedback.append(_feedback(spec, output, row, replace(reading, label=label, correction=correction)))
    return feedback, not_read


def _approves_gone(spec: LoopSpec, output: Reviewed, reading: results.Reading) -> Unreadable | None:
    """Return the reason why an approval of the pipeline's label does not count: it is a former label."""
    control = spec.config.answer
    is_gone = reading.approval and reading.label is None and output.given_label in control.gone
    return why_gone(control, str(output.given_label)) if is_gone else None


def _feedback(spec: LoopSpec, output: Reviewed, annotation: Annotation, reading: results.Reading) -> Feedback:
    assert annotation.reviewer is not None
    # A reviewer who rejects a label and then names the same label confirms the output.
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
    """Return the prediction that the task was given last."""
    return [] if output.shown is None else prelabel_result(spec, output.shown)


def _complete(spec: LoopSpec, output: Reviewed, answer: Answer | None) -> bool:
    """Whether nobody else has to answer. An answered output stays so if `overlap` of the loop grows."""
    if answer is None or answer.adjudicator is not None:
        return answer is not None
    return answer.reviewers >= (
        output.overlap if output.state == OutputState.ANSWERED else max(output.overlap, spec.overlap)
    )


def _differs(output: Reviewed, answer: Answer | None) -> bool:
    """Whether there is an answer to append. Without an earlier answer, none can be taken back. A certainty alone, which
    moves with the quality of people, is no change.
    """
    if output.answered is None:
        return answer is not None
    now = answer or NO_ANSWER
    before = (output.answer, output.agreement, output.reviewers or 0, output.adjudicator)
    if before != (now.label, now.agreement, now.reviewers, now.adjudicator):
        return True
    return (output.certainty is None) != (now.certainty is None)
