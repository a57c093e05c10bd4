"""Plain: turn values of programs (numpy, pandas, datetime, Decimal) into JSON values. Others are refused with their
path.

numpy and pandas are recognized by the attributes of their objects, so neither needs to be installed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from labelloop.errors import InvalidOutput

MAX_DEPTH = 32
_JSON_TYPES = frozenset({str, int, bool, type(None)})
_MAX_SHOWN = 40
"""Largest number of characters of a value that a message shows."""


def plain(value: Any, path: str = "") -> Any:
    """Return the value as None, bool, int, float, str, list and dict.

    NaT and pandas.NA become None, dates and times their ISO 8601 text, a Decimal the equal number. A key that is a
    number or a boolean becomes its text, as str() gives it.

    Raises InvalidOutput with the path of a value that is not JSON. NaN and infinity are refused, because they may mean
    a missing value or a failed calculation.
    """
    return _plain(value, path, 0)


def _plain(value: Any, path: str, depth: int) -> Any:
    if type(value) in _JSON_TYPES:
        return value
    if isinstance(value, float):
        return _finite(float(value), path)
    if isinstance(value, str):  # numpy.str_, and enumerations of texts
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if depth > MAX_DEPTH:
        raise InvalidOutput(path, f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return _object(value, path, depth)
    if isinstance(value, list | tuple):
        return [_plain(one, f"{path}[{i}]", depth + 1) for i, one in enumerate(value)]
    if isinstance(value, datetime | date | time):
        # Only NaN and NaT are unequal to themselves.
        return value.isoformat() if value == value else None
    if isinstance(value, Decimal):
        return _number(value, path)
    if type(value).__name__ == "NAType":
        return None
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return _array(value, path, depth)
    raise InvalidOutput(
        path, f"{type(value).__name__} is not a JSON value ({str(value)[:_MAX_SHOWN]!r}); give a text or a number"
    )


def _object(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, one in value.items():
        name = key if type(key) is str else _name(key, path)
        if type(one) in _JSON_TYPES or (type(one) is float and math.isfinite(one)):  # most values
            found[name] = one
        else:
            found[name] = _plain(one, f"{path}.{name}" if path else name, depth + 1)
    if len(found) < len(value):
        names = [key if type(key) is str else _name(key, path) for key in value]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidOutput(
            f"{path}.{twice}" if path else twice, "is given twice, as a text and as another value with the same text"
        )
    return found


def _name(key: Any, path: str) -> str:
    found = _plain(key, path, 0)
    if found is None or isinstance(found, list | dict):
        raise InvalidOutput(path, f"a key must be a text, a number or a boolean; one is {type(key).__name__}")
    return str(found)


def _array(value: Any, path: str, depth: int) -> Any:
    """Return a scalar or an array of numpy, pandas or torch as JSON values."""
    kind = getattr(value.dtype, "kind", "")
    if tuple(getattr(value, "shape", ())) == ():
        if kind in "mM" and kind:
            text = str(value)
            if text == "NaT":
                return None
            if kind == "M":
                return text
            raise InvalidOutput(path, f"is a length of time ({text}); give it as a number or as a text")
        return _plain(value.item() if kind != "f" else float(value), path, depth + 1)
    items: Sequence[Any] = list(value) if kind in "mMO" and kind else value.tolist()
    return [_plain(one, f"{path}[{i}]", depth + 1) for i, one in enumerate(items)]


def _number(value: Decimal, path: str) -> int | float:
    if not value.is_finite():
        raise _no_number(path, value)
    if value == value.to_integral_value() and abs(value) < 1 << 63:
        return int(value)
    if Decimal(repr(float(value))) == value:
        return float(value)
    raise InvalidOutput(path, f"the Decimal {str(value)[:_MAX_SHOWN]} is no number of 64 bits; give it as a text")


def _finite(value: float, path: str) -> float:
    if math.isfinite(value):
        return value
    raise _no_number(path, value)


def _no_number(path: str, value: object) -> InvalidOutput:
    return InvalidOutput(path, f"is {value}, which is not a JSON number; give None if the value is missing")
