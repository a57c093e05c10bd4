"""Where the supervisor puts what its children say: a file each, and with `echo` the terminal, named line by line."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 20_000_000
"""Bytes of a log file before it is put aside; one older file is kept."""


class Lines:
    """A stream of the supervisor (circus calls it with what was read); made from `log(...)`.

    Two streams share a file, standard output and standard error: the file is opened for each write, whole lines only.
    """

    def __init__(self, filename: str, name: str, echo: bool = False, **_: object) -> None:
        self._file = Path(filename)
        self._prefix = f"{name:<14} | " if echo else ""
        self._rest = b""

    def __call__(self, data: dict[str, bytes]) -> None:
        whole, newline, self._rest = (self._rest + data["data"]).rpartition(b"\n")
        if newline:
            self._write(whole + newline)

    def close(self) -> None:
        if self._rest:
            self._write(self._rest + b"\n")
            self._rest = b""

    def _write(self, lines: bytes) -> None:
        if self._file.exists() and self._file.stat().st_size > LIMIT:
            self._file.replace(self._file.with_suffix(".old.log"))
        with self._file.open("ab") as out:
            out.write(lines)
        if self._prefix:
            for line in lines.decode(errors="replace").splitlines():
                sys.stdout.write(f"{self._prefix}{line}\n")
            sys.stdout.flush()


def tail(file: Path, lines: int = 15) -> str:
    """The last lines of a log, indented; empty where there is none."""
    try:
        said = file.read_bytes()[-20_000:].decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return ""
    return "\n".join("    " + line for line in said)
