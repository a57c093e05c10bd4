"""CORS: which pages of other origins may call a service from a browser (the Fetch standard, section 3.2)."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request

from labelloop.errors import SettingsError

ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
    "Access-Control-Expose-Headers": "Retry-After, Labelloop-Cursor",
    "Access-Control-Max-Age": "600",
}


def allow_origins(app: Flask, origins: str) -> None:
    """Let pages of these origins, which commas separate, call all routes of the app. None may if there are none.

    Raises SettingsError for a text that is no origin; `*` is none either, since any page could then use a token.
    """
    allowed = frozenset(filter(None, map(str.strip, origins.split(","))))
    for origin in allowed:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise SettingsError(f"LABELLOOP_CORS_ORIGINS: {origin!r} must be like https://app.example")

    @app.after_request
    def _with_headers(response: Response) -> Response:
        if allowed:
            response.vary.add("Origin")
        if (origin := request.headers.get("Origin")) in allowed:
            response.headers.update({"Access-Control-Allow-Origin": origin, **ALLOWED})
        return response
