"""Frame: the rows of a DataFrame as outputs. Only `columns` and the columns themselves are used, never pandas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelloop.errors import UsageError
from labelloop.reading.keys import key_text
from labelloop.reading.nearest import did_you_mean

Columns = Sequence[str] | Mapping[str, str]


def rows(
    frame: Any,
    *,
    key: str,
    data: Columns | None,
    label: str | None,
    confidence: str | None,
    probabilities: Columns | None,
    group: str | None,
    model_version: str,
) -> Iterator[dict[str, Any]]:
    """Yield one output a row: see Client.submit_frame. Raises UsageError for a wrong column before the first row."""
    shares = _mapping("probabilities", probabilities)
    singles = {
        name: column
        for name, column in (("key", key), ("label", label), ("confidence", confidence), ("group", group))
        if column is not None
    }
    names = _names(frame)
    if data is None:
        data = [name for name in names if name not in {*singles.values(), *shares.values()}]
    fields = _mapping("data", data)
    wanted = dict.fromkeys([*singles.values(), *fields.values(), *shares.values()])
    missing = [column for column in wanted if column not in names]
    if missing:
        known = list(map(str, names))
        is_index = missing[0] in ("index", getattr(getattr(frame, "index", None), "name", None))
        raise UsageError(
            f"no column {missing[0]!r} in the frame{did_you_mean(missing[0], known)}; there are: {', '.join(known)}"
            f"{'. frame.reset_index() makes a column of the index' if is_index else ''}"
        )
    return _rows({column: _values(frame, column) for column in wanted}, singles, fields, shares, model_version)


def _rows(
    values: Mapping[str, Sequence[Any]],
    singles: Mapping[str, str],
    fields: Mapping[str, str],
    shares: Mapping[str, str],
    model_version: str,
) -> Iterator[dict[str, Any]]:
    for i in range(len(values[singles["key"]])):
        output: dict[str, Any] = {"data": {name: _or_none(values[column][i]) for name, column in fields.items()}}
        for name, column in singles.items():
            value = _or_none(values[column][i])
            if value is not None:
                output[name] = _key(value, singles[name]) if name == "key" else value
        if shares:
            output["probabilities"] = {name: values[column][i] for name, column in shares.items()}
        if model_version:
            output["model_version"] = model_version
        yield output


def _key(value: Any, column: str) -> Any:
    if isinstance(value, float) and value.is_integer():
        raise UsageError(
            f"column {column!r} has the number {value!r} for a key: integers become such numbers if one of them is "
            "missing. Leave the rows without a key out, and convert the others: frame[column].astype(int)"
        )
    return key_text(value)


def _names(frame: Any) -> list[Any]:
    try:
        return list(frame.columns)
    except (AttributeError, TypeError):
        raise UsageError(f"a frame has columns; this is a {type(frame).__name__}") from None


def _mapping(argument: str, columns: Columns | None) -> dict[str, str]:
    if isinstance(columns, str):
        raise UsageError(f"{argument} takes a list of columns, or a mapping to columns; it is the text {columns!r}")
    if columns is None:
        return {}
    return dict(columns) if isinstance(columns, Mapping) else {str(column): column for column in columns}


def _values(frame: Any, column: str) -> list[Any]:
    values = frame[column]
    for name in ("tolist", "to_list"):
        if hasattr(values, name):
            return list(getattr(values, name)())
    if hasattr(values, "columns"):
        raise UsageError(f"the frame has several columns {column!r}")
    return list(values)


def _or_none(value: Any) -> Any:
    """Return None for a missing value. In a frame that is NaN or NaT, which are unequal to themselves, or NA."""
    if type(value).__name__ == "NAType" or (isinstance(value, float) and value != value):
        return None
    return value
