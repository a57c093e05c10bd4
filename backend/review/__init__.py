"""Review: reports of loops, runs and versions, as pages for people and as JSON for programs, and actions on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, redirect, render_template, request, url_for

from backend.review import api, guard, logins, own_page, pages
from backend.review.authenticators import Authenticator, authenticators
from labelloop.errors import Conflict, UsageError
from labelloop.process import service
from labelloop.process.settings import Settings
from labelloop.store.database import Database

__all__ = ["register"]

BY_CALLER: Mapping[type[Exception], int] = {UsageError: 400, Conflict: 409}
"""Status of the errors that the person at the page, or the program, can mend."""
ROUTES_WITHOUT_LOGIN = logins.ENDPOINTS | {"static", own_page.ENDPOINT}


def register(app: Flask, settings: Settings, database: Database, *more: Authenticator) -> None:
    """Serve /review and /v1/review in `app`. `more`: authenticators beside those of the settings."""
    ways = [*authenticators(settings, database), *more]
    programs = api.blueprint(settings, database)
    guard.protect(programs, ways, lambda _: False)
    programs.register_error_handler(Exception, _as_problem)
    app.register_blueprint(programs)

    people = pages.blueprint(settings, database)
    if settings.secret_key:
        guard.prepare(app, settings.secret_key)
        guard.protect(people, ways, ROUTES_WITHOUT_LOGIN.__contains__)
    else:
        people.before_request(_not_set_up)
    people.register_error_handler(Exception, _as_page)
    app.register_blueprint(people)


def _not_set_up() -> tuple[str, int]:
    return "The review pages need LABELLOOP_SECRET_KEY, a long random text that signs their cookies.\n", 503


def _as_problem(error: Exception) -> Any:
    response = service.as_problem(error, BY_CALLER)
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="labelloop"'
    return response


def _as_page(error: Exception) -> Any:
    status, said = service.status_and_words(error, BY_CALLER)
    if status == 401:
        query = request.query_string.decode(errors="replace")
        onward = f"{request.path}?{query}".rstrip("?") if request.method == "GET" else None
        return redirect(url_for("review.login", next=onward), 303)
    return render_template("review/error.html", status=status, said=said), status
