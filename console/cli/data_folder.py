"""Which data folder a command works on where nobody names one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from console.cli.output import to_stderr

DATA_DIR = "LABELLOOP_DATA_DIR"
HERE = Path(".labelloop")


def given_data_dir(environ: Mapping[str, str]) -> Path | None:
    """The folder that the environment names, else `.labelloop` here if there is one; None where neither is."""
    named = environ.get(DATA_DIR)
    return Path(named) if named else HERE if HERE.is_dir() else None


def found_data_dir(environ: Mapping[str, str]) -> Path:
    """The same, else that of the newest `up` that runs, which is said on stderr; else `.labelloop` here.

    An environment that names a database needs no `up`.
    """
    given = given_data_dir(environ)
    if environ.get(DATA_DIR) or environ.get("LABELLOOP_DATABASE_URL"):
        return given or HERE
    from console.local.folder import is_held
    from console.local.last_up import running

    ups = [] if given is not None and is_held(given) else running()
    if not ups:
        return given or HERE
    others = f"; {len(ups) - 1} more run{'s' * (len(ups) == 2)}" if len(ups) > 1 else ""
    if given is None:
        to_stderr(f"on the last `labelloop up`, {ups[0]}{others} (--data-dir or {DATA_DIR} names another)")
        return ups[0]
    to_stderr(f"on {given.absolute()}, where no `up` runs; one runs on {ups[0]} (--data-dir or {DATA_DIR} names it)")
    return given
