"""Safe repairs: those that need no decision of people. They only carry out what the workers would do in time, and what
follows from data that exist. No annotation and no answered task is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import NamedTuple
from uuid import UUID

from console.doctor.deep import CouldNotLookError, Status, look_twice
from console.doctor.deepest import places
from labelloop.answers import given
from labelloop.errors import LabelloopError
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.inspection import Inspection
from labelloop.outputs.output import OutputState
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import BATCH, Task
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import tasks as task_store
from sync.project.mend import mend
from sync.project.project import check_is_ours, ensure_project
from sync.pull.pull import pull
from sync.pull.resolve import resolve
from sync.pull.take_in import Pull
from sync.push.push import push

REPAIRED = {"I3", "I4", "I5", "I6", "I7", "I8", "I19", "I23", "I24", "I26"}
"""Invariants for which there is a safe repair, of all or of some of their problems."""
OF_ANSWERS = {"I23", "I24"}
ROUNDS = 2
"""A fault can hide another one about the same output, which the second round repairs."""


def fix_safe(settings: Settings, loop: str | None) -> list[str]:
    """Repair each loop for which an invariant with a safe repair does not hold; return what was done, in words.

    A repair that fails is told too, and the others are tried.
    """
    done: list[str] = []
    for _ in range(ROUNDS):
        try:
            broken = _broken(settings, loop)
        except CouldNotLookError as exc:
            return [*done, f"not done: {exc}"]
        if not broken:
            break
        done += _fix_all(settings, broken)
    return done


def _broken(settings: Settings, loop: str | None) -> dict[str, _Broken]:
    """Return by loop what can be repaired. Raises CouldNotLookError."""
    verdicts = look_twice(places(settings), loop, settle_s=0)
    broken: dict[str, _Broken] = {}
    for verdict in verdicts:
        if verdict.loop and verdict.invariant.id in REPAIRED and verdict.status in (Status.VIOLATED, Status.SUSPECT):
            found = broken.setdefault(verdict.loop, _Broken(set(), set()))
            found.tasks.update(TaskId(one.task) for one in verdict.problems if one.task)
            found.keys.update(one.key for one in verdict.problems if verdict.invariant.id in OF_ANSWERS)
    return broken


def _fix_all(settings: Settings, broken: Mapping[str, _Broken]) -> list[str]:
    done: list[str] = []
    with (
        Database(settings.database_url, size=2) as database,
        closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway,
    ):
        for name, found in broken.items():
            with database.transaction() as conn:
                spec = loops.at_work(conn, name)
            if spec is not None:
                done += _fix(database, gateway, spec, settings, found)
    return done


class _Broken(NamedTuple):
    keys: set[str]
    """Outputs whose feedback or answer does not follow from what people said."""
    tasks: set[TaskId]
    """Tasks with an annotation that is stored in another form."""


def _fix(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings, found: _Broken) -> list[str]:
    steps: list[tuple[str, Callable[[], Mapping[str, object]]]] = [
        ("tasks found by their key", lambda: _readopt(database, gateway, spec)),
        ("full pull", lambda: asdict(pull(database, gateway, spec, full=True))),
        ("tasks read again", lambda: _read_again(database, gateway, spec, found.tasks)),
        ("answers computed again", lambda: _resolve(database, spec, sorted(found.keys))),
        ("push", lambda: _push(database, gateway, spec, settings)),
    ]
    done = []
    for what, step in steps:
        try:
            counts = {name: n for name, n in step().items() if n}
            told = ", ".join(f"{name} {n}" for name, n in counts.items())
        except LabelloopError as exc:
            told = f"not done: {exc}"
        if told:
            done.append(f"{spec.name}: {what}: {told}")
    return done


def _push(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings) -> Mapping[str, object]:
    """Restore settings, form, webhook and predictions, end the imports that were left, and fill the window."""
    ensure_project(database, gateway, spec, settings)
    with closing(Inspection(settings.label_studio_url, settings.label_studio_token)) as studio:
        mend(database, studio, spec)
    return asdict(push(database, gateway, spec, settings))


def _read_again(database: Database, gateway: Gateway, spec: LoopSpec, tasks: set[TaskId]) -> Mapping[str, object]:
    """Store the annotations of these tasks as Label Studio has them, although no task says that it changed."""
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
    if project is None or project.project_id is None or not tasks:
        return {}
    return asdict(Pull(database, gateway, spec, project).take_in(gateway.tasks(project.id, tasks)))


def _resolve(database: Database, spec: LoopSpec, keys: list[str]) -> Mapping[str, object]:
    """Read the annotations of these outputs again, and append the answers that follow."""
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        project = projects.get(conn, spec.name)
        ids = [row.id for row in output_store.find(conn, spec.name, keys)]
        instances = [given.instance_of(spec.name)] + ([] if project is None else [project.instance])
        answers = sum(resolve(conn, spec, instance, ids, {}).answers for instance in instances)
    return {"outputs": len(ids), "answers": answers}


def _readopt(database: Database, gateway: Gateway, spec: LoopSpec) -> Mapping[str, object]:
    """Correct the number of a task that Label Studio has under another one, and store a task whose row is lost."""
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
    if project is None or project.project_id is None:
        return {}
    check_is_ours(gateway, project)
    there: set[TaskId] = set()
    signed: dict[UUID, list[tuple[int, TaskId, str]]] = {}
    for task in gateway.all_tasks(project.id):
        there.add(task.id)
        if (output_id := task.output_id(project.signing_key)) is not None:
            signed.setdefault(output_id, []).append((-task.annotated, task.id, _batch(task)))
    return {"tasks": _correct(database, spec, project, there, signed)}


def _correct(
    database: Database,
    spec: LoopSpec,
    project: LoopProject,
    there: set[TaskId],
    signed: Mapping[UUID, list[tuple[int, TaskId, str]]],
) -> int:
    """`signed`: the tasks of each output that its signature proves, each with the batch that made it."""
    n = 0
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "push")
        for known in task_store.known(conn, spec.name, list(signed)).values():
            _, task_id, batch_id = min(signed[known.id])
            if known.label_studio_id is None and known.state in (OutputState.IN_REVIEW, OutputState.ANSWERED):
                n += bool(batch_id) and task_store.adopt_stray(
                    conn, known.id, project.instance, task_id, UUID(batch_id)
                )
            elif known.label_studio_id is not None and known.label_studio_id not in there:
                task_store.point_to(conn, known.id, task_id)
                n += 1
    return n


def _batch(task: Task) -> str:
    """Return the id of the batch in a task's data; "" if it is none."""
    try:
        return str(UUID(str(task.data.get(BATCH))))
    except ValueError:
        return ""
