"""Parts of the hold-out set: the items that share a fact, by which slices are cut."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

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
Part = tuple[str, str, list[int]]
"""The name of the fact that the items share, its value, and the positions of the items."""


def parts(facts: Sequence[Mapping[str, Fact]], watch: Sequence[str] = ()) -> list[Part]:
    """Return the parts in the order of the facts, then the watched ones that the limits would leave out.

    An entry of `watch` is a fact (`label`) or one value of it (`label=8`).
    """
    names = dict.fromkeys(name for item in facts for name in item)
    cut = {by: some for by in names if (some := _parts(by, [item.get(by) for item in facts]))}
    whole = {entry for entry in watch if entry in cut}
    fields = [by for by in cut if by.startswith(_FIELD) and by not in whole]
    too_many = fields[MOST_FIELDS:]
    found = [(by, value, items) for by in cut if by not in too_many for value, items in cut[by]]
    known = {f"{by}={value}" for by, value, _ in found}
    for entry in watch:
        by, _, value = entry.partition("=")
        if value and entry not in known:
            items = [i for i, item in enumerate(facts) if value in words(item.get(by))]
            found += [(by, value, items)] if items else []
    return found


def _parts(by: str, values: Sequence[Fact]) -> list[tuple[str, list[int]]]:
    """Return the positions of the items by value. A single value gives no slice."""
    numbers = {i: v.timestamp() if isinstance(v, datetime) else float(v)
               for i, v in enumerate(values) if isinstance(v, datetime | float | int)}  # fmt: skip
    if numbers and (not by.startswith(_FIELD) or _many(len(set(numbers.values())), len(numbers))):
        return _quartiles(numbers, times=any(isinstance(v, datetime) for v in values))
    found = defaultdict(list)
    for i, value in enumerate(values):
        if value is not None:
            for word in words(value):
                found[word].append(i)
    if len(found) < 2 or (by.startswith(_FIELD) and _many(len(found), len(values))):
        return []
    frequent = Counter({word: len(items) for word, items in found.items()}).most_common(MOST_SLICES)
    return [(word, found[word]) for word in sorted(word for word, _ in frequent)]


def words(value: Fact) -> Iterator[str]:
    """Return the values of a fact by which it puts its item into slices."""
    if isinstance(value, tuple):
        yield from value
    elif value is not None:
        yield f"{value:g}" if isinstance(value, float | int) else str(value)


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
