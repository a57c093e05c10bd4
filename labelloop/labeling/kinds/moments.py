"""Moments of a time series whose form has a `timeFormat`: texts of that format, in UTC, as Label Studio writes them.

The directives are those of d3 (https://d3js.org/d3-time-format), which the editor uses. A text in a format that is not
understood here is kept as it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIVE = re.compile(r"%[-_0]?(.)")
_UNDERSTOOD = frozenset("YymdeHIMSfLpbBaAjZ%")
_SECONDS = {"d": 86_400.0, "e": 86_400.0, "j": 86_400.0, "H": 3_600.0, "I": 3_600.0, "M": 60.0}
"""Seconds of the directives that are coarser than a second."""


def understood(time_format: str) -> bool:
    """Whether moments of this format can be read; "" is no format."""
    directives = set(_DIRECTIVE.findall(time_format))
    known = bool(directives) and directives <= _UNDERSTOOD and "-" not in _flags(time_format)
    return known and _is_pattern(time_format)


def _is_pattern(time_format: str) -> bool:
    """Whether Python can read by it: a format that names one part twice is no pattern."""
    try:
        datetime.strptime("", _pythons(time_format))
    except re.error:
        return False
    except ValueError:
        pass
    return True


def seconds_of(text: str, time_format: str) -> float:
    """Return the seconds since 1970. Raises ValueError if the text is not in this format."""
    try:
        found = datetime.strptime(text, _pythons(time_format))
        # Midnight of the year 1, east of Greenwich, has no UTC.
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC) - _EPOCH).total_seconds()
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is not a time in the form's timeFormat {time_format!r}") from None


def text_of(seconds: float, time_format: str) -> str:
    """Return this moment as the editor writes it, to the millisecond."""
    moment = _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    milliseconds = f"{moment.microsecond // 1000:03d}"

    def written(found: re.Match[str]) -> str:
        match found[1]:
            case "L":
                return milliseconds
            case "e":
                return f"{moment.day:2d}"
            case "Y":
                return f"{moment.year:04d}"  # strftime does not pad years before 1000 alike everywhere
            case "Z":
                return "+0000"
        return moment.strftime(f"%{found[1]}")

    return _DIRECTIVE.sub(written, time_format)


def resolution(time_format: str) -> float:
    """Return the seconds of the finest unit that this format writes, at least 1."""
    directives = set(_DIRECTIVE.findall(time_format))
    if directives & set("SfL"):
        return 1.0
    return min((_SECONDS[one] for one in directives if one in _SECONDS), default=31 * 86_400.0)


def _pythons(time_format: str) -> str:
    """Return the format for strptime: it has no %L and no %e, reads blanks before a number, and calls %Z %z."""
    others = {"L": "%f", "e": "%d", "Z": "%z"}
    return _DIRECTIVE.sub(lambda found: others.get(found[1], f"%{found[1]}"), time_format)


def _flags(time_format: str) -> set[str]:
    return {found[0][1] for found in _DIRECTIVE.finditer(time_format)}
