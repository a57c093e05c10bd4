"""Download: a version's file, streamed, after its bytes have been checked against its name."""

from __future__ import annotations

from pathlib import Path

from flask import Response, abort, send_file

from backend import models
from labelloop.errors import Failed


def model_file(folder: Path | None, version_id: str) -> Response:
    """The skops file, as `<SHA-256>.skops`; 404 with the reason where it is missing or damaged.

    It is read twice, a piece at a time: what is damaged must not leave the house under the name of what is not.
    """
    try:
        file = models.intact(folder, version_id)
    except Failed as exc:
        abort(404, str(exc))
    answer = send_file(
        file,
        mimetype="application/zip",  # a skops file is one
        as_attachment=True,
        download_name=file.name,
        conditional=True,
        etag=version_id,
        last_modified=None,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
