"""Doorbell: Label Studio's webhook says which tasks were touched. Nothing else of it is believed.

It is lost at times, comes twice or late, and can be forged by whoever sees its secret, which every member of the
project does: so it may cost a look at Label Studio, and never a label.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from flask import Blueprint, Response, request

from labelloop.errors import Retriable
from labelloop.labelstudio.answers import is_id
from labelloop.settings import Settings
from labelloop.store import annotations as annotation_store
from labelloop.store import jobs, projects
from labelloop.store.database import Database
from sync.project import HOOK_HEADER, hook_path

MAX_BYTES = 256 * 1024
MAX_IDS = 5_000


def blueprint(settings: Settings, database: Database) -> Blueprint:
    bp = Blueprint("doorbell", __name__)

    @bp.post(hook_path("<loop>"))
    def ring(loop: str) -> Response:
        """204 within milliseconds: Label Studio waits for it inside the annotator's request, for a second at most."""
        if not is_secret(settings, request.headers.get(HOOK_HEADER, "")):
            return _no(401, f"the header {HOOK_HEADER} is wrong or missing")
        raw = request.stream.read(MAX_BYTES + 1)
        named: tuple[int, list[int], list[int]] | None = None
        if len(raw) <= MAX_BYTES:  # else Label Studio sent a task's data along, an image perhaps: the look must find it
            try:
                named = _ids(json.loads(raw))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                return _no(400, "not a webhook of Label Studio")
        try:
            with database.transaction() as conn:
                project = projects.get(conn, loop)
                if project is None or (named is not None and project["project_id"] != named[0]):
                    return _no(404, "not the project of this loop")
                if named is not None:
                    _, tasks, touched = named
                    tasks += annotation_store.tasks_of(conn, project["instance"], touched)
                    annotation_store.ring(conn, loop, tasks)
                jobs.ask(conn, jobs.PULL, loop)
        except Retriable:
            return _no(503, "Postgres does not answer")
        return Response(status=204)

    return bp


def is_secret(settings: Settings, given: str) -> bool:
    """Whether `given` is what Label Studio's webhook must carry."""
    return bool(settings.hook_secret) and hmac.compare_digest(given.encode(), settings.hook_secret.encode())


def _ids(body: Any) -> tuple[int, list[int], list[int]]:
    """Project, tasks, and annotations whose task is not named (a deletion names only them). Anything odd raises."""
    if not isinstance(body["action"], str):
        raise TypeError
    project_id = _id(body["project"]["id"])
    tasks = [_id(task["id"]) for task in [*_many(body.get("task")), *_many(body.get("tasks"))]]
    given = [*_many(body.get("annotation")), *_many(body.get("annotations"))]
    tasks += [_id(annotation["task"]) for annotation in given if "task" in annotation]
    touched = [_id(annotation["id"]) for annotation in given if "task" not in annotation]
    if len(tasks) + len(touched) > MAX_IDS:
        raise ValueError
    return project_id, tasks, touched


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _id(value: object) -> int:
    if not is_id(value):
        raise TypeError
    return value


def _no(status: int, why: str) -> Response:
    return Response(json.dumps({"error": why}), status=status, mimetype="application/json")
