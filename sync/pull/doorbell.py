"""Doorbell: Label Studio's webhook says that something happened in a loop's project. Nothing else of it is believed.

It is lost at times, comes twice or late, and can be forged by whoever sees its secret, which every member of the
project does: so it may cost a look at Label Studio, and never a label. Nor does it say what happened: to collect that
would cost the annotator, inside whose request it rings, a fifth of the whole. The address names the loop.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from labelloop.access import callers
from labelloop.errors import Retriable
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import jobs, projects
from labelloop.store.tables import tasks as task_store
from sync.project.project import HOOK_HEADER, hook_path

MAX_BYTES = 256 * 1024
PACE_S = 3.5
"""Seconds from a ring until the look, so that one look serves every click in between. The worker adds a second at most,
and the look itself takes less than half of one: answers are in Postgres within 5 s.
"""


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("doorbell", __name__)

    @bp.post(hook_path("<loop>"))
    def ring(loop: str) -> Response:
        """204 within milliseconds: Label Studio waits for it inside the annotator's request, for a second at most."""
        if not is_secret(settings, request.headers.get(HOOK_HEADER, "")):
            return _no(401, f"the header {HOOK_HEADER} is wrong or missing")
        raw = request.stream.read(MAX_BYTES + 1)
        action, project_id = "", None
        if len(raw) <= MAX_BYTES:  # else it is a webhook of before, which sent a task along: the look finds it
            try:
                action, project_id = _said(json.loads(raw))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                return _no(400, "not a webhook of Label Studio")
        try:
            with database.transaction() as conn:
                project = projects.get(conn, loop)
                if project is None or project_id not in (None, project.project_id):
                    return _no(404, "not the project of this loop")
                if action == "TASKS_DELETED":
                    task_store.doubt_open(conn, loop)
                jobs.ask(conn, jobs.PULL, loop, in_s=PACE_S)
        except Retriable:
            return _no(503, "Postgres does not answer")
        return Response(status=204)

    return bp


def is_secret(settings: Settings, given: str) -> bool:
    """Whether `given` is what Label Studio's webhook must carry."""
    return callers.is_same(given, settings.hook_secret)


def _said(body: Any) -> tuple[str, object]:
    """The action, and the id of the project if it is named. Raises for what is no webhook of Label Studio."""
    if not isinstance(body["action"], str):
        raise TypeError
    return body["action"], body["project"]["id"] if "project" in body else None


def _no(status: int, why: str) -> Response:
    return Response(json.dumps({"error": why}), status=status, mimetype="application/json")
