"""Slices: parts of the hold-out set with a fact in common, each judged by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from labelloop.gate.paired import FEWER, Floats, Gain, holm, p_better

ALPHA = 0.05
"""Significance level of all slices of a verdict together. It is independent of the gate's own alpha: a bold promotion
policy must not hide losses.
"""
MIN_SLICE = 10
"""Smallest number of items of a slice that is judged; smaller slices are only shown."""
MOST_VALUES = 20
"""Largest number of different values of a text field that gives slices.

The field must also have, on average, two or more items for each value. A field with more numbers than that is divided
at the quartiles.
"""
MOST_SLICES = 50
"""Largest number of slices by label, source or person; the most frequent ones are used."""
MOST_FIELDS = 20
"""Largest number of data fields, the first by name: among very many slices no loss would be significant. `gate.slices`
can name others.
"""
_FIELD = "data."
"""Prefix of the names of the outputs' data fields."""
_QUARTERS = [0.25, 0.5, 0.75]

Fact = str | float | datetime | tuple[str, ...] | None
"""Fact about one item; a tuple of words puts the item into several slices."""


@dataclass(frozen=True, slots=True)
class Slice:
    by: str
    value: str
    n: int
    champion: float
    """Accuracy, or mean item score."""
    challenger: float
    gain: Gain
    p_worse: float | None
    """Probability of such a loss by luck alone, adjusted for the number of slices (Holm); None if there are too few
    items.
    """
    fell: bool
    """Whether it lost more than the floor allows, and not by luck."""

    def __str__(self) -> str:
        return (
            f"{self.by} {self.value} got worse by {-100 * self.gain.value:.1f} points, from {100 * self.champion:.1f} "
            f"to {100 * self.challenger:.1f} % on {self.n} (p = {self.p_worse:.2g} among all slices)"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "value": self.value,
            "n": self.n,
            "champion": self.champion,
            "challenger": self.challenger,
            "gain": self.gain.value,
            "low": self.gain.low,
            "high": self.gain.high,
            "fell": self.fell,
        }


def cut(
    facts: Sequence[Mapping[str, Fact]],
    incumbent: Floats,
    challenger: Floats,
    *,
    floor: float,
    rng: np.random.Generator,
) -> list[Slice]:
    """Return every slice of the items: first those that fell, then in the order of the facts.

    `incumbent` and `challenger` are the item scores of each, shape (n,), 0 to 1.
    """
    names = dict.fromkeys(name for item in facts for name in item)
    parts = {by: some for by in names if (some := _parts(by, [item.get(by) for item in facts]))}
    too_many = [by for by in parts if by.startswith(_FIELD)][MOST_FIELDS:]
    places = [(by, value, found) for by in parts if by not in too_many for value, found in parts[by]]
    differences = [challenger[found] - incumbent[found] for _, _, found in places]
    judged = [i for i, found in enumerate(differences) if len(found) >= MIN_SLICE]
    p_values = dict(zip(judged, holm([p_better(-differences[i], rng, FEWER) for i in judged]), strict=True))
    slices = []
    for i, (by, value, found) in enumerate(places):
        gain, p_worse = Gain.of(differences[i], rng), p_values.get(i)
        fell = p_worse is not None and p_worse <= ALPHA and gain.value < -floor
        means = float(incumbent[found].mean()), float(challenger[found].mean())
        slices.append(Slice(by, value, len(found), *means, gain, p_worse, fell))
    return sorted(slices, key=lambda s: not s.fell)


def _parts(by: str, values: Sequence[Fact]) -> list[tuple[str, list[int]]]:
    """Return the positions of the items by value. A single value gives no slice."""
    numbers = {i: v.timestamp() if isinstance(v, datetime) else float(v)
               for i, v in enumerate(values) if isinstance(v, datetime | float | int)}  # fmt: skip
    if numbers and (not by.startswith(_FIELD) or _many(len(set(numbers.values())), len(numbers))):
        return _quartiles(numbers, times=any(isinstance(v, datetime) for v in values))
    found = defaultdict(list)
    for i, value in enumerate(values):
        if value is not None:
            for word in value if isinstance(value, tuple) else [f"{value:g}" if i in numbers else str(value)]:
                found[word].append(i)
    if len(found) < 2 or (by.startswith(_FIELD) and _many(len(found), len(values))):
        return []
    frequent = Counter({word: len(items) for word, items in found.items()}).most_common(MOST_SLICES)
    return [(word, found[word]) for word in sorted(word for word, _ in frequent)]


def _many(values: int, items: int) -> bool:
    return values > MOST_VALUES or 2 * values > items


def _quartiles(numbers: Mapping[int, float], *, times: bool) -> list[tuple[str, list[int]]]:
    if len(set(numbers.values())) < 2:
        return []
    items, values = list(numbers), np.array(list(numbers.values()))
    quarter = np.searchsorted(np.quantile(values, _QUARTERS), values, side="left")
    return [
        (f"{_word(values[quarter == q].min(), times)} to {_word(values[quarter == q].max(), times)}",
         [items[i] for i in np.flatnonzero(quarter == q)])
        for q in range(4) if (quarter == q).any()
    ]  # fmt: skip


def _word(number: float, times: bool) -> str:
    return f"{datetime.fromtimestamp(number, UTC):%Y-%m-%d %H:%M}" if times else f"{number:g}"
