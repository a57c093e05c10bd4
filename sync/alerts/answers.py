"""Alerts about answers: edited by another person, given in another person's name, deleted by another person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from labelloop.answers import given
from labelloop.answers.alerts import (
    AlertKind,
    Found,
    NewVersion,
    cut,
    is_deletion_of_others_work,
    kind_of,
    person_words,
)
from labelloop.answers.people import Person
from labelloop.labeling import results
from labelloop.queue.tasks import Task
from labelloop.reading.ids import UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.alerts import deciding, found, rows
from labelloop.store.database import Conn
from labelloop.store.tables import feedback as feedback_store

SPEC_DECIDES = "loop.yaml"
"""The name under which an edit is accepted that `reviewers_may_edit` or `adjudicators` allows."""
AT_ONCE = timedelta(seconds=1)
"""Label Studio stores a change of an annotation and that of its task within this time."""


def watch_answers(
    conn: Conn, spec: LoopSpec, instance: UUID, since: int, tasks: Sequence[Task], users: Mapping[UserId, Person]
) -> None:
    """Open an alert for each version stored after `since` that is not its author's own work, and exclude it.

    A deletion is not excluded: the answer has stopped to count, and counts again if somebody rejects the alert.
    """
    found.inherit(conn, instance, since)
    suspects = found.suspects(conn, instance, since)
    if not suspects:
        return
    emails = _emails(conn, instance, users)
    outputs = {version.output_id for version in suspects if version.output_id is not None}
    labels = {row.id: row.label for row in feedback_store.outputs(conn, list(outputs))}
    by_id = {task.id: task for task in tasks}
    may_edit = {email.lower(): "`reviewers_may_edit` allows this person's edits" for email in spec.reviewers_may_edit}
    may_edit |= {email.lower(): "`adjudicators` has this person, whose answer is final" for email in spec.adjudicators}
    for version in suspects:
        label = None if version.output_id is None else labels.get(version.output_id)
        if version.deleted:
            _watch_deletion(conn, spec, instance, version, label, by_id.get(version.task_id), emails)
        elif (kind := kind_of(version)) is not None:
            person = person_words(version.updated_by, emails)
            fact = _fact(spec, instance, version, label, kind, version.updated_by, person)
            if kind == AlertKind.EDITED and person is not None and (why := may_edit.get(person.lower())):
                rows.record(conn, spec.name, fact, SPEC_DECIDES, why)
                continue
            alert_id = rows.open_(conn, spec.name, fact)
            deciding.cover(conn, spec.name, alert_id, kind, [version.seq], ask=False)


def watch_deleted_tasks(conn: Conn, spec: LoopSpec, instance: UUID, output_ids: Sequence[UUID]) -> None:
    """Open an alert for each of these outputs that has an answer; their tasks are gone, and the answers stop to count.

    The caller writes the tombstones in the same transaction. Label Studio does not tell who deleted a task.
    """
    both = (instance, given.instance_of(spec.name))
    answered = found.answered(conn, both, output_ids)
    reviewed = {row.id: row for row in feedback_store.outputs(conn, list(answered))}
    for output_id, (task_id, n) in answered.items():
        label = reviewed[output_id].answer
        found_ = Found(
            AlertKind.DELETED,
            f"task {instance} {task_id} {output_id}",
            instance,
            output_id=output_id,
            task_id=task_id,
            before=f"a task, answered by {n}" + ("" if label is None else f": {cut(label)}"),
            after="no task",
        )
        rows.open_(conn, spec.name, found_)


def watch_many_deleted(conn: Conn, spec: LoopSpec, instance: UUID, gone: int, known: int) -> None:
    """Open one alert about so many deleted tasks that no answer is withdrawn for them; none if it was decided."""
    fact, after = _many(instance), f"{gone} of them are gone"
    if not rows.is_decided(conn, spec.name, fact, after):
        found_ = Found(AlertKind.DELETED, fact, instance, before=f"{known} tasks", after=after)
        rows.open_(conn, spec.name, found_)


def confirm_many_deleted(conn: Conn, spec: LoopSpec, instance: UUID) -> None:
    """Accept the open alert about many deleted tasks: a person has confirmed that they were deleted on purpose."""
    rows.accept_fact(conn, spec.name, _many(instance), "labelloop pull", "--confirm-deletions")


def _many(instance: UUID) -> str:
    return f"tasks {instance}"


def _watch_deletion(
    conn: Conn,
    spec: LoopSpec,
    instance: UUID,
    version: NewVersion,
    label: str | None,
    task: Task | None,
    emails: Mapping[UserId, str],
) -> None:
    deleted_by = None if task is None else task.updated_by
    if not is_deletion_of_others_work(version, deleted_by):
        return
    # The task's last change may be another one: then it does not tell who deleted the annotation.
    if task is not None and any(
        one.updated_by == deleted_by and task.updated_at - one.updated_at < AT_ONCE for one in task.annotations
    ):
        deleted_by = None
    person = person_words(deleted_by, emails)
    rows.open_(conn, spec.name, _fact(spec, instance, version, label, AlertKind.DELETED, deleted_by, person))


def _fact(
    spec: LoopSpec,
    instance: UUID,
    version: NewVersion,
    label: str | None,
    kind: AlertKind,
    by: UserId | None,
    person: str | None,
) -> Found:
    """`label`: the output's own, which an approval gives."""
    deleted = kind == AlertKind.DELETED
    whose = "" if deleted else f" {by}"
    base = version.base_result
    return Found(
        kind,
        f"{kind} {instance} {version.annotation_id}{whose}",
        instance,
        output_id=version.output_id,
        task_id=version.task_id,
        annotation_id=version.annotation_id,
        person_id=by,
        person=person,
        before=None if base is None else _words(spec, label, base, not version.base_answers),
        after="deleted" if deleted else _words(spec, label, version.result, version.was_cancelled),
    )


def _words(spec: LoopSpec, of_output: str | None, result: list[object], skipped: bool) -> str:
    """Return an annotation in few words."""
    if skipped:
        return "skipped"
    label = results.read(spec.config, result, of_output).label
    return cut(label) if label is not None else "an answer" if result else "nothing"


def _emails(conn: Conn, instance: UUID, users: Mapping[UserId, Person]) -> dict[UserId, str]:
    """Return the addresses of users; of a person who was forgotten, the pseudonym."""
    known = feedback_store.reviewers(conn, instance)
    stored = {id_: row.email for id_, row in known.items() if row.email is not None}
    forgotten = feedback_store.forgotten(conn, instance)
    return stored | {id_: person.email for id_, person in users.items() if id_ not in forgotten}
