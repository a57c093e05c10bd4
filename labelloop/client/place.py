"""Place: where the service is, and its token, if a client is made without them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from labelloop.errors import UsageError

URL, TOKEN, DATA_DIR = "LABELLOOP_SYNC_URL", "LABELLOOP_INTAKE_TOKEN", "LABELLOOP_DATA_DIR"


def found(url: str | None, token: str | None, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Return the URL and the token: those given, else those of the environment, else those of a local `labelloop up`.

    A token from a data folder is only used with the URL of the same folder. Raises UsageError if one is missing, and
    for a token that no request can carry.
    """
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token != ""):
        problem = "holds a blank, a line end or a letter that no token has" if token.strip() else "is empty"
        raise UsageError(f"the token {problem}; `labelloop up` keeps one as {TOKEN} in settings.env of its data folder")
    if url is not None and token is not None:
        return url, token
    from labelloop.process.settings import Settings

    folder = environ.get(DATA_DIR) or _folder()
    named = {name: value for name, value in environ.items() if name != DATA_DIR}
    of_environment = Settings.from_env({**named, DATA_DIR: os.devnull})  # a folder without settings
    url, token = url or environ.get(URL), token or of_environment.intake_token
    if folder is not None and not token:
        others = {name: value for name, value in named.items() if name != URL}
        of_folder = Settings.from_env({**others, DATA_DIR: str(folder)})
        if url is None or url.rstrip("/") == of_folder.sync_url.rstrip("/"):
            url, token = of_folder.sync_url, of_folder.intake_token
    if not url or not token:
        missing = " and ".join(name for name, value in (("url", url), ("token", token)) if not value)
        raise UsageError(
            f"no {missing} for the client: give Client(url, token), set {URL} and {TOKEN}, or name with {DATA_DIR} the "
            "data folder of a `labelloop up`"
        )
    return url, token


def _folder() -> Path | None:
    """Return the data folder here if there is one, else that of the newest `up` of this user that runs."""
    here = Path(".labelloop")
    if here.is_dir():
        return here
    from labelloop.process.ups import running

    return next(iter(running()), None)
