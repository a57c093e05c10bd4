"""The backend's service: Label Studio's ML protocol behind basic auth. `gunicorn 'backend.service:from_env()'`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException

from backend import review
from backend.gauges import Gauges
from backend.serve import protocol
from backend.serve.champions import Champions
from backend.serve.predict import Predictor
from labelloop.errors import Busy, LabelloopError, Retriable, Unstorable
from labelloop.process import log
from labelloop.process.metrics import Metrics
from labelloop.process.serving import AT_START, BODY_LIMIT, SMALL_BODY, refuse_broken_queries
from labelloop.process.settings import Settings
from labelloop.store.database import Database

RETRY_AFTER_S = "1"


def create_app(settings: Settings, database: Database) -> Flask:
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = protocol.MAX_BODY
    champions, predictor = Champions(database, settings.models_dir), Predictor(database)
    app.extensions["labelloop.champions"] = champions
    app.extensions[BODY_LIMIT] = partial(_body_limit, settings)
    metrics = Metrics(app, [Gauges(database, champions, predictor)])
    refuse_broken_queries(app)
    app.register_blueprint(protocol.blueprint(settings, database, champions, predictor, metrics))
    review.register(app, settings, database)
    app.register_error_handler(Exception, _as_json)
    return app


def _body_limit(settings: Settings, head: Mapping[str, str]) -> int:
    return protocol.MAX_BODY if protocol.is_caller(settings, head.get("AUTHORIZATION", "")) else SMALL_BODY


def from_env() -> Flask:
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    settings.require("database_url", "backend_password")
    app = create_app(settings, Database(settings.database_url))
    app.extensions[AT_START] = app.extensions["labelloop.champions"].warm
    return app


def _as_json(error: Exception) -> Any:
    """Errors go out as JSON, ours in our words, others without any detail."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.get_response()
    if isinstance(error, HTTPException):
        return jsonify(error=error.description), error.code or 500
    if isinstance(error, Retriable):
        words = str(error) if isinstance(error, Busy) else "Postgres does not answer; try again"
        return jsonify(error=words), 503, {"Retry-After": RETRY_AFTER_S}
    if isinstance(error, Unstorable):
        return jsonify(error=str(error)), 400
    logging.getLogger(__name__).error("request failed", exc_info=error)
    return jsonify(error=str(error) if isinstance(error, LabelloopError) else "internal error"), 500
