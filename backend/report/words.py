"""Formats of numbers, times and labels on the pages. Pure; each function is a filter of the templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from backend.report.brief import cut
from backend.report.shown import is_picture
from labelloop.gate.accept import MOST

NOT_MEASURED = "not measured"
LONGEST_ANSWER = 2_000
"""Characters shown of an answer as it is stored."""


def percent(share: float | None) -> str:
    return NOT_MEASURED if share is None else f"{100 * share:.1f} %"


def points(gain: float | None) -> str:
    """Format a difference of two shares."""
    return NOT_MEASURED if gain is None else f"{100 * gain:+.1f} points"


def interval(found: Mapping[str, Any] | None) -> str:
    """Format the 95 % confidence interval of a share, as in "91.2 to 96.3"; "" if it was not measured."""
    if not found or found.get("low") is None or found.get("high") is None:
        return ""
    return f"{100 * found['low']:.1f} to {100 * found['high']:.1f}"


def when(moment: str | None) -> str:
    """Format a time of a report, to the minute."""
    return "never" if moment is None else f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOT_MEASURED
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def size(n: int | None) -> str:
    if n is None:
        return NOT_MEASURED
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB"


def milliseconds(ms: float | None) -> str:
    """Format a time of a computation: two digits below 100 ms, whole milliseconds below 10 s."""
    if ms is None:
        return NOT_MEASURED
    if ms >= 10_000:
        return duration(ms / 1000)
    return f"{ms:,.0f} ms" if ms >= 99.5 else f"{ms:.2g} ms"


def up_to_most(answers: int | None) -> str:
    """Format how many answers certify a promise; None if even the largest number that is counted is too small."""
    return f"more than {MOST:,}" if answers is None else f"{answers:,}"


def excerpt(text: str | None) -> str:
    """Return an answer as it is stored; of a very long one the beginning."""
    return "nothing" if text is None else cut(text, LONGEST_ANSWER)


def metric(report: Mapping[str, Any]) -> str:
    """Return the name of what a report calls accuracy, by its "metric": "Accuracy" or "Mean item score"."""
    return "Mean item score" if report.get("metric") == "score" else "Accuracy"


def said(label: str | None) -> str:
    """Format a label for people. The label of several choices, or of spans, is JSON."""
    if label is None:
        return "nothing"
    if label[:1] not in ("[", '"'):
        return label
    try:
        parts = json.loads(label)
    except (ValueError, RecursionError):
        return label
    if not isinstance(parts, list):
        return label
    return ", ".join(_part(part) for part in parts) or "none of them"


def with_names(sentence: str, names: Mapping[str, str]) -> str:
    """Replace the numbers of reviewers in a sentence of a verdict ("reviewer user 7") by their names."""
    return re.sub(r"(?<=\breviewer )user \d+\b", lambda found: names.get(found[0], found[0]), sentence)


def day(iso: str) -> str:
    """Format a day: 2026-07-01 as "Wed 1 Jul 2026"."""
    return f"{datetime.fromisoformat(iso):%a %-d %b %Y}"


def heat(n: int, total: int) -> int:
    """Return the shade of a cell of a confusion matrix, 0 to 5, by its share of the row."""
    return 0 if not n or not total else 1 + min(4, int(5 * n / total))


def picture(value: str) -> bool:
    return is_picture(value)


def _part(part: object) -> str:
    if isinstance(part, list) and len(part) == 3:
        return f"{part[2]} at {part[0]} to {part[1]}"
    return str(part)


def part(found: Mapping[str, Any]) -> str:
    """Format a share with its exact interval and its counts, or say that there are too few answers."""
    if found["value"] is None:
        return f"too few: {found['of']} of {found['least']}"
    ends = f"{100 * found['low']:.0f} to {100 * found['high']:.0f}"
    return f"{100 * found['value']:.0f} % ({ends}; {found['n']:,} of {found['of']:,})"


def middle(found: Mapping[str, Any], unit: str = " s", factor: float = 1.0, shift: float = 0.0) -> str:
    """Format a median or a mean with its interval, or say that there are too few values."""
    if found["value"] is None:
        return f"too few: {found['of']} of {found['least']}"
    value, low, high = (factor * (found[name] - shift) for name in ("value", "low", "high"))
    return f"{value:.1f}{unit} ({low:.1f} to {high:.1f})"


def commands(sentence: str) -> Markup:
    """Show the words in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r'<span class="code">\1</span>', str(escape(sentence))))


FILTERS: tuple[Callable[..., Any], ...] = (
    percent, points, interval, when, duration, size, milliseconds, metric, said, excerpt, heat, picture, day,
    up_to_most, part, middle, commands,
)  # fmt: skip
