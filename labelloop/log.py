"""Logging for our processes: one line an event, its facts (`extra=`) behind it as name=value."""

from __future__ import annotations

import logging

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Facts(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in _OWN)
        line = super().format(record)
        return f"{line} {facts}" if facts and not record.exc_info else line


def configure(level: int = logging.INFO) -> None:
    """Our own words from `level` on, to stderr; of the libraries only warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Facts("%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("labelloop", "sync", "backend", "__main__"):
        logging.getLogger(room).setLevel(level)
