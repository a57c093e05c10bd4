"""The backend's service: Label Studio's ML protocol behind basic auth. `gunicorn 'backend.service:from_env()'`."""

from __future__ import annotations

import logging
import os
from typing import Any

from flask import Flask, jsonify
from werkzeug.exceptions import HTTPException

from backend import protocol, review
from backend.champions import Champions
from labelloop import log
from labelloop.errors import LabelloopError, Retriable
from labelloop.settings import Settings
from labelloop.store.database import Database


def create_app(settings: Settings, database: Database) -> Flask:
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = protocol.MAX_BODY
    app.register_blueprint(protocol.blueprint(settings, database, Champions(database, settings.models_dir)))
    review.register(app, settings, database)
    app.register_error_handler(Exception, _as_json)
    return app


def from_env() -> Flask:
    log.configure()
    settings = Settings.from_env(os.environ)
    settings.require("database_url", "backend_password")
    return create_app(settings, Database(settings.database_url))


def _as_json(error: Exception) -> tuple[Any, int]:
    """Errors go out as JSON, ours in our words, others without any detail."""
    if isinstance(error, HTTPException):
        return jsonify(error=error.description), error.code or 500
    if isinstance(error, Retriable):
        return jsonify(error="Postgres does not answer; try again"), 503
    logging.getLogger(__name__).error("request failed", exc_info=error)
    return jsonify(error=str(error) if isinstance(error, LabelloopError) else "internal error"), 500
