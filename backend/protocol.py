"""Label Studio's ML backend protocol, as of 1.23: /health /setup /predict /webhook /versions. Nothing here trains.

What Label Studio sends to /setup holds the API token of the project's owner: it is neither logged nor kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, jsonify, request

from backend.champions import Champions, Serving
from backend.hosted import hurry
from backend.scoring import predict as read_and_predict
from labelloop import results
from labelloop.settings import Settings
from labelloop.store import jobs, runs, serving
from labelloop.store import versions as version_store
from labelloop.store.database import Database
from labelloop.versions import PIPELINE, short

MAX_BODY = 32 << 20
"""Label Studio's "Retrieve predictions" sends all selected tasks in one request."""
MAX_TASKS = 1000
OPEN = {"health", "ready"}
"""What needs no password: it says nothing but whether we live."""


def blueprint(settings: Settings, database: Database, champions: Champions) -> Blueprint:
    settings.require("backend_user", "backend_password")
    bp = Blueprint("ml", __name__)

    @bp.before_request
    def _known_callers_only() -> Response | None:
        if (request.endpoint or "").removeprefix("ml.") in OPEN or _authorized(settings):
            return None
        response = jsonify(error="basic auth is required")
        response.status_code = 401
        response.headers["WWW-Authenticate"] = 'Basic realm="labelloop"'
        return response

    @bp.get("/health")
    def health() -> Any:
        return {"status": "UP", "model_class": "labelloop"}

    @bp.get("/readyz")
    def ready() -> Any:
        database.ping()
        troubles = champions.troubles()
        return {"status": "degraded" if troubles else "ready", "troubles": troubles}

    @bp.post("/setup")
    def setup() -> Any:
        return {"model_version": _serving(champions, _body().get("project")).version}

    @bp.post("/predict")
    def predict() -> Any:
        body = _body()
        tasks = _tasks(body.get("tasks"))
        return {"results": answer(database, _serving(champions, body.get("project")), tasks)}

    @bp.post("/webhook")
    def webhook() -> Any:
        event = request.get_json(silent=True)
        if not isinstance(event, dict) or event.get("action") != "START_TRAINING":
            return {"status": "ignored"}
        project = event.get("project")
        with database.transaction() as conn:
            project_id = _project_id(project.get("id") if isinstance(project, dict) else project)
            loop = None if project_id is None else serving.loop_of(conn, project_id)
            if loop is None:
                return {"status": "ignored"}
            run = runs.request(conn, loop, "Start training in Label Studio")
            jobs.ask(conn, jobs.RETRAIN, loop)
        return {"status": "folded into the open run" if run is None else "queued"}

    @bp.get("/versions")
    def versions() -> Any:
        with database.transaction() as conn:
            return {"versions": [*(short(i) for i in version_store.all_ids(conn)), PIPELINE]}

    return bp


def answer(database: Database, now: Serving, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One item a task, in order; an empty result where there is nothing to say. `score`: the confidence, 0 to 1."""
    said: list[tuple[str | None, float]] = [(None, 0.0)] * len(tasks)
    if now.learner is not None:
        with hurry.within(hurry.ANNOTATOR_S):
            positions, found = read_and_predict(now.learner, [task["data"] for task in tasks])
        for position, label, share in zip(positions, found.labels, found.confidences.tolist(), strict=True):
            said[position] = (label, share)
    else:
        ids = [_uuid(task["data"].get("labelloop_output")) for task in tasks]
        with database.transaction() as conn:
            known = serving.pipeline_labels(conn, now.loop, [i for i in ids if i is not None])
        for position, output_id in enumerate(ids):
            if (row := known.get(str(output_id))) is not None:
                said[position] = (row["label"], row["confidence"] or 0.0)
    return [
        {
            "result": results.encode(now.spec.config, label, task["data"].get("labelloop_label") or None),
            "score": score,
            "model_version": now.version,
        }
        for task, (label, score) in zip(tasks, said, strict=True)
    ]


def _authorized(settings: Settings) -> bool:
    """Both compared as bytes in constant time: compare_digest takes no text beyond ASCII."""
    given = request.authorization
    user, password = (given.username, given.password) if given is not None and given.type == "basic" else ("", "")
    right = [
        hmac.compare_digest((said or "").encode("utf-8", "surrogatepass"), expected.encode())
        for said, expected in ((user, settings.backend_user), (password, settings.backend_password))
    ]
    return all(right)


def _body() -> dict[str, Any]:
    try:
        body = request.get_json()
    except RecursionError:
        abort(400, "the body is nested too deeply")
    if not isinstance(body, dict):
        abort(400, "the body must be a JSON object")
    return body


def _tasks(tasks: object) -> list[dict[str, Any]]:
    if not isinstance(tasks, list):
        abort(400, "tasks must be a list")
    if len(tasks) > MAX_TASKS:
        abort(413, f"{len(tasks)} tasks in one request, {MAX_TASKS} at most: predictions are pushed, not retrieved")
    for position, task in enumerate(tasks):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            abort(400, f"tasks[{position}] must be an object with data")
    return tasks


def _serving(champions: Champions, project: object) -> Serving:
    project_id = _project_id(project)
    if project_id is None:
        abort(400, f"project must be '<id>.<created at>'; it is {str(project)[:100]!r}")
    now = champions.of(project_id)
    if now is None:
        current_app.logger.warning("asked for project %d, which is none of ours", project_id)
        abort(404, f"no loop of ours stands in Label Studio's project {project_id}")
    return now


def _project_id(project: object) -> int | None:
    """Of `30.1795451333`, and of 30."""
    digits = str(project).partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
