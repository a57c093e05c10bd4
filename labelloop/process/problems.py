"""Problem details: an error of a request as `application/problem+json` (RFC 9457). All services use this renderer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import HTTP_STATUS_CODES

MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """Return the response of a request that failed. `more`: further members of the JSON, such as `path` and `line`."""
    body = members(status, detail, quote(request.path, safe="/:@!$&'()*+,;=~"), **more)
    return Response(json.dumps(body), status, headers=dict(headers or {}), content_type=MEDIA_TYPE)


def members(status: int, detail: str, instance: str = "", **more: Any) -> dict[str, Any]:
    """Return the members of the JSON.

    `error` is the `detail` once more: clients up to labelloop 0.1 read it. The type is `about:blank`, which means that
    the status says what kind of problem it is.
    """
    of_request = {"instance": instance} if instance else {}
    return {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES.get(status, "Error"),
        "status": status,
        "detail": detail,
        **of_request,
        **more,
        "error": detail,
    }
