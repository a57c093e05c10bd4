"""The runtime of the services of both rooms: one Flask application each, readiness, errors, metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flask import Flask, Response, jsonify
from prometheus_client.registry import Collector
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from labelloop.errors import Busy, LabelloopError, Retriable, Unstorable
from labelloop.process.metrics import Metrics
from labelloop.process.problems import problem
from labelloop.process.serving import BODY_LIMIT, BodyLimit, refuse_broken_queries
from labelloop.store.acting import set_actor
from labelloop.store.database import Database

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1
OK = "ok"
BY_CALLER: Mapping[type[Exception], int] = {Unstorable: 400}
"""Status of the errors that only the caller can mend."""
ReadinessCheck = Callable[[], str | list[str]]
"""Return OK or an empty list if all is well, else the fault and its remedy."""


def create(import_name: str, body_limit: BodyLimit, collectors: Iterable[Collector]) -> tuple[Flask, Metrics]:
    """Return an application with its error handler and its metrics; its blueprints are still missing."""
    app = Flask(import_name)
    app.extensions[BODY_LIMIT] = body_limit
    metrics = Metrics(app, collectors)
    refuse_broken_queries(app)
    app.register_error_handler(Exception, as_problem)
    app.teardown_request(lambda _: set_actor(""))
    return app, metrics


def readiness(
    checks: Mapping[str, ReadinessCheck], words: tuple[str, str] = ("ok", "not ready")
) -> tuple[Response, int]:
    """Return the answer of /readyz: the result of each check by its name, and status 503 unless all of them are OK.

    `words`: the `status` in the body if the service is ready, and if it is not.
    """
    found = {name: check() for name, check in checks.items()}
    ready = all(result in (OK, []) for result in found.values())
    return jsonify(status=words[0] if ready else words[1], **found), 200 if ready else 503


def postgres(database: Database) -> str:
    """Check that Postgres answers and has the schema."""
    try:
        with database.transaction() as conn:
            row = conn.execute("select to_regclass('outputs') is not null as there").fetchone()
    except Retriable as exc:
        logger.warning("not ready: %s", exc)
        return "does not answer"
    return OK if row and row["there"] else "has no schema yet: run `labelloop migrate`"


def as_problem(error: Exception, by_caller: Mapping[type[Exception], int] = BY_CALLER) -> Any:
    """Render any error of a request as problem details. `by_caller` as in status_and_words."""
    if isinstance(error, RequestRedirect) or (isinstance(error, HTTPException) and error.response is not None):
        return error.get_response()
    status, words = status_and_words(error, by_caller)
    return problem(status, words, headers=_headers(error))


def _headers(error: Exception) -> dict[str, str]:
    """Return the headers that belong to an error, such as Retry-After and the methods that a 405 allows."""
    if isinstance(error, Retriable):
        return {"Retry-After": str(RETRY_AFTER_S)}
    headers = error.get_headers() if isinstance(error, HTTPException) else []
    return {name: value for name, value in headers if name.lower() != "content-type"}


def status_and_words(error: Exception, by_caller: Mapping[type[Exception], int] = BY_CALLER) -> tuple[int, str]:
    """Return the HTTP status of an error and its words: our own errors in full, others without any detail.

    `by_caller`: status of each kind of error that only the caller can mend. All others are faults of the server: a
    caller may try again, and the log has them.
    """
    for kind, status in by_caller.items():
        if isinstance(error, kind):
            return status, str(error)
    match error:
        case HTTPException():
            return error.code or 500, error.description or error.name
        case Busy():
            return 503, str(error)
        case Retriable():
            return 503, "Postgres does not answer; try again"
    logger.error("request failed", exc_info=error)
    return 500, str(error) if isinstance(error, LabelloopError) else "internal error; the service's log has the cause"
