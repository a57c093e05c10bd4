"""Download: a version's file, streamed after its SHA-256 was checked."""

from __future__ import annotations

from pathlib import Path

from flask import Response, abort, send_file

from backend import models
from labelloop.errors import Failed


def model_file(folder: Path | None, version_id: str) -> Response:
    """Return the skops file as `<SHA-256>.skops`; 404 with the reason if it is missing or damaged.

    The file is read twice, in pieces, so that a damaged file is never sent under the name of an intact one.
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
