"""Slices: parts of the hold-out that have something in common, each judged by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from labelloop.gate.paired import FEWER, Floats, Gain, holm, p_better

ALPHA = 0.05
"""Of all slices of a verdict together, whatever the gate's own is: who wants bold promotions wants no blind ones."""
MIN_SLICE = 10
"""A smaller slice is shown and not judged."""
MOST_VALUES = 20
"""A field of more words than this, or of hardly two items a word, divides nothing; of numbers there are quartiles."""
MOST_SLICES = 50
"""Of labels, sources and people the most frequent so many."""
MOST_FIELDS = 20
"""Of data, the first by name: among very many slices none could be seen to fall. `gate.slices` can name others."""
_FIELD = "data."
"""What the names of fields of the outputs' data begin with."""
_QUARTERS = [0.25, 0.5, 0.75]

Fact = str | float | datetime | tuple[str, ...] | None
"""What is known of one item by one name; several words put it into several slices."""


@dataclass(frozen=True, slots=True)
class Slice:
    by: str
    value: str
    n: int
    champion: float
    """Accuracy, or mean score."""
    challenger: float
    gain: Gain
    p_worse: float | None
    """Chance of such a loss by luck alone, adjusted for the number of slices (Holm); None: too few items to judge."""
    fell: bool
    """Lost more than the floor lets it, and not by luck."""

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
    """Every slice of the items, those that fell first, then as the facts name them.

    `incumbent`, `challenger`: scores of the items, shape (n,), 0 to 1.
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
    """Value to the positions of its items. One value alone divides nothing."""
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
