"""Judge looks: certify a judge at planned numbers of answers, so that the certificate holds over all looks. Pure.

A bound that holds with 95 % confidence for one look is crossed by luck sooner or later if people look again and again.
So a class (what people call positive, or the rest) is looked at when it has a number of answers in SIZES. The chance of
error, RISK, is spent over these looks as fixed in advance. Opening a page, or a report after each answer,
changes nothing. The boundaries are exact for independent answers: labelloop/gate/looks.py.

A judge is certified if each class has passed one of its looks. If one of its rates is below the floor, that class
passes in at most RISK of cases, and so does the judge (an intersection-union test: Berger 1982,
doi:10.1080/00401706.1982.10487790).

Answers that are weighted or alike count as fewer, by the effective number of answers at each look. It must not be too
large however alike groups are: `at_most_of_weights_and_groups` of labelloop/selection/design_effect.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from labelloop.gate.looks import binomial, boundaries

RISK = 0.05
"""Largest probability with which a class whose rate is below the floor ever passes."""
FIRST, GROWTH, LAST = 15, 1.2, 6_000
SIZES = tuple(round(FIRST * GROWTH**i) for i in range(math.ceil(math.log(LAST / FIRST, GROWTH))))
"""Numbers of answers of a class at which there is a look: 15, 18, 22, ..., 93, 111, 134, ..., 5,127."""
HALF_SPENT = 12
"""Half of RISK is spent when a judge at the floor would be expected to make this many errors in the class."""
POWER = 0.8
"""Probability with which the planned number of answers lets a class pass, if the judge is as good as it seems."""
ASSUMED = 10.0
"""How many answers the first guess at a rate counts for in a plan."""
STEADY = 6
"""At so many looks in a row the answers must tell as much as a look counts them for."""
AHEAD = 12
"""How many further looks are planned at first. All of them take long where the floor is low."""
EPSILON = 1e-9


class Seen(NamedTuple):
    """The answers of one class up to a look, or up to now."""

    answers: int
    effective: float
    """Number of independent answers that would tell as much, at least."""
    correct: float
    """Share of them in which the judge agrees with people, 0 to 1; 0 without answers."""


@dataclass(frozen=True, slots=True)
class Look:
    answers: int
    effective: int
    """Number of independent answers that would tell as much, rounded down."""
    incorrect: int
    """In how many of `effective` the judge does not agree with people, rounded up; not fewer than at earlier looks."""
    allowed: int
    """The class passes at this look with at most so many incorrect ones; -1 if it cannot pass."""

    @property
    def passed(self) -> bool:
        return self.incorrect <= self.allowed


@dataclass(frozen=True, slots=True)
class OfClass:
    """Result of the looks at one class."""

    answers: int
    """Number of answers now; those after the last look decide nothing yet."""
    certified: bool
    """Whether a look was passed, and the rate at the last look is not below the floor."""
    passed_at: int | None
    """Number of answers at the first look that was passed; None if none was."""
    last: Look | None
    """The last look; None before the first one."""
    next: int | None
    """Number of answers at the next look that can be passed; None after the last one."""
    needed: int | None
    """How many more answers let the class pass in POWER of cases. 0 if it is certified, None if no number is likely to:
    the rate seems to be below the floor or too near to it.
    """


def spent(effective: int, floor: float) -> float:
    """Return the share of RISK, 0 to 1, that all looks up to this number of independent answers may use together."""
    half = HALF_SPENT / (1.0 - floor)
    return effective**2 / (effective**2 + half**2)


def examine(looks: Sequence[Seen], now: Seen, floor: float) -> OfClass:
    """Test whether the rate of a class is above the floor, at the looks so far, and plan the further ones.

    `looks`: the class when it first had each number of answers in SIZES. `now`: with the answers of today.

    A class that passed stays certified, unless its rate at the last look is below the floor.
    """
    done = tested(looks, floor)
    passed_at = next((look.answers for look in done if look.passed), None)
    certified = passed_at is not None and bool(looks[-1].correct >= floor)
    last = done[-1] if done else None
    sizes = [look.effective for look in done]
    reached = max(now.answers, last.answers if last else 0)  # fewer now, if some were taken back
    further = [size for size in SIZES if size > reached]
    following, needed = _planned(sizes, now, floor, further[:AHEAD], passed_at is not None)
    if following is None or (needed is None and _likely(now, floor) > floor):
        following, needed = _planned(sizes, now, floor, further, passed_at is not None)
    return OfClass(now.answers, certified, passed_at, last, following, 0 if certified else needed)


def tested(looks: Sequence[Seen], floor: float) -> list[Look]:
    """Return the result of each look: see `examine`."""
    # The effective number may fall where a large group comes in. A test cannot take back what it has spent. It counts
    # answers one by one, so the number of incorrect ones does not fall either: a group must not dilute them.
    sizes = _not_falling([int(size + EPSILON) for size in _cautious(looks)])
    incorrect = _not_falling([_incorrect(one.correct, size) for one, size in zip(looks, sizes, strict=True)])
    return [
        Look(one.answers, size, wrong, limit)
        for one, size, wrong, limit in zip(looks, sizes, incorrect, _boundaries(tuple(sizes), floor), strict=True)
    ]


def _planned(
    sizes: Sequence[int], now: Seen, floor: float, further: Sequence[int], passed: bool
) -> tuple[int | None, int | None]:
    """Return the next look that can be passed, and how many more answers are likely to do: see OfClass.

    `sizes`: the effective numbers at the looks so far. `further`: the numbers of answers at the looks to consider.
    """
    tells = now.effective / now.answers if now.answers else 1.0
    planned = [max(int(size * tells + EPSILON), *sizes[-1:], 0) for size in further]
    allowed = _boundaries((*sizes, *planned), floor)[len(sizes) :]
    coming = list(zip(further, planned, allowed, strict=True))
    following = next((size for size, _, limit in coming if limit >= 0), None)
    return following, _needed(now, coming, floor, passed)


def _needed(now: Seen, coming: Sequence[tuple[int, int, int]], floor: float, passed: bool) -> int | None:
    """Return how many more answers are likely to let the class pass, see OfClass.needed.

    `coming`: of each further look the number of answers, the effective number, and the allowed number of incorrect
    ones.
    """
    likely = _likely(now, floor)
    if likely <= floor:
        return None
    if passed:  # only the rate at the next look is missing
        return coming[0][0] - now.answers if coming else None
    most = max((limit for *_, limit in coming), default=-1)
    before = int(now.effective + EPSILON)
    incorrect = _incorrect(now.correct, before)
    if incorrect > most:
        return None
    alive, passes = np.zeros(most + 1), 0.0
    alive[incorrect] = 1.0
    for answers, effective, limit in coming:
        if effective > before:
            alive = np.convolve(alive, binomial(effective - before, 1.0 - likely, most))[: most + 1]
            before = effective
        passes += float(alive[: limit + 1].sum())
        alive[: limit + 1] = 0.0
        if passes >= POWER:
            return answers - now.answers
    return None


def _likely(now: Seen, floor: float) -> float:
    """Return the rate to plan for. Before any answer it is half-way between the floor and 1, which counts for ASSUMED
    answers afterwards.
    """
    return (now.correct * now.effective + ASSUMED * (1.0 + floor) / 2.0) / (now.effective + ASSUMED)


def _cautious(looks: Sequence[Seen]) -> list[float]:
    """Return the effective number at each look, by the smallest share that was effective at STEADY looks up to it.

    How alike answers are is estimated too. Where few are incorrect by luck, they also look less alike than they are.
    """
    shares = [one.effective / one.answers for one in looks]
    return [one.answers * min(shares[max(0, i - STEADY + 1) : i + 1]) for i, one in enumerate(looks)]


def _not_falling(numbers: Sequence[int]) -> list[int]:
    """Return the largest number up to each place."""
    return list(accumulate(numbers, max))


def _incorrect(correct: float, effective: int) -> int:
    return math.ceil((1.0 - correct) * effective - EPSILON)


@lru_cache(maxsize=1024)
def _boundaries(sizes: tuple[int, ...], floor: float) -> list[int]:
    return boundaries(sizes, [spent(size, floor) for size in sizes], 1.0 - floor, RISK)
