"""Newcomers: store the tasks of an adopted project that are not stored yet, each page in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.queue.adopted import FoundTask, data_sha256
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks, adoptions
from labelloop.store.adoptions import Adoption
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, projects
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables.outputs import Row
from sync.adopting.survey import Survey
from sync.pull.take_in import Pull, PullReport


@dataclass(frozen=True, slots=True)
class Before:
    """Part of a project that its loop has already when it adopts the project once more."""

    adoption: Adoption
    tasks: set[TaskId]
    """Tasks that are stored."""
    signing_key: bytes
    """Key that signs the tasks that the loop made there."""

    @property
    def is_released(self) -> bool:
        """Whether the loop gave the project back since."""
        return self.adoption.released_at is not None


def take_newcomers(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    tell: Callable[[int], object] = lambda _: None,
    unshown: dict[TaskId, datetime] | None = None,
) -> Survey | None:
    """Store the tasks of an adopted project that are not stored yet, with their annotations.

    Label Studio may commit a task later than others with a higher id, so every unknown id counts. `unshown`: the
    caller's memory of tasks that the form cannot show, with their last change. They are read again when they change.
    Returns what the new tasks have; None if the loop adopted no project, or has another one by now.
    """
    with database.transaction() as conn:
        adoption, project = adoptions.get(conn, spec.name), projects.get(conn, spec.name)
        if adoption is None or project is None or not _holds(adoption, project):
            return None
        known = adopted_tasks.known(conn, project.instance)
    hop = Pull(database, gateway, spec, project)
    survey = Survey(spec, project.id, str(adoption.settings.get("model_version") or ""))
    unshown = {} if unshown is None else unshown
    changes = gateway.task_changes(project.id)
    wanted = [id_ for id_, at in changes.items() if id_ not in known and unshown.get(id_) != at]
    for tasks in gateway.whole_tasks(project.id, wanted):
        page = [found for found in tasks if found.task.output_id(project.signing_key) is None]
        outputs = [(found, output) for found in page if (output := survey.add(found)) is not None]
        if outputs:
            _store(hop, outputs)
        unshown |= {found.task.id: changes[found.task.id] for found in page}
        for found, _ in outputs:
            del unshown[found.task.id]
        tell(survey.tasks)
    return survey


def look(
    gateway: Gateway,
    spec: LoopSpec,
    project_id: ProjectId,
    tell: Callable[[int], object],
    before: Before | None = None,
) -> Survey:
    """Return what an adoption would find, and change nothing. `before`: what the loop has of the project already."""
    shown = gateway.settings(project_id) if before is None or before.is_released else before.adoption.settings
    survey = Survey(spec, project_id, str(shown.get("model_version") or ""))
    known = set[TaskId]() if before is None else before.tasks
    for page in gateway.whole_tasks(project_id, [id_ for id_ in gateway.task_changes(project_id) if id_ not in known]):
        for found in page:
            if before is None or found.task.output_id(before.signing_key) is None:
                survey.add(found)
        tell(survey.tasks)
    return survey


def _holds(adoption: Adoption, project: LoopProject) -> bool:
    """Whether the adopted project is the loop's: it may have been released, or lost and made anew."""
    return adoption.released_at is None and adoption.project_id == project.project_id


def _store(hop: Pull, outputs: Sequence[tuple[FoundTask, Output]]) -> PullReport:
    """Store outputs and all annotations on their tasks, in one transaction. Known outputs stay."""

    def first(conn: Conn) -> None:
        sends, version = hop.spec.sends, loops.spec_version(conn, hop.spec)
        rows = [Row.of(output, lanes.place(output, hop.spec, sends)) for _, output in outputs]
        stored = output_store.insert(conn, hop.spec.name, rows, version)
        ids = {one.key: one.id for some in stored for one in some}
        tasks = {ids[output.key]: (found.task.id, data_sha256(found.task.data)) for found, output in outputs}
        adopted_tasks.add(conn, hop.spec.name, hop.instance, tasks)

    return hop.take_in([found.task for found, _ in outputs], first=first)
