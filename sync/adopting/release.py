"""Release: give an adopted project back as it was, without anything that labelloop made in it.

What people made stays: their tasks, annotations, drafts, predictions, tabs and webhooks, and every setting that they
changed. All answers stay in Postgres, with the archived loop. After a kill at any point, another call completes it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from labelloop.errors import Ambiguous, Failed, Refused, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.listing import PAGE
from labelloop.process.settings import Settings
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store import adopted_tasks, adoptions
from labelloop.store.adoptions import Adoption
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from sync.adopting.settings import restored
from sync.project import adjudicating
from sync.project.project import HOOK_HEADER, ML_TITLE, check_is_ours, hook_path, mark
from sync.project.signposts import TAB
from sync.pull.pull import pull
from sync.push.assign import is_of_person

logger = logging.getLogger(__name__)

JOBS_END_WITHIN_S = 120.0
"""Seconds within which a push or pull that has begun ends."""


@dataclass(frozen=True, slots=True)
class Released:
    """Counts of deleted things, and names of settings."""

    project: int
    deleted_predictions: int
    """Predictions of the loop that were deleted."""
    deleted_tasks: int
    """Tasks that the loop had made and nobody had begun to answer: they were deleted."""
    kept_tasks: int
    """Tasks that the loop had made and people have answered: they stay, with the answers."""
    restored_settings: Sequence[str]
    """Settings that have the value of before the adoption again."""
    kept_settings: Sequence[str]
    """Settings that people changed meanwhile: they stay as they are."""
    waiting: int
    """Outputs that were open: they wait in Postgres, in case the project is adopted again."""


def release(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings, by: str) -> Released:
    """Give the project back and archive the loop. Raises UsageError if the loop has not adopted it."""
    adoption, project = _gather(database, spec)
    has = _description(gateway, project, spec.name)  # before anything changes: Label Studio may be away
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "push")  # the choice of tasks that has begun ends first
        loops.archive(conn, spec.name, by)
    _wait_for_jobs(database, spec.name)
    if mark(project) in has:
        pull(database, gateway, spec)
    elif gateway.settings(project.id).get("description") != adoption.settings.get("description"):
        check_is_ours(gateway, project)  # it says what to do

    _disconnect(gateway, project, adoption, spec, settings)
    deleted, kept = _take_tasks_away(gateway, project)
    with database.transaction() as conn:
        versions = adoptions.versions(conn, spec.name)
        touched = adopted_tasks.changed(conn, spec.name, project.instance)
    predictions = _take_predictions_away(gateway, project, versions)
    _ask_as_many_as_before(gateway, project, touched, int(adoption.settings["maximum_annotations"]))
    if mark(project) in has:
        pull(database, gateway, spec)  # answers that were given meanwhile
    back, changed = _restore(database, gateway, spec, project, adoption, versions)

    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        projects.lock_hop(conn, spec.name, "push")
        waiting = adoptions.let_go(conn, spec.name)
        adoptions.release(conn, spec.name)
    logger.info("release", extra={"loop": spec.name, "project": project.id})
    return Released(project.id, predictions, deleted, kept, back, changed, waiting)


def _gather(database: Database, spec: LoopSpec) -> tuple[Adoption, LoopProject]:
    with database.transaction() as conn:
        adoption, project = adoptions.get(conn, spec.name), projects.get(conn, spec.name)
    if adoption is None or project is None:
        raise UsageError(
            f"loop {spec.name!r} has adopted no project: labelloop made its project, so there is nothing to give back. "
            f"`labelloop loop archive {spec.name}` ends the work on it"
        )
    if adoption.released_at is not None:
        raise UsageError(
            f"loop {spec.name!r} gave project {adoption.project_id} back on {adoption.released_at:%Y-%m-%d}. To adopt "
            f"it again: labelloop adopt --project {adoption.project_id} --loop {spec.name}"
        )
    if adoption.project_id != project.project_id:
        raise UsageError(
            f"loop {spec.name!r} lost the adopted project {adoption.project_id}; its project {project.project_id} was "
            "made by labelloop, so there is nothing to give back"
        )
    return adoption, project


def _description(gateway: Gateway, project: LoopProject, loop: str) -> str:
    """Return the project's description. Raises UsageError if the project is gone."""
    try:
        return gateway.project(project.id).description
    except Refused as exc:
        if exc.status not in (403, 404):
            raise
        raise UsageError(
            f"there is no project {project.id} in Label Studio at {gateway.url} that the token may see, so there is "
            f"nothing to give back. If it was deleted: `labelloop loop archive {loop}` ends the work on it"
        ) from exc


def _wait_for_jobs(database: Database, loop: str) -> None:
    """Wait until no worker pushes or pulls for the loop, which is archived: no job begins any more."""
    deadline = time.monotonic() + JOBS_END_WITHIN_S
    while True:
        with database.transaction() as conn:
            if not adoptions.at_work(conn, loop):
                return
        if time.monotonic() > deadline:
            raise Failed(
                f"a push or pull of loop {loop!r} has been running for more than {JOBS_END_WITHIN_S:.0f} s. The loop "
                "is archived; run `labelloop release` again when the worker has ended it, or restart the worker"
            )
        time.sleep(0.2)


def _disconnect(gateway: Gateway, project: LoopProject, adoption: Adoption, spec: LoopSpec, settings: Settings) -> None:
    """Delete our webhook, ML backend and tabs."""
    for hook in gateway.webhooks(project.id):
        if hook.url.endswith(hook_path(spec.name)) and HOOK_HEADER in (hook.headers or {}):
            gateway.delete_webhook(hook.id)
    for backend in gateway.ml_backends(project.id):
        if backend.title == ML_TITLE and backend.url.rstrip("/") == settings.backend_url.rstrip("/"):
            gateway.delete_ml_backend(backend.id)
    for view in gateway.views(project.id):
        if (view.title == TAB or is_of_person(view) or adjudicating.is_ours(view)) and view.id not in adoption.tabs:
            gateway.delete_view(view.id)


def _take_tasks_away(gateway: Gateway, project: LoopProject) -> tuple[int, int]:
    """Delete the tasks that the loop made, unless somebody has begun to answer. Returns how many, and how many stay."""
    made = [task for task in gateway.all_tasks(project.id) if task.output_id(project.signing_key) is not None]
    kept = 0
    for task in made:
        if task.annotated or gateway.has_draft(project.id, task.id):
            kept += 1
        else:
            gateway.delete_task(task.id)
    return len(made) - kept, kept


def _take_predictions_away(gateway: Gateway, project: LoopProject, versions: set[str]) -> int:
    """Delete all predictions of the loop; return how many there were.

    A long deletion may outlast the request. It goes on in Label Studio, so it is only asked for again.
    """
    there = gateway.static_versions(project.id)
    for version in sorted(versions & there.keys()):
        left = there[version]
        while left:
            try:
                gateway.delete_version(project.id, version)
                left = 0
            except Ambiguous:
                before, left = left, gateway.static_versions(project.id).get(version, 0)
                if left >= before:
                    raise
    return sum(there[version] for version in versions & there.keys())


def _ask_as_many_as_before(gateway: Gateway, project: LoopProject, tasks: Sequence[TaskId], overlap: int) -> None:
    """Let Label Studio ask as many people about these tasks as about the others."""
    for start in range(0, len(tasks), PAGE):
        for task_id, (_, given, _) in gateway.opinions(project.id, tasks[start : start + PAGE]).items():
            gateway.reopen_task(task_id, overlap, done=given >= overlap)


def _restore(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    project: LoopProject,
    adoption: Adoption,
    versions: set[str],
) -> tuple[list[str], list[str]]:
    """Set the project's settings back; return the names of those, and of those that people changed meanwhile."""
    with database.transaction() as conn:
        row = projects.get(conn, spec.name)
    words = {} if row is None else row.words
    wanted = restored(adoption.settings, gateway.settings(project.id), spec, words, versions)
    kept, back = list(wanted.kept), dict(wanted.changes)
    for name in ("label_config", "model_version"):  # Label Studio may refuse these: answers or predictions are in use
        if name in back:
            try:
                gateway.update_project(project.id, **{name: back[name]})
            except Refused as exc:
                logger.warning("project %s keeps its %s: %s", project.id, name, exc)
                kept.append(name)
                del back[name]
    # Last, because the mark goes with it: until then another call knows the project.
    if others := {name: value for name, value in back.items() if name not in ("label_config", "model_version")}:
        gateway.update_project(project.id, **others)
    return list(back), kept
