"""Take in: store the annotations of tasks as versions in Postgres, and with them feedback and answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from labelloop.answers import given
from labelloop.answers.people import Person
from labelloop.errors import Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import IDLE, OutputState
from labelloop.queue.adopted import Adopted, data_sha256
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import BATCH, KnownOutput, Task
from labelloop.reading.ids import ProjectId, TaskId, UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks
from labelloop.store.alerts import faulty as faulty_tasks
from labelloop.store.alerts import found as alerts_found
from labelloop.store.alerts import rows as alert_rows
from labelloop.store.database import Conn, Database
from labelloop.store.privacy import outputs as forgetting
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import batches, jobs, pool, projects, unreadable
from labelloop.store.tables import feedback as feedback_store
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import tasks as task_store
from sync.alerts.answers import watch_answers, watch_deleted_tasks
from sync.alerts.form import watch_form
from sync.alerts.items import edited, watch_items
from sync.pull.resolve import form_hash, resolve

logger = logging.getLogger(__name__)

HAS_TASK = [OutputState.IN_REVIEW, OutputState.ANSWERED]
TAMPERED = "the signature in the task's data does not fit"
DELETED = "its task was deleted in Label Studio"


@dataclass(frozen=True, slots=True)
class PullReport:
    tasks: int = 0
    """Tasks that were read, with or without a change."""
    outputs: int = 0
    """Outputs with a changed annotation."""
    answers: int = 0
    """Answers that are new, changed or taken back."""
    withdrawn: int = 0
    """Outputs with a task that somebody deleted."""
    adopted: int = 0
    """Tasks of labelloop that were not stored in Postgres yet."""
    duplicates: int = 0
    """Duplicate tasks, deleted before anybody answered them."""
    faulty: int = 0
    """Tasks whose annotations Label Studio cannot show; they are tried again."""

    def __add__(self, other: PullReport) -> PullReport:
        return PullReport(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


class Pull:
    """One pull of one loop; its parts share this state."""

    def __init__(
        self,
        database: Database,
        gateway: Gateway,
        spec: LoopSpec,
        project: LoopProject,
        users: dict[UserId, Person] | None = None,
    ) -> None:
        """`users`: the caller's memory of Label Studio's users, which is filled when somebody unknown comes."""
        self.database, self.gateway, self.spec, self.project = database, gateway, spec, project
        self.project_id: ProjectId = project.id
        self.instance = project.instance
        with database.transaction() as conn:
            self.faulty = faulty_tasks.get(conn, spec.name, self.instance)
        """The tasks of which Label Studio cannot show the annotations, each with the reason."""
        self._users: dict[UserId, Person] = {} if users is None else users

    def take_in(
        self,
        tasks: Sequence[Task],
        *,
        bookmark: datetime | None = None,
        first: Callable[[Conn], object] | None = None,
        gone: Collection[TaskId] = (),
    ) -> PullReport:
        """Store the annotations of these tasks, their feedback and answers, and the bookmark, in one transaction.

        `first` is called in it before anything is stored. The annotations were there before the loop then: no alert.
        Tasks with a fault stay as they were stored. `gone`: faulty tasks that do not exist any more.
        """
        faulty = {task.id: task.fault for task in tasks if task.fault}
        tried = {*gone, *(task.id for task in tasks)}
        tasks = [task for task in tasks if not task.fault]
        users = self._users_of(tasks)
        with self.database.transaction() as conn:
            # One transaction at a time, so that answers are committed in the order of their seq.
            projects.lock_hop(conn, self.spec.name, "answers")
            now = projects.get(conn, self.spec.name)
            if now is None or now.instance != self.instance:
                raise Unreachable(f"loop {self.spec.name!r} has just got another project")
            if first is not None:
                first(conn)
            report = self._store(conn, tasks, users, first is None)
            projects.set_bookmark(conn, self.spec.name, bookmark)
            if faulty or tried & self.faulty.keys():
                faulty_tasks.replace(conn, self.spec.name, self.instance, tried, faulty)
        for id_ in faulty.keys() - self.faulty.keys():
            why, extra = faulty[id_], {"loop": self.spec.name}
            logger.warning("task %d cannot be read, the others can; it is tried again: %s", id_, why, extra=extra)
        self.faulty = {id_: self.faulty[id_] for id_ in self.faulty.keys() - tried} | faulty
        return report + PullReport(faulty=len(faulty))

    def read_again(self) -> PullReport:
        """Read the unreadable answers once more if the loop has another form since."""
        form = form_hash(self.spec)
        with self.database.transaction() as conn:
            if not unreadable.of_another_form(conn, self.spec.name, self.instance, form):
                return PullReport()
            projects.lock_hop(conn, self.spec.name, "answers")
            outputs = unreadable.of_another_form(conn, self.spec.name, self.instance, form)
            done = resolve(conn, self.spec, self.instance, outputs, {})
            return PullReport(outputs=len(outputs), answers=done.answers)

    def withdraw(self, conn: Conn, outputs: Sequence[UUID], *, on_purpose: bool = False) -> PullReport:
        """Withdraw outputs whose tasks were deleted in Label Studio: their answers no longer count.

        There is an alert for each that has an answer, unless a person has confirmed the deletion (`on_purpose`).
        """
        if not on_purpose:
            watch_deleted_tasks(conn, self.spec, self.instance, outputs)
        withdrawn = output_store.set_state(
            conn,
            outputs,
            HAS_TASK,
            OutputState.WITHDRAWN,
            DELETED,
        )
        withdrawn += adopted_tasks.withdraw(conn, outputs, DELETED)
        task_store.forget(conn, outputs)
        alert_rows.end_of_outputs(conn, outputs)
        for instance in (self.instance, given.instance_of(self.spec.name)):
            annotation_store.write_tombstones_of_outputs(conn, instance, outputs)
        feedback_store.forget(conn, outputs)
        done = resolve(conn, self.spec, self.instance, outputs, {})
        jobs.ask(conn, jobs.PUSH, self.spec.name)
        return PullReport(withdrawn=len(withdrawn), answers=done.answers)

    def _store(self, conn: Conn, tasks: Sequence[Task], users: Mapping[UserId, Person], watch: bool) -> PullReport:
        key = self.project.signing_key
        signed = {task.id: output_id for task in tasks if (output_id := task.output_id(key)) is not None}
        known = task_store.known(conn, self.spec.name, list(signed.values()))
        pushed = task_store.by_label_studio_id(conn, self.instance, [task.id for task in tasks])
        theirs = adopted_tasks.by_task(conn, self.instance, [task.id for task in tasks])
        # A task that was read before its output was forgotten, or that a backup of Label Studio brought back.
        gone = forgetting.among(conn, [*signed.values(), *(row.output_id for row in theirs.values())])
        if gone:
            left_out = {task_id for task_id, output_id in signed.items() if output_id in gone}
            left_out |= {task_id for task_id, row in theirs.items() if row.output_id in gone}
            tasks = [task for task in tasks if task.id not in left_out]
        opened = self._open_adopted(conn, tasks, theirs)
        strays = [task for task in tasks if task.id in signed and task.id not in theirs]
        adopted = [task for task in strays if self._adopt_stray(conn, task, known.get(signed[task.id]))]

        tampered = _tampered([t for t in tasks if t.id not in theirs], signed, known, pushed)
        outputs = pushed | {id_: signed[id_] for id_ in signed if id_ not in tampered and signed[id_] in known}
        outputs |= {task_id: row.output_id for task_id, row in theirs.items()}
        differ = [t for t in tasks if t.id not in theirs or data_sha256(t.data) != theirs[t.id].data_sha256]
        changed = edited(conn, self.spec.config, self.instance, differ, outputs, tampered)
        before = alerts_found.newest_seq(conn)
        seen: list[annotation_store.Seen] = [
            (annotation, outputs.get(task.id), TAMPERED if task.id in tampered else None)
            for task in tasks
            for annotation in task.annotations
        ]
        touched = annotation_store.add(conn, self.instance, seen)
        touched |= annotation_store.write_tombstones(
            conn, self.instance, {task.id: task.updated_at for task in tasks}, [item[0].id for item in seen]
        )
        if watch:
            watch_answers(conn, self.spec, self.instance, before, tasks, users)
            watch_items(conn, self.spec, self.instance, before, tasks, changed)
            watch_form(conn, self.spec, self.instance, before)
        touched |= {signed[task.id] for task in adopted} | opened
        done = resolve(conn, self.spec, self.instance, touched, users)
        return PullReport(tasks=len(tasks), outputs=len(touched), answers=done.answers, adopted=len(adopted))

    def _open_adopted(self, conn: Conn, tasks: Sequence[Task], theirs: Mapping[TaskId, Adopted]) -> set[UUID]:
        """Open the adopted tasks that people answered before labelloop chose them; return their outputs.

        A task whose output is held for its media is in the project all the same, and its annotator has seen it.
        """
        found = [theirs[task.id] for task in tasks if task.annotations and task.id in theirs]
        idle = [row.output_id for row in found if row.state in (*IDLE, OutputState.QUARANTINED)]
        if not idle:
            return set()
        # Wait for a push that may be opening them now: an output that it opens is not among those that people chose.
        projects.lock_hop(conn, self.spec.name, "push")
        return set(adopted_tasks.open_(conn, self.instance, dict.fromkeys(idle), by_people=True))

    def _adopt_stray(self, conn: Conn, task: Task, output: KnownOutput | None) -> bool:
        """Adopt a signed task that is not stored: its import took effect after the grace, or somebody restored it."""
        if output is None or output.label_studio_id is not None or output.state not in IDLE:
            return False
        try:
            batch_id = UUID(str(task.data.get(BATCH)))
        except ValueError:
            return False
        # Wait for a push that may be claiming the output now: if it takes the output, this task is not adopted.
        projects.lock_hop(conn, self.spec.name, "push")
        if not output_store.lock_idle(conn, output.id):
            return False
        batches.record_found(conn, batch_id, output.id)
        if not task_store.adopt_stray(conn, output.id, self.instance, task.id, batch_id):
            return False
        pool.remove(conn, output.id)
        output_store.set_state(conn, [output.id], [OutputState.WAITING], OutputState.PUSHING, None)
        idle = [OutputState.PUSHING, OutputState.WITHDRAWN, OutputState.PASSED]
        output_store.set_state(conn, [output.id], idle, OutputState.IN_REVIEW, "found in Label Studio")
        return True

    def upsert_reviewers(self) -> None:
        """Update the names of the reviewers. A reviewer who was deleted in Label Studio keeps the stored name."""
        self._users.update(self.gateway.users())
        with self.database.transaction() as conn:
            known = feedback_store.reviewers(conn, self.instance)
            feedback_store.upsert_reviewers(
                conn, self.instance, {id_: self._users[id_] for id_ in sorted(known) if id_ in self._users}
            )

    def _users_of(self, tasks: Sequence[Task]) -> Mapping[UserId, Person]:
        """Return Label Studio's users; they are requested if somebody has neither a stored name nor was met before."""
        people = {annotation.reviewer for task in tasks for annotation in task.annotations}
        people |= {task.updated_by for task in tasks}  # one of them may have deleted an annotation
        if not people - {None} - self._users.keys():
            return self._users
        with self.database.transaction() as conn:
            met = {person for person, row in feedback_store.reviewers(conn, self.instance).items() if row.name}
        if people - {None} - self._users.keys() - met:
            self._users.update(self.gateway.users())
        return self._users


def _tampered(
    tasks: Sequence[Task],
    signed: Mapping[TaskId, UUID],
    known: Mapping[UUID, KnownOutput],
    pushed: Mapping[TaskId, UUID],
) -> set[TaskId]:
    """Return the tasks whose key somebody edited: without a valid signature, or with the key of another task.

    `signed`: task to the output that its signature proves. `known`: the outputs of this loop among those. `pushed`:
    task to the output that labelloop made it for.
    """
    found = set[TaskId]()
    for task in tasks:
        output_id, made_for = signed.get(task.id), pushed.get(task.id)
        if output_id is None:
            is_wrong = task.ours or made_for is not None
        else:
            own = known[output_id].label_studio_id if output_id in known else None
            is_wrong = made_for not in (None, output_id) and own not in (None, task.id)
        if is_wrong:
            found.add(task.id)
    return found
