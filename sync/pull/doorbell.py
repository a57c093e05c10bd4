"""Doorbell: Label Studio's webhook, which only says that something happened in a loop's project.

A webhook can be lost, repeated or late. Every member of the project sees its secret and can forge it. So a webhook may
cost a pull, but it never carries a label. Two parts of its body are read: the project, which must be the loop's, and
the action. After TASKS_DELETED the next pull checks whether the open tasks still exist. The body has no task or
annotation: to collect them would take a fifth of the time of the annotator's request, during which the webhook is sent.
Its address names the loop.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from labelloop.access import callers
from labelloop.errors import Retriable
from labelloop.process.problems import problem
from labelloop.process.service import RETRY_AFTER_S
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import jobs, projects
from labelloop.store.tables import tasks as task_store
from sync.project.project import HOOK_HEADER, hook_path

MAX_BYTES = 256 * 1024
PACE_S = 3.5
"""Seconds from a webhook to its pull, so that one pull serves all clicks in between. The worker adds at most a second,
and the pull takes less than half a second: answers are in Postgres within 5 s.
"""


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("doorbell", __name__)

    @bp.post(hook_path("<loop>"))
    def ring(loop: str) -> Response:
        """Answer 204 within milliseconds: Label Studio waits for it in the annotator's request, at most a second."""
        if not is_secret(settings, request.headers.get(HOOK_HEADER, "")):
            return problem(401, f"the header {HOOK_HEADER} is wrong or missing")
        raw = request.stream.read(MAX_BYTES + 1)
        action, project_id = "", None
        if len(raw) <= MAX_BYTES:  # a longer one is an older webhook, which sent a task along: the pull finds it
            try:
                action, project_id = _action_and_project(json.loads(raw))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                return problem(400, "not a webhook of Label Studio")
        try:
            with database.transaction() as conn:
                project = projects.get(conn, loop)
                if project is None or project_id not in (None, project.project_id):
                    return problem(404, "not the project of this loop")
                if action == "TASKS_DELETED":
                    task_store.doubt_open(conn, loop)
                jobs.ask(conn, jobs.PULL, loop, in_s=PACE_S)
        except Retriable:
            return problem(503, "Postgres does not answer", headers={"Retry-After": str(RETRY_AFTER_S)})
        return Response(status=204)

    return bp


def is_secret(settings: Settings, given: str) -> bool:
    """Whether `given` is the secret that Label Studio's webhook must carry."""
    return callers.is_same(given, settings.hook_secret)


def _action_and_project(body: Any) -> tuple[str, object]:
    """Return the action, and the id of the project if it is named. Raises if this is not Label Studio's webhook."""
    if not isinstance(body["action"], str):
        raise TypeError
    return body["action"], body["project"]["id"] if "project" in body else None
