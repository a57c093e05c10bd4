"""Items: the keys and the data of a batch, and the confidences of an item's labels, in the types that pipelines use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec

from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import Output
from labelloop.reading.fields import SUM_TOLERANCE
from labelloop.reading.keys import key_text
from labelloop.reading.nearest import did_you_mean

ROUNDING = 0.01
"""Largest deviation of a sum of probabilities from 1 that rounding to 16 bits explains."""

FOR_ALL = ("model_version", "produced_at", "group", "embedding", "gold", "source", "trace", "step", "meta")
"""Fields of an output that every adapter takes by name; they hold for all its outputs."""
P = ParamSpec("P")
WRONG_SHAPE = (AttributeError, IndexError, KeyError, OverflowError, OSError, RecursionError, TypeError, ValueError)
"""Errors of reading a value that has another type than the published one."""


def keywords(adapter: Callable[P, Iterator[Output]]) -> Callable[P, Iterator[Output]]:
    """Make an adapter raise UsageError for a keyword that is neither its own nor in FOR_ALL."""
    own = [name for name, one in signature(adapter).parameters.items() if one.kind is not one.VAR_KEYWORD]
    known = [*own, *(name for name in FOR_ALL if name not in own)]

    @wraps(adapter)
    def checked(*args: P.args, **given: P.kwargs) -> Iterator[Output]:
        for name in given:
            if name not in known:
                raise UsageError(f"no keyword {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}")
        return adapter(*args, **given)

    return checked


def paired(keys: Any, data: Any, n: int, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key and the data of each of `n` items.

    `keys` are texts, integers or UUIDs in any list, array or Series. `data` is a DataFrame, or one mapping or text an
    item; a text becomes the field `field`. Raises UsageError if there are not `n` of each.
    """
    names, rows = listed(keys), _rows(data)
    for what, found in (("keys", len(names)), ("data", len(rows))):
        if found != n:
            raise UsageError(f"{what} has {found} items, and there are {n} predictions; give one for each")
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        key = _key(name, place)
        yield key, _fields(row, field, key)


def listed(values: Any) -> list[Any]:
    """Return a list, an array, a Series, an Index or an iterator as a list; a text or a mapping is one value."""
    return [values] if isinstance(values, str | Mapping) or not isinstance(values, Iterable) else list(values)


def is_frame(value: Any) -> bool:
    """Return whether it is a DataFrame, of pandas or polars."""
    return hasattr(value, "columns") and (hasattr(value, "iloc") or hasattr(value, "to_dicts"))


def records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a DataFrame by column; a missing value (NaN, NaT) is None."""
    rows = frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict("records")
    return [{column: None if _is_missing(value) else value for column, value in row.items()} for row in rows]


def name_of(label: Any) -> str:
    """Return a class label as the text that a form has: numpy.int64(3) and 3.0 as "3", numpy.bool_(True) as "True"."""
    plain = label.item() if hasattr(label, "item") and getattr(label, "shape", ()) == () else label
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    return str(plain)


def answer(scores: Mapping[str, float], *, several: bool = False) -> dict[str, Any]:
    """Return the fields of an output for the confidences of an item's labels.

    With `several`, the labels are independent of each other and become `evidence.labels`. Otherwise they become
    `probabilities` if they sum to 1. If they sum to less, the model left out labels: the fields are the best label and
    its confidence. Numbers outside of 0 to 1 are no confidences: the best label has none, and people are asked.

    Raises InvalidOutput if there are no labels, if one has no number, or if they sum to more than 1.
    """
    if not scores:
        raise InvalidOutput("probabilities", "there are no labels")
    for label, score in scores.items():
        if math.isnan(score):
            raise InvalidOutput(f"probabilities.{label}", "is nan; the model gave no prediction for this item")
    usable = all(-SUM_TOLERANCE <= score <= 1 + SUM_TOLERANCE for score in scores.values())
    if several:
        if not usable:
            raise InvalidOutput("evidence.labels", f"must lie between 0 and 1; there is {_outside(scores):g}")
        return {"evidence": {"labels": dict(scores)}}
    best = max(scores, key=lambda label: scores[label])
    if not usable or len(scores) == 1:
        return {"label": best, "confidence": scores[best] if usable else None}
    total = math.fsum(scores.values())
    if abs(total - 1.0) <= ROUNDING:
        rounded = abs(total - 1.0) > SUM_TOLERANCE
        return {"probabilities": {label: one / total if rounded else one for label, one in scores.items()}}
    if total > 1.0:
        raise InvalidOutput(
            "probabilities", f"sum to {total:.4g}; for labels that are independent of each other pass several=True"
        )
    return {"label": best, "confidence": scores[best]}


@contextmanager
def about(key: str, shape: str = "") -> Iterator[None]:
    """Add the key to an InvalidOutput that is raised inside.

    `shape` names what is read inside, such as "a chat completion": then the error of a value of another type, or of a
    missing one, becomes an InvalidOutput too.
    """
    try:
        yield
    except InvalidOutput as exc:
        message = str(exc).removeprefix(f"{exc.path}: ")
        raise InvalidOutput(exc.path, f"{message} (output {key!r})", status=exc.status) from None
    except WRONG_SHAPE as exc:
        if not shape:
            raise
        why = f"{type(exc).__name__}: {str(exc)[:100]}"
        raise InvalidOutput("", f"does not have the shape of {shape}: {why} (output {key!r})") from exc


def _rows(data: Any) -> Sequence[Any]:
    return records(data) if is_frame(data) else listed(data)


def _fields(row: Any, field: str, key: str) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    if isinstance(row, str):
        return {field: row}
    raise UsageError(
        f"the data of output {key!r} is a {type(row).__name__}; give a mapping of fields or a text for each output, "
        "or a DataFrame with named columns"
    )


def _key(name: Any, place: int) -> str:
    key = key_text(name)
    if isinstance(key, str):
        return str(key)  # a numpy.str_ is a text too
    raise UsageError(f"the key of item {place} is {name!r} ({type(name).__name__}); give a text or an integer")


def _is_missing(value: Any) -> bool:
    """Return whether it is NaN, NaT or pandas.NA; an array is not."""
    if type(value).__name__ == "NAType":
        return True
    return getattr(value, "shape", ()) == () and bool(value != value)  # only NaN and NaT differ from themselves


def _outside(scores: Mapping[str, float]) -> float:
    return max(scores.values(), key=lambda score: abs(score - 0.5))
