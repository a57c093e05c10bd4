"""The backend's service: Label Studio's ML protocol and the review pages. `gunicorn 'backend.service:from_env()'`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from flask import Flask

from backend import review
from backend.description import OPERATIONS, SCHEMES
from backend.gauges import Gauges
from backend.serve import protocol
from backend.serve.champions import Champions
from backend.serve.predict import Predictor
from labelloop.process import log, openapi, service
from labelloop.process.serving import AT_START, SMALL_BODY
from labelloop.process.settings import Settings
from labelloop.store.database import Database


def create_app(settings: Settings, database: Database) -> Flask:
    """Return the whole service as one WSGI application."""
    champions, predictor = Champions(database, settings.models_dir), Predictor(database)
    gauges = [Gauges(database, champions, predictor)]
    app, metrics = service.create(__name__, partial(_body_limit, settings), gauges)
    app.config["MAX_CONTENT_LENGTH"] = protocol.MAX_BODY
    app.extensions["labelloop.champions"] = champions
    app.register_blueprint(protocol.blueprint(settings, database, champions, predictor, metrics))
    review.register(app, settings, database)
    app.register_blueprint(openapi.blueprint("labelloop backend: review API", OPERATIONS, SCHEMES))
    return app


def from_env() -> Flask:
    """Return the service of this process's environment."""
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    settings.require("database_url", "backend_password")
    app = create_app(settings, Database(settings.database_url, actor="backend service"))
    app.extensions[AT_START] = app.extensions["labelloop.champions"].warm
    return app


def _body_limit(settings: Settings, head: Mapping[str, str]) -> int:
    return protocol.MAX_BODY if protocol.is_caller(settings, head.get("AUTHORIZATION", "")) else SMALL_BODY
