"""The data folder that a command uses when none is given on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from console.cli.output import to_stderr

DATA_DIR = "LABELLOOP_DATA_DIR"
HERE = Path(".labelloop")


def given_data_dir(environ: Mapping[str, str]) -> Path | None:
    """Return the folder that the environment names, else `.labelloop` here if it exists; None if neither."""
    named = environ.get(DATA_DIR)
    return Path(named) if named else HERE if HERE.is_dir() else None


def found_data_dir(environ: Mapping[str, str]) -> Path:
    """Return `given_data_dir`, else the folder of the newest running `up`, else `.labelloop` here.

    If the folder of an `up` is used, a line on stderr names it. If the environment names a database, no `up` is needed.
    """
    given = given_data_dir(environ)
    if environ.get(DATA_DIR) or environ.get("LABELLOOP_DATABASE_URL"):
        return given or HERE
    from labelloop.process.ups import is_held, running

    ups = [] if given is not None and is_held(given) else running()
    if not ups:
        return given or HERE
    others = f"; {len(ups) - 1} more run{'s' * (len(ups) == 2)}" if len(ups) > 1 else ""
    if given is None:
        to_stderr(f"using the last `labelloop up`, {ups[0]}{others} (choose another with --data-dir or {DATA_DIR})")
        return ups[0]
    to_stderr(
        f"using {given.absolute()}, where no `up` runs; one runs on {ups[0]} (choose with --data-dir or {DATA_DIR})"
    )
    return given
