"""Logging of our processes: one line an event, followed by its facts (`extra=`) as name=value, or all of it as JSON."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

from labelloop.errors import SettingsError

STYLES = ("plain", "json")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_one_line(str(value))}" for name, value in _facts(record).items())
        line = super().format(record)
        return f"{line} {facts}" if facts and not record.exc_info else line

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _one_line(record.message)
        return super().formatMessage(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def configure(style: str = "plain", level: int = logging.INFO) -> None:
    """Log to stderr in a style of STYLES: our own loggers from `level` on, libraries from WARNING on."""
    if style not in STYLES:
        raise SettingsError(f"LABELLOOP_LOG is {style!r}; there are: {', '.join(STYLES)}")
    handler = logging.StreamHandler()
    plain = _Plain("%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(_Json() if style == "json" else plain)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("labelloop", "sync", "backend", "console", "__main__"):
        logging.getLogger(room).setLevel(level)


def _one_line(text: str) -> str:
    """Return the text with control characters and line ends escaped, so that no input can begin a line of the log."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _facts(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _OWN}
