"""Recreate: give a loop whose project or tasks are lost a new project, and ask its open tasks again there.

Answers stay in Postgres, and count. Answers that still come from the old project are ignored: its webhook names a
project that is not the loop's any more.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from typing import Any

from labelloop.errors import Failed, LabelloopError, Refused, UsageError
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.queue.batches import BatchKind, BatchState
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import batches, projects
from labelloop.store.tables import tasks as task_store
from sync.project.project import HOOK_HEADER, check_is_ours, ensure_project, hook_path
from sync.pull.pull import pull
from sync.pull.restored import LabelStudioIsOlder, check_gone, check_not_older
from sync.pull.sweep import by_output, gone_from, reduce, too_many
from sync.push.batches import put_back
from sync.push.push import push

logger = logging.getLogger(__name__)
REASON = "its project in Label Studio was lost"


def recreate(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings) -> dict[str, Any]:
    """Return {"project", "recreated", "waits", "pushed"}. A project that exists with its tasks is not replaced.

    After a kill at any point, another call brings the loop to the same end.
    """
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
    waits, lost = 0, False
    if project is not None and project.project_id is not None:
        stands, lost = _look(database, gateway, spec, project)
        if lost:
            if stands:
                _pull_newest(database, gateway, spec)
            with database.transaction() as conn:
                waits = _let_go(conn, spec.name)
            if stands:
                _silence(gateway, project.id, spec.name)
    made = ensure_project(database, gateway, spec, settings).project
    pushed = push(database, gateway, spec, settings)
    logger.info("recreate", extra={"loop": spec.name, "project": made.id, "recreated": lost})
    return {"project": made.id, "recreated": lost, "waits": waits, "pushed": pushed.pushed}


def _look(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> tuple[bool, bool]:
    """Return whether the project exists, and whether it or most of its tasks are lost. Raises if that is unclear."""
    if project.label_studio_url.rstrip("/") != gateway.url:
        raise UsageError(
            f"the project of loop {spec.name!r} is in Label Studio at {project.label_studio_url}, but this is "
            f"{gateway.url}. Set LABELLOOP_LABEL_STUDIO_URL to the first one"
        )
    gateway.whoami()
    try:
        check_is_ours(gateway, project)
    except Failed as exc:
        if isinstance(exc.__cause__, Refused):
            return False, True
        raise
    with database.transaction() as conn:
        rows = task_store.ids(conn, spec.name)
    standing = reduce(gateway.all_tasks(project.id), project.signing_key)
    gone = gone_from(rows, standing, by_output(standing))
    try:
        check_not_older(database, gateway, spec, project)
        check_gone(database, gateway, spec, project, [one.task for one in gone])
    except LabelStudioIsOlder as exc:
        logger.warning("%s", exc, extra={"loop": spec.name})
        return True, True
    return True, too_many(len(gone), len(rows))


def _pull_newest(database: Database, gateway: Gateway, spec: LoopSpec) -> None:
    """Pull the newest answers, unless Label Studio was restored: then it may use the numbers of lost answers again."""
    with suppress(LabelStudioIsOlder):
        pull(database, gateway, spec)


def _let_go(conn: Conn, loop: str) -> int:
    """Let all outputs that are open or on their way wait again; returns how many."""
    for hop in ("answers", "push"):  # in the order of sync/answering/feedback.py
        projects.lock_hop(conn, loop, hop)
    n = 0
    for batch in batches.open_(conn, loop):
        if batch.kind == BatchKind.TASKS:
            n += put_back(conn, batch.id, batch.state, BatchState.ABANDONED, REASON)
        else:
            batches.end(conn, batch.id, batch.state, BatchState.ABANDONED, REASON)
            batches.forget_items(conn, batch.id)
    n += task_store.wait_again(conn, loop, REASON)
    projects.replace(conn, loop, secrets.token_bytes(32))
    return n


def _silence(gateway: Gateway, project_id: ProjectId, loop: str) -> None:
    """Delete our webhook from the old project, so that no click there waits for it; a failure does no harm."""
    try:
        for hook in gateway.webhooks(project_id):
            if hook.url.endswith(hook_path(loop)) and HOOK_HEADER in (hook.headers or {}):
                gateway.delete_webhook(hook.id)
    except LabelloopError as exc:
        logger.warning("the webhook of the old project %d could not be deleted: %s", project_id, exc)
