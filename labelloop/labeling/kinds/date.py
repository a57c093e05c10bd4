"""A date, a time, or both, as Label Studio's DateTime writes it: 2024-05-06T07:08, 2024-05-06, 07:08.

Its `format` changes that. A month or a year alone is written as a whole date too. There is no time zone.

Consensus: the answer that most gave; the item score is 1 for the same, else 0.
"""

from __future__ import annotations

import re
from datetime import datetime

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label

_OURS = re.compile(r"%[YmdHMSyBbIpjAaf%]")
"""Codes that Python and the editor (d3) read and write alike."""
_EXAMPLE = datetime(2024, 5, 6, 7, 8)
FIRST_YEAR = 1000
"""First year that the editor accepts."""


def format_of(control: ControlTag) -> str:
    """Return the format in which the editor writes the answer, in the codes of strftime."""
    only = control.only or "date,time"
    if only == "time":
        return "%H:%M"
    return control.format or ("%Y-%m-%dT%H:%M" if "time" in only else "%Y-%m-%d")


def canonical(control: ControlTag, answer: object) -> str:
    """Return the answer as the editor writes it; as it is if the format has codes that only the editor knows."""
    if not isinstance(answer, str) or not (text := answer.strip()):
        raise ValueError("must be a date or a time as a text")
    written = format_of(control)
    if "%" in _OURS.sub("", written):
        return text
    try:
        found = datetime.strptime(text, written)
    except (ValueError, re.error):  # a format that names one part twice is no pattern to Python
        example = f"{_EXAMPLE:{written}}"
        raise ValueError(f"must be written as {written}, such as {example}; it is {text[:40]!r}") from None
    if "%Y" in written and found.year < FIRST_YEAR:
        raise ValueError(f"the first year is {FIRST_YEAR}; it is {text[:40]!r}")
    return found.strftime(written)


def nearest(control: ControlTag, answer: str) -> str:
    """Return the answer; another ISO date or time in the format of the control, such as one with seconds."""
    try:
        return canonical(control, answer)
    except ValueError:
        return canonical(control, datetime.fromisoformat(answer.strip()).strftime(format_of(control)))


agreed = label.agreed
score = label.score
measures = label.measures
fits = label.fits


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return ()
