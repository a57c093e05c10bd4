"""Measures of one person: shares with exact intervals, speed, and what changes within a session. Pure.

Where there are too few answers for a number, the number is None and the counts remain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from labelloop.answers.trust.said import Compared, Said

LEAST = 10
"""Smallest number of answers from which a share is shown."""
GAP = timedelta(minutes=30)
"""A longer time between two answers begins a new session."""
LEAST_SESSIONS = 5
LEAST_IN_SESSION = 10
"""Smallest number of answers of a session whose course is measured."""


@dataclass(frozen=True, slots=True)
class Part:
    """A share with its exact 95 % interval (Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404)."""

    n: int
    of: int
    value: float | None
    """None with fewer than LEAST."""
    low: float | None
    high: float | None
    least: int = LEAST


@dataclass(frozen=True, slots=True)
class Middle:
    """A median or a mean with its 95 % interval; all None if `of` is below `least`."""

    value: float | None
    low: float | None
    high: float | None
    of: int
    least: int


@dataclass(frozen=True, slots=True)
class Hour:
    """Answers in one hour of the sessions, counted from 0."""

    hour: int
    answers: int
    seconds: float | None
    """Median time of an answer."""
    correct: Part


def part(n: int, of: int) -> Part:
    """Return the share `n` of `of`."""
    if of < LEAST:
        return Part(n, of, None, None, None)
    from scipy.special import betaincinv

    low = 0.0 if n == 0 else float(betaincinv(n, of - n + 1, 0.025))
    high = 1.0 if n == of else float(betaincinv(n + 1, of - n, 0.975))
    return Part(n, of, n / of, low, high)


def median(values: Sequence[float]) -> Middle:
    """Return the median with the exact interval from the order of the values, which needs no shape of them."""
    n = len(values)
    if n < LEAST:
        return Middle(None, None, None, n, LEAST)
    from scipy.special import bdtr

    ordered = sorted(values)
    below = [float(bdtr(k, n, 0.5)) for k in range(n)]
    place = max([k for k in range(n // 2) if below[k] <= 0.025], default=0)
    return Middle(float(np.median(ordered)), ordered[place], ordered[n - 1 - place], n, LEAST)


def mean(values: Sequence[float], least: int) -> Middle:
    """Return the mean with Student's interval."""
    n = len(values)
    if n < least:
        return Middle(None, None, None, n, least)
    from scipy.special import stdtrit

    middle, half = float(np.mean(values)), float(stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(n))
    return Middle(middle, middle - half, middle + half, n, least)


def sessions(rows: Sequence[Said]) -> list[list[Said]]:
    """Divide a person's answers, in the order of their times, into sessions."""
    found: list[list[Said]] = []
    for row in rows:
        if not found or row.at - found[-1][-1].at > GAP:
            found.append([])
        found[-1].append(row)
    return found


def slower(of: Sequence[Sequence[Said]]) -> Middle:
    """Return by which factor the time of an answer changes within an hour of work: the mean over sessions of the slope
    of its logarithm.
    """
    slopes = [_slope([(one.at, math.log(one.seconds)) for one in rows if one.seconds]) for rows in of]
    found = mean([slope for slope in slopes if slope is not None], LEAST_SESSIONS)
    if found.value is None or found.low is None or found.high is None:
        return found
    value, low, high = (math.exp(min(one, 50.0)) for one in (found.value, found.low, found.high))
    return Middle(value, low, high, found.of, found.least)


def less_correct(of: Sequence[Sequence[Said]], known: Sequence[Compared]) -> Middle:
    """Return by how much the share of correct answers changes within an hour of work, over sessions."""
    right = {(one.said.output, one.said.at): not one.wrong for one in known}
    slopes = [
        _slope([(one.at, float(right[one.output, one.at])) for one in rows if (one.output, one.at) in right])
        for rows in of
    ]
    return mean([slope for slope in slopes if slope is not None], LEAST_SESSIONS)


def by_hour(of: Sequence[Sequence[Said]], known: Sequence[Compared]) -> list[Hour]:
    """Return the answers of each hour of all sessions together."""
    right = {(one.said.output, one.said.at): not one.wrong for one in known}
    hours: dict[int, list[Said]] = {}
    for rows in of:
        for row in rows:
            hours.setdefault(int((row.at - rows[0].at) / timedelta(hours=1)), []).append(row)
    found = []
    for hour, rows in sorted(hours.items()):
        checked = [right[row.output, row.at] for row in rows if (row.output, row.at) in right]
        seconds = median([row.seconds for row in rows if row.seconds is not None])
        found.append(Hour(hour, len(rows), seconds.value, part(sum(checked), len(checked))))
    return found


def by_label(known: Sequence[Compared]) -> dict[str, Part]:
    """Return for each label that the others gave how often the person gave the same, most frequent first."""
    counts: dict[str, list[int]] = {}
    for one in known:
        n = counts.setdefault(one.truth, [0, 0])
        n[0] += not one.wrong
        n[1] += 1
    return {label: part(*counts[label]) for label in sorted(counts, key=lambda label: (-counts[label][1], label))}


def per_week(rows: Sequence[Said], now: datetime) -> tuple[int, float]:
    """Return the answers of the last seven days, and those of a week in the mean since the first one."""
    weeks = max(1.0, (now - rows[0].at) / timedelta(weeks=1)) if rows else 1.0
    return sum(now - row.at <= timedelta(weeks=1) for row in rows), len(rows) / weeks


def _slope(points: Sequence[tuple[datetime, float]]) -> float | None:
    """Return the change in an hour by least squares; None with too few points, or all at one time."""
    if len(points) < LEAST_IN_SESSION:
        return None
    hours = np.array([(at - points[0][0]) / timedelta(hours=1) for at, _ in points])
    spread = float(((hours - hours.mean()) ** 2).sum())
    return float(((hours - hours.mean()) * np.array([value for _, value in points])).sum() / spread) if spread else None
