"""A number, written as its shortest decimal: 4, 3.5.

Consensus: the median (of two the lower, so that somebody gave it); agreement is the share of reviewers near it. It is a
tie if at most half of the numbers are near the median.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import median_low
from typing import Any

from labelloop.labeling.controls import ControlTag

LARGEST = 1e15
"""Largest number of an answer: a float beyond it no longer counts exactly."""
NEAR = 0.05
"""Largest difference between numbers that count as the same: a share of the control's range, or of the number if there
is no range.
"""


def write_number(number: float) -> str:
    text = format(Decimal(repr(float(number))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def read_number(answer: object) -> float:
    """Return the number. Raises ValueError if it is not finite, or larger than LARGEST."""
    try:
        number = math.nan if isinstance(answer, bool) else float(answer)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= LARGEST:
        raise ValueError(f"must be a number up to {LARGEST:g} by size; it is {str(answer)[:40]!r}")
    return number


def canonical(control: ControlTag, answer: object) -> str:
    number = read_number(answer)
    if not (control.low is None or control.low <= number) or not (control.high is None or number <= control.high):
        raise ValueError(f"must lie between {_edge(control.low)} and {_edge(control.high)}; it is {number:g}")
    return write_number(number)


def nearest(control: ControlTag, answer: str) -> str:
    """Return the number, moved into the bounds and to the nearest step."""
    number, first = read_number(answer), control.low or 0.0
    if control.step:
        number = round(first + math.floor((number - first) / control.step + 0.5) * control.step, 9)
    number = max(number, number if control.low is None else control.low)
    return write_number(min(number, number if control.high is None else control.high))


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    numbers = [read_number(answer) for answer in answers]
    middle = median_low(numbers)
    near = NEAR * (width_of(control) or abs(middle)) if tolerance is None else tolerance
    count = sum(abs(number - middle) <= near for number in numbers)
    return (None, 0.0) if 2 * count <= len(numbers) else (write_number(middle), count)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return number_score(control, read_number(answer), read_number(predicted))


def number_score(control: ControlTag, answer: float, predicted: float) -> float:
    """Return 1 - |answer - predicted| / range, at least 0.

    The range is that of the control. Without one it is the larger absolute value of the two, so that half and double
    are 0.5.
    """
    range_ = width_of(control) or max(abs(answer), abs(predicted)) or 1.0
    return max(0.0, 1.0 - abs(answer - predicted) / range_)


def width_of(control: ControlTag) -> float | None:
    """Return the largest distance between two answers to this control; None if there is no bound."""
    return None if control.low is None or control.high is None else control.high - control.low


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return {}


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return ()


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    pass


def _edge(bound: float | None) -> str:
    return "any number" if bound is None else f"{bound:g}"
