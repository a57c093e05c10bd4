"""Label Studio's ML backend protocol, as of 1.23: /health /setup /predict /webhook /versions. Nothing here trains.

What Label Studio sends to /setup holds the API token of the project's owner: it is neither logged nor kept. A refused
/setup keeps a form that does not fit from being connected; a refused /predict costs an annotator the prelabel only.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify, request

from backend.serve.champions import Champions, Serving
from backend.serve.predict import Predictor
from labelloop.access import callers
from labelloop.process import service
from labelloop.process.bodies import json_object
from labelloop.process.metrics import Metrics
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.questions import serving
from labelloop.store.tables import jobs, loops, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import PIPELINE, short

MAX_BODY = 32 << 20
"""Label Studio's "Retrieve predictions" sends all selected tasks in one request."""
MAX_TASKS = 1000
OPEN = {"health", "ready"}
"""What needs no password: it says nothing but whether we live."""
MAX_REASON = 300
_UNSAFE = re.compile(r"[^\w .,;:'()$-]", re.ASCII)
logger = logging.getLogger(__name__)


def blueprint(
    settings: Settings, database: Database, champions: Champions, predictor: Predictor, metrics: Metrics
) -> Blueprint:
    settings.require("backend_user", "backend_password")
    bp = Blueprint("ml", __name__)

    @bp.before_request
    def _known_callers_only() -> Response | None:
        if (request.endpoint or "").removeprefix("ml.") in OPEN or is_caller(
            settings, request.headers.get("Authorization", "")
        ):
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
        return service.readiness({"troubles": champions.troubles}, ("ready", "degraded"))

    @bp.get("/metrics")
    def measured() -> Response:
        return metrics.page()

    @bp.post("/setup")
    def setup() -> Any:
        body = json_object()
        now = _serving(champions, body.get("project"))
        _fits(predictor, now, body.get("schema"), "schema")
        return {"model_version": now.version}

    @bp.post("/predict")
    def predict() -> Any:
        """With `params.context` an interactive request: one task, answered as any other."""
        with predictor.place():  # before the body is read
            body = json_object()
            tasks = _tasks(body.get("tasks"))
            now = _serving(champions, body.get("project"))
            g.facts |= {"tasks": len(tasks), "interactive": _interactive(body)}
            _fits(predictor, now, body.get("label_config"), "label_config")
            return {"results": predictor.answer(now, tasks), "model_version": now.version}

    @bp.post("/webhook")
    def webhook() -> Any:
        try:
            event = request.get_json(silent=True)
        except RecursionError:
            event = None
        if not isinstance(event, dict) or event.get("action") != "START_TRAINING":
            return {"status": "ignored"}
        project = event.get("project")
        with database.transaction() as conn:
            project_id = _project_id(project.get("id") if isinstance(project, dict) else project)
            loop = None if project_id is None else serving.loop_of(conn, project_id)
            if loop is None:
                return {"status": "ignored"}
            if (spec := loops.get(conn, loop)) is not None and spec.without_learner is not None:
                return {"status": "ignored", "reason": spec.without_learner}
            run = runs.request(conn, loop, "Start training in Label Studio")
            jobs.ask(conn, jobs.RETRAIN, loop)
        return {"status": "folded into the queued run" if run is None else "queued"}

    @bp.get("/versions")
    def versions() -> Any:
        with database.transaction() as conn:
            return {"versions": [*(short(i) for i in version_store.all_ids(conn)), PIPELINE]}

    return bp


def is_caller(settings: Settings, authorization: str) -> bool:
    """Whether this Authorization header carries the backend's user and password; compared in constant time."""
    return callers.has_basic(authorization, settings.backend_user, settings.backend_password)


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
        logger.warning("asked for project %d, which is none of ours", project_id)
        abort(404, f"no loop of ours stands in Label Studio's project {project_id}")
    g.facts = {"loop": now.loop, "version": now.version}
    return now


def _fits(predictor: Predictor, now: Serving, xml: object, name: str) -> None:
    """Answers 409 where the model cannot answer in this form. Label Studio always sends one; others need not.

    Of a refusal Label Studio shows and keeps nothing but the status line, so the difference stands there too, without
    anything that its page could take for markup.
    """
    if not xml:
        return
    if not isinstance(xml, str):
        abort(400, f"{name} must be a text")
    faults = predictor.faults(now, xml)
    if faults:
        words = f"the label config is not one that {now.loop}'s model {now.version} knows: {'; '.join(faults)}"
        response = jsonify(error=words)
        response.status = f"409 {_UNSAFE.sub('?', words)[:MAX_REASON]}"
        abort(response)


def _interactive(body: dict[str, Any]) -> bool:
    params = body.get("params")
    return isinstance(params, dict) and params.get("context") is not None


def _project_id(project: object) -> int | None:
    """Of `30.1795451333`, and of 30."""
    digits = str(project).partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
