"""Label Studio's ML backend protocol, as of 1.23: /health /setup /predict /webhook /versions. No route trains.

The body of /setup holds the API token of the project's owner: it is neither logged nor kept. If the form does not fit
the model, /setup refuses it, and Label Studio does not connect the model. If /predict refuses a request, the annotator
only sees no prelabel.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, abort, g, request

from backend.serve.champions import Champions, Serving
from backend.serve.predict import Predictor
from labelloop.access import callers
from labelloop.process import service
from labelloop.process.bodies import json_object
from labelloop.process.metrics import Metrics
from labelloop.process.problems import problem
from labelloop.process.settings import Settings
from labelloop.reading.ids import ProjectId
from labelloop.store.database import Database
from labelloop.store.questions import serving
from labelloop.store.tables import jobs, loops, runs
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import PIPELINE, short

MAX_BODY = 32 << 20
"""Bytes of a request body; Label Studio's "Retrieve predictions" sends all selected tasks in one request."""
MAX_TASKS = 1000
ROUTES_WITHOUT_LOGIN = {"health", "ready"}
"""Routes that need no password: they only report the state of the service."""
MAX_REASON = 300
_UNSAFE = re.compile(r"[^\w .,;:'()$-]", re.ASCII)
logger = logging.getLogger(__name__)


def blueprint(
    settings: Settings, database: Database, champions: Champions, predictor: Predictor, metrics: Metrics
) -> Blueprint:
    """Return the routes of the protocol. Raises SettingsError without the backend's user and password."""
    settings.require("backend_user", "backend_password")
    routes = _Routes(settings, database, champions, predictor, metrics)
    bp = Blueprint("ml", __name__)
    bp.before_request(routes.require_login)
    for rule, method, view in (
        ("/health", "GET", routes.health),
        ("/readyz", "GET", routes.ready),
        ("/metrics", "GET", routes.measured),
        ("/setup", "POST", routes.setup),
        ("/predict", "POST", routes.predict),
        ("/webhook", "POST", routes.webhook),
        ("/versions", "GET", routes.versions),
    ):
        bp.add_url_rule(rule, endpoint=view.__name__, view_func=view, methods=[method])
    return bp


@dataclass(frozen=True, slots=True)
class _Routes:
    """The routes, one method each, with the objects that they use."""

    settings: Settings
    database: Database
    champions: Champions
    predictor: Predictor
    metrics: Metrics

    def require_login(self) -> Response | None:
        open_to_all = (request.endpoint or "").removeprefix("ml.") in ROUTES_WITHOUT_LOGIN
        if open_to_all or is_caller(self.settings, request.headers.get("Authorization", "")):
            return None
        return problem(401, "basic auth is required", headers={"WWW-Authenticate": 'Basic realm="labelloop"'})

    def health(self) -> Any:
        return {"status": "UP", "model_class": "labelloop"}

    def ready(self) -> Any:
        self.database.ping()
        return service.readiness({"troubles": self.champions.troubles}, ("ready", "degraded"))

    def measured(self) -> Response:
        return self.metrics.page()

    def setup(self) -> Any:
        body = json_object()
        now = _serving(self.champions, body.get("project"))
        _check_form(self.predictor, now, body.get("schema"), "schema")
        return {"model_version": now.version}

    def predict(self) -> Any:
        """Answer a request for predictions. With `params.context` it is interactive, with one task."""
        with self.predictor.place():  # before the body is read
            body = json_object()
            tasks = _tasks(body.get("tasks"))
            now = _serving(self.champions, body.get("project"))
            g.facts |= {"tasks": len(tasks), "interactive": _interactive(body)}
            _check_form(self.predictor, now, body.get("label_config"), "label_config")
            return {"results": self.predictor.answer(now, tasks), "model_version": now.version}

    def webhook(self) -> Any:
        """Request a run if Label Studio sends START_TRAINING; ignore every other event."""
        try:
            event = request.get_json(silent=True)
        except RecursionError:
            event = None
        if not isinstance(event, dict) or event.get("action") != "START_TRAINING":
            return {"status": "ignored"}
        project = event.get("project")
        with self.database.transaction() as conn:
            project_id = _project_id(project.get("id") if isinstance(project, dict) else project)
            loop = None if project_id is None else serving.loop_of(conn, project_id)
            if loop is None:
                return {"status": "ignored"}
            if (spec := loops.get(conn, loop)) is not None and spec.without_learner is not None:
                return {"status": "ignored", "reason": spec.without_learner}
            run = runs.request(conn, loop, "Start training in Label Studio")
            jobs.ask(conn, jobs.RETRAIN, loop)
        return {"status": "folded into the queued run" if run is None else "queued"}

    def versions(self) -> Any:
        with self.database.transaction() as conn:
            return {"versions": [*(short(i) for i in version_store.all_ids(conn)), PIPELINE]}


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
        logger.warning("a request names project %d, which belongs to no loop", project_id)
        abort(404, f"no loop uses Label Studio's project {project_id}")
    g.facts = {"loop": now.loop, "version": now.version}
    return now


def _check_form(predictor: Predictor, now: Serving, xml: object, name: str) -> None:
    """Answer 409 if the model cannot answer in this form. Label Studio always sends a form; other callers may not.

    Label Studio shows and keeps only the status line of a refusal. So the line names the difference too, without
    characters that a page could take for markup.
    """
    if not xml:
        return
    if not isinstance(xml, str):
        abort(400, f"{name} must be a text")
    faults = predictor.faults(now, xml)
    if faults:
        words = f"the label config does not fit {now.loop}'s model {now.version}: {'; '.join(faults)}"
        response = problem(409, words)
        response.status = f"409 {_UNSAFE.sub('?', words)[:MAX_REASON]}"
        abort(response)


def _interactive(body: dict[str, Any]) -> bool:
    params = body.get("params")
    return isinstance(params, dict) and params.get("context") is not None


def _project_id(project: object) -> ProjectId | None:
    """Return the id in `30.1795451333`, or in 30; None for anything else."""
    digits = str(project).partition(".")[0]
    return ProjectId(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None
