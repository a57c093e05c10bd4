"""Paths: which value of an item's data a field of a form shows, as Label Studio resolves `$text`, `$doc.text` and
`$items[0].body`.

Its editor takes a key of that very name first and then goes down step by step; its server goes down only, and wants
an object above `.name` and a list above `[0]`. What is read here satisfies both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def steps(field: str) -> list[str]:
    """The keys and positions that lead to the field, as Postgres' #> takes them: items[0].body is items, 0, body."""
    return [index or key for index, key in _STEP.findall(field)]


def value_at(data: Mapping[str, object], field: str) -> object:
    """The value that the form's `$field` shows of this item; None where it is null, or not there."""
    if field in data:
        return data[field]
    if "." not in field and "[" not in field:
        return None
    return below(data, field)


def below(data: Mapping[str, object], field: str) -> object:
    """The same, step by step only, as Label Studio's server checks a task; None where a step is not there."""
    value: object = data
    for index, key in _STEP.findall(field):
        if index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value
