"""Paths into an item's data, as Label Studio resolves `$text`, `$doc.text` and `$items[0].body`.

Its editor looks for a key with the whole name first, and then goes down step by step. Its server only goes down, and
needs an object above `.name` and a list above `[0]`. The values read here satisfy both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def steps(field: str) -> list[str]:
    """Return the keys and positions that lead to the field, for Postgres' #> operator: items[0].body gives items, 0,
    body.
    """
    return [index or key for index, key in _STEP.findall(field)]


def value_at(data: Mapping[str, object], field: str) -> object:
    """Return the value that the form's `$field` shows of this item; None if it is null or missing."""
    if field in data:
        return data[field]
    if "." not in field and "[" not in field:
        return None
    return below(data, field)


def below(data: Mapping[str, object], field: str) -> object:
    """Return the same value step by step only, as Label Studio's server checks a task; None if a step is missing."""
    value: object = data
    for index, key in _STEP.findall(field):
        if index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value
