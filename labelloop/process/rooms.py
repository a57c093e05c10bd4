"""Rooms: where `console`, `sync` and `backend` are, and how a Python is started that finds them before any other.

In a checkout they lie beside the package `labelloop`. A wheel carries them inside it, so that no top-level package of
that name is installed. Other projects have a `sync` or a `backend` too, as a package or in the current directory.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSIDE = _PACKAGE / "_rooms"
ROOMS = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent
"""The folder that holds `console`, `sync`, `backend`, `labeling_configs` and `locks`."""


def put_first() -> None:
    """Put the rooms first on this process's path."""
    sys.path[:] = [str(ROOMS), *(place for place in sys.path if place != str(ROOMS))]


def python(*words: str) -> list[str]:
    """Return the command that runs a module, the first of `words`, without the current directory on its path."""
    return [sys.executable, "-P", "-m", *words]


def command_line(words: str) -> str:
    """Return the shell's line that runs a module, the first of `words`, for people to copy."""
    return f"PYTHONPATH={shlex.quote(str(ROOMS))} python -P -m {words}" if ROOMS == _INSIDE else f"python -m {words}"


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with a PYTHONPATH that begins with the rooms, for a command of `python`."""
    others = [place for place in environ.get("PYTHONPATH", "").split(os.pathsep) if place not in ("", str(ROOMS))]
    return {**environ, "PYTHONPATH": os.pathsep.join([str(ROOMS), *others])}
