"""Needs: the scope that each route of the sync service needs."""

from __future__ import annotations

from collections.abc import Mapping

from labelloop.access.identity import ADMIN, FEEDBACK, READ, SUBMIT

ANY = "any"
"""Any known caller, whatever its scopes."""
SCOPES_OF_ROUTES: Mapping[tuple[str, str], str | None] = {
    ("GET", "/v1/loops"): ANY,
    ("GET", "/v1/loops/<loop>"): READ,
    ("POST", "/v1/loops/<loop>/outputs"): SUBMIT,
    ("POST", "/v1/loops/<loop>/otlp"): SUBMIT,
    ("GET", "/v1/loops/<loop>/outputs/<key:key>"): READ,
    ("GET", "/v1/loops/<loop>/outputs/<key:key>/answer"): READ,
    ("POST", "/v1/loops/<loop>/answers"): READ,
    ("POST", "/v1/loops/<loop>/outputs/<key:key>/outcome"): SUBMIT,
    ("POST", "/v1/loops/<loop>/feedback"): FEEDBACK,
    ("POST", "/feedback/"): FEEDBACK,
    ("DELETE", "/v1/loops/<loop>/feedback"): FEEDBACK,
    ("DELETE", "/feedback/"): FEEDBACK,
    ("GET", "/v1/loops/<loop>/feedback"): READ,
    ("GET", "/metrics"): ADMIN,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
}
"""By method and rule; None for a route without a token. Label Studio's webhook has a secret of its own."""


def scope_of(method: str, rule: str) -> str | None:
    """Return the scope that this route needs; None if it needs no token. Raises KeyError for an unknown route."""
    return SCOPES_OF_ROUTES["GET" if method == "HEAD" else method, rule]
