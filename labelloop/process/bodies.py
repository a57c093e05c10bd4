"""Bodies of requests."""

from __future__ import annotations

from typing import Any

from flask import abort, request


def json_object() -> dict[str, Any]:
    """Return the body of the request; abort with 400 if it is no JSON object."""
    try:
        body = request.get_json()
    except RecursionError:
        abort(400, "the body is nested too deeply")
    if not isinstance(body, dict):
        abort(400, "the body must be a JSON object")
    return body
