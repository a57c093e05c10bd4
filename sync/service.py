"""The sync service: intake and doorbell, and whether it is alive and ready; gunicorn runs `sync.service:from_env()`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial

import httpx
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from labelloop.errors import Retriable, Unstorable
from labelloop.process import log
from labelloop.process.metrics import Metrics
from labelloop.process.serving import BODY_LIMIT, SMALL_BODY, refuse_broken_queries
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from sync.gauges import Window
from sync.intake import http as intake
from sync.project.project import HOOK_HEADER
from sync.pull import doorbell

logger = logging.getLogger(__name__)
PROBE_S = 3.0
MAX_RING = 32 << 20
"""Label Studio may send a task's data along, an image perhaps."""


def create_app(settings: Settings, database: Database) -> Flask:
    """The whole service as one WSGI application."""
    settings.require("intake_token")
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[BODY_LIMIT] = partial(_body_limit, settings)
    metrics = Metrics(app, [Window(database)])
    refuse_broken_queries(app)
    app.register_blueprint(intake.blueprint(settings, database, metrics))
    app.register_blueprint(doorbell.blueprint(settings, database))

    @app.get("/healthz")
    def healthz() -> Response:
        """Alive: answers without asking anybody."""
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """Ready: Postgres and Label Studio answer; says which does not."""
        found = {"postgres": _postgres(database), "label_studio": _label_studio(settings)}
        ready = all(state == "ok" for state in found.values())
        return jsonify(status="ok" if ready else "not ready", **found), 200 if ready else 503

    @app.get("/metrics")
    def measured() -> Response | tuple[Response, int]:
        if not intake.is_token(settings, request.headers.get("Authorization", "")):
            return jsonify(error=intake.NO_TOKEN), 401
        return metrics.page()

    @app.errorhandler(HTTPException)
    def refused(exc: HTTPException) -> tuple[Response, int]:
        return jsonify(error=exc.description), exc.code or 500

    @app.errorhandler(Unstorable)
    def unstorable(exc: Unstorable) -> tuple[Response, int]:
        return jsonify(error=str(exc)), 400

    @app.errorhandler(Exception)
    def failed(exc: Exception) -> tuple[Response, int]:
        logger.error("a request failed", exc_info=exc)
        return jsonify(error="something went wrong here; the log of the sync service says what"), 500

    return app


def from_env() -> Flask:
    """The service of this environment."""
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    settings.require("database_url", "intake_token")
    return create_app(settings, Database(settings.database_url))


def _body_limit(settings: Settings, head: Mapping[str, str]) -> int:
    if intake.is_token(settings, head.get("AUTHORIZATION", "")):
        return intake.MAX_BYTES
    if doorbell.is_secret(settings, head.get(HOOK_HEADER.upper().replace("-", "_"), "")):
        return MAX_RING
    return SMALL_BODY


def _postgres(database: Database) -> str:
    try:
        with database.transaction() as conn:
            row = conn.execute("select to_regclass('outputs') is not null as there").fetchone()
    except Retriable as exc:
        logger.warning("not ready: %s", exc)
        return "does not answer"
    return "ok" if row and row["there"] else "has no schema yet: run `labelloop migrate`"


def _label_studio(settings: Settings) -> str:
    if not settings.label_studio_url:
        return "not set: LABELLOOP_LABEL_STUDIO_URL"
    try:
        answer = httpx.get(f"{settings.label_studio_url.rstrip('/')}/health", timeout=PROBE_S)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return f"does not answer ({type(exc).__name__})"
    return "ok" if answer.is_success else f"answers {answer.status_code}"
