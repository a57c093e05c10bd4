"""Needs: the scope of a token that each route of the sync service needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

SUBMIT, READ, FEEDBACK = "submit", "read", "feedback"

SCOPES_OF_ROUTES: Mapping[tuple[str, str], str | None] = {
    ("GET", "/v1/loops"): READ,
    ("GET", "/v1/loops/<loop>"): READ,
    ("POST", "/v1/loops/<loop>/outputs"): SUBMIT,
    ("GET", "/v1/loops/<loop>/outputs/<key:key>"): READ,
    ("POST", "/v1/loops/<loop>/feedback"): FEEDBACK,
    ("POST", "/feedback/"): FEEDBACK,
    ("GET", "/v1/loops/<loop>/feedback"): READ,
    ("GET", "/metrics"): READ,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/openapi.json"): None,
    ("GET", "/docs"): None,
}
"""By method and rule; None for a route without a token. Label Studio's webhook has a secret of its own."""


def scope_of(method: str, rule: str) -> str | None:
    """Return the scope that this route needs; None if it needs no token. Raises KeyError for an unknown route."""
    return SCOPES_OF_ROUTES["GET" if method == "HEAD" else method, rule]
