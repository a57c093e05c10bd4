"""Logging in to the review pages: with a token, or at an identity provider; and logging out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from backend.review.authenticators import remember
from backend.review.guard import HOME, FailedLogins, csrf_token
from labelloop.process.oidc import Provider
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access

ENDPOINTS = frozenset({"login", "log_in", "provider", "from_provider"})
"""Endpoints that need no login."""


def add(bp: Blueprint, settings: Settings, database: Database) -> None:
    """Add the routes of logins to the review pages."""
    logins = _Logins(settings, database)
    bp.add_url_rule("/login", "login", logins.form)
    bp.add_url_rule("/login", "log_in", logins.log_in, methods=["POST"])
    bp.add_url_rule("/logout", "log_out", logins.log_out, methods=["POST"])
    if logins.provider is not None:
        bp.add_url_rule("/login/provider", "provider", logins.to_provider)
        bp.add_url_rule("/login/back", "from_provider", logins.from_provider)


class _Logins:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._failed = FailedLogins()
        self._review_url = settings.review_url.rstrip("/")
        self.provider = Provider(settings) if settings.oidc_issuer and settings.oidc_client_id else None

    def form(self) -> str:
        return self._page(_local_path(request.args.get("next")))

    def log_in(self) -> Any:
        onward = _local_path(request.form.get("next"))
        if self._failed.too_many(csrf_token()):
            return self._page(onward, "Too many wrong tokens from this browser; wait a minute."), 429
        with self._database.transaction() as conn:
            row = access.of_token(conn, request.form.get("token", "").strip())
        if row is None:
            self._failed.add(csrf_token())
            return self._page(onward, "This token is not valid: it is mistyped, expired or was revoked."), 401
        _begin_session()
        session["token"] = str(row.id)
        return redirect(onward, 303)

    def to_provider(self) -> AnyResponse:
        assert self.provider is not None
        url, secrets = self.provider.start_login(self._way_back())
        session["login"] = {**secrets, "next": _local_path(request.args.get("next"))}
        return redirect(url, 303)

    def from_provider(self) -> Any:
        assert self.provider is not None
        started = session.pop("login", {})
        person = self.provider.end_login(request.url, self._way_back(), started) if started else None
        onward = _local_path(started.get("next"))
        if person is None:
            return self._page(onward, "The identity provider did not confirm this login. Try again."), 401
        _begin_session()
        remember(person)
        return redirect(onward, 303)

    def log_out(self) -> AnyResponse:
        session.clear()
        return redirect(url_for("review.login"), 303)

    def _way_back(self) -> str:
        """Return the address that the provider sends the browser to; it must be registered there."""
        return self._review_url + url_for("review.from_provider", _external=not self._review_url)

    def _page(self, onward: str, problem: str = "") -> str:
        return render_template("review/login.html", next=onward, said=problem, provider=self.provider is not None)


def _begin_session() -> None:
    session.clear()  # removes anything that another site put into this browser's session
    session.permanent = True


def _local_path(path: str | None) -> str:
    """Return the path to open after the login: `path` if it is a review page, else the overview."""
    if not path or not path.startswith(HOME) or not path.isprintable():
        return HOME
    return HOME if "\\" in path or "//" in path else path
