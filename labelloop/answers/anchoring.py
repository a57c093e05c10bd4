"""Anchoring: how much more often people give a model's answer when they see it. Pure.

A hash draws the blind tasks, so the two arms of one lane differ in nothing else. The interval of the difference is
MOVER (Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I) over Jeffreys' intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from labelloop.answers.error_rate import jeffreys


class Arms(NamedTuple):
    """Answers of one lane: those given without a prelabel, and those given with it."""

    lane: str
    blind: int
    blind_agreed: int
    """How many of them are the model's label."""
    shown: int
    shown_agreed: int


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Shares of answers that are the model's label, 0 to 1, and their difference with its 95 % interval."""

    blind: float
    shown: float
    difference: float
    low: float
    high: float


def anchoring(lanes: Sequence[Arms]) -> Anchoring | None:
    """Compare the arms. Each lane counts with its number of answers; None if no lane has answers of both arms."""
    both = [lane for lane in lanes if lane.blind and lane.shown]
    total = sum(lane.blind + lane.shown for lane in both)
    if not total:
        return None
    blind, shown = (
        _arm([(one.blind, one.blind_agreed, one.blind + one.shown) for one in both], total),
        _arm([(one.shown, one.shown_agreed, one.blind + one.shown) for one in both], total),
    )
    difference = shown[1] - blind[1]
    low = difference - math.hypot(shown[1] - shown[0], blind[2] - blind[1])
    high = difference + math.hypot(shown[2] - shown[1], blind[1] - blind[0])
    return Anchoring(blind[1], shown[1], difference, max(-1.0, low), min(1.0, high))


def _arm(lanes: Sequence[tuple[int, int, int]], total: int) -> tuple[float, float, float]:
    """Return the share of agreed answers over lanes of these sizes, with the ends of its interval in the middle's
    order: low, value, high.
    """
    value, below, above = 0.0, 0.0, 0.0
    for n, agreed, size in lanes:
        share, weight = agreed / n, size / total
        low, high = jeffreys(share, float(n))
        value += weight * share
        below += (weight * (share - low)) ** 2
        above += (weight * (high - share)) ** 2
    return value - math.sqrt(below), value, value + math.sqrt(above)
