"""The sync service: intake and doorbell. `gunicorn 'sync.service:from_env()'`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

import httpx
from flask import Flask, Response, jsonify

from labelloop.access.identity import ADMIN
from labelloop.process import log, openapi, service
from labelloop.process.cors import allow_origins
from labelloop.process.serving import AT_START, SMALL_BODY
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from sync.answering import exports, feedback, retraction
from sync.answering import http as answering
from sync.callers import INTAKE, Callers
from sync.description import OPERATIONS, SCHEMES
from sync.gauges import Window
from sync.intake import http as intake
from sync.intake.asking import MAX_BYTES, admit, answer_refusals, require
from sync.project.project import HOOK_HEADER
from sync.pull import doorbell

PROBE_S = 3.0
"""Seconds for Label Studio to answer a readiness check."""
MAX_RING = 32 << 20
"""Bytes of a webhook's body: Label Studio may send a task's data along, such as an image."""


def create_app(settings: Settings, database: Database) -> Flask:
    """Return the whole service as one WSGI application."""
    settings.require("intake_token")
    checks = {"postgres": partial(service.postgres, database), "label_studio": partial(_label_studio, settings)}
    callers = Callers(settings, database)
    app, metrics = service.create(__name__, partial(_body_limit, settings, callers), [Window(database)])
    app.extensions[AT_START] = callers.keep_fresh
    allow_origins(app, settings.cors_origins)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(intake.blueprint(database, callers, metrics))
    app.register_blueprint(answering.blueprint(database, callers, metrics))
    for routes in (feedback, retraction, exports):
        app.register_blueprint(routes.blueprint(database, callers))
    answer_refusals(app)
    app.register_blueprint(openapi.blueprint("labelloop sync service", OPERATIONS, SCHEMES))
    app.register_blueprint(doorbell.blueprint(settings, database))

    @app.get("/healthz")
    def healthz() -> Response:
        """Answer that the process is alive, without asking anybody."""
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        return service.readiness(checks)

    @app.get("/metrics")
    def measured() -> Response:
        caller = admit(callers)
        if caller is not INTAKE:
            require(caller, ADMIN)
        return metrics.page()

    return app


def from_env() -> Flask:
    """Return the service of this process's environment."""
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    settings.require("database_url", "intake_token")
    return create_app(settings, Database(settings.database_url, actor="sync service"))


def _body_limit(settings: Settings, callers: Callers, head: Mapping[str, str]) -> int:
    if callers.is_known(head.get("AUTHORIZATION", "")):
        return MAX_BYTES
    if doorbell.is_secret(settings, head.get(HOOK_HEADER.upper().replace("-", "_"), "")):
        return MAX_RING
    return SMALL_BODY


def _label_studio(settings: Settings) -> str:
    """Check that Label Studio answers."""
    if not settings.label_studio_url:
        return "not set: LABELLOOP_LABEL_STUDIO_URL"
    try:
        answer = httpx.get(f"{settings.label_studio_url.rstrip('/')}/health", timeout=PROBE_S)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return f"does not answer ({type(exc).__name__})"
    return service.OK if answer.is_success else f"answers {answer.status_code}"
