"""Facts about one output that a trigger can name, and the type that each value counts as."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

NUMBER, TEXT, BOOLEAN = "number", "text", "boolean"
NUMBERS = ("model_confidence", "margin", "entropy")
TEXTS = ("label", "model_version", "source", "step", "trace")
OBJECTS = ("data", "meta")
PROBABILITIES = "probabilities"
_EXACT = 2.0**53
"""Below this a whole number is the same as a float and as an integer."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about one output that a trigger can use. None if the output does not have the fact."""

    model_confidence: float | None = None
    """The model's probability of its label, or the confidence or score that the pipeline gave."""
    margin: float | None = None
    """Probability of the most probable label minus that of the second; small if the model is uncertain."""
    entropy: float | None = None
    """Entropy of the probabilities divided by the log of the number of labels; 1 if all are equally probable."""
    label: str | None = None
    """The model's label."""
    model_version: str | None = None
    source: str | None = None
    step: str | None = None
    trace: str | None = None
    data: Mapping[str, Any] | None = None
    meta: Mapping[str, Any] | None = None
    probabilities: Mapping[str, float] | None = None
    """Probability of each label that the output names; of several labels at once, each has its own."""


def kind_of(value: object) -> str | None:
    """Return the type that a comparison sees; None for anything else, such as null, a list or NaN."""
    if isinstance(value, str):
        return TEXT
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return NUMBER
    return NUMBER if isinstance(value, float) and math.isfinite(value) else None


def as_written(value: Any) -> Any:
    """Return a large float as the whole number that its digits write.

    Postgres keeps 1.5e20 as 150000000000000000000, which Python reads as an integer. So a stored output and the one
    that was sent must compare equal.
    """
    if isinstance(value, float) and math.isfinite(value) and abs(value) >= _EXACT:
        return int(Decimal(repr(value)))
    return value


def step_down(value: Any, step: str | int) -> Any:
    """Return the value at a key of an object or at a position of a list; None if there is none."""
    if isinstance(step, str):
        return value.get(step) if isinstance(value, Mapping) else None
    return value[step] if isinstance(value, list) and step < len(value) else None
