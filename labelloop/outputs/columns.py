"""Columns: which column of a table holds which field of an output, and the output in a row."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import FIELDS
from labelloop.reading import strict_json
from labelloop.reading.paths import value_at

OBJECTS = ("data", "probabilities", "evidence", "meta")
"""Fields that hold others: a column may be named `data.text` or `probabilities.cat`."""
_NUMBERS = ("confidence", "score", "probabilities.", "evidence.labels.")
_JSON = (*OBJECTS, "result", "embedding")
_PREDICTIONS = ("label", "probabilities", "result", "evidence")
_SHOWN = 30
"""Largest number of names that a message lists."""


def read_map(words: Iterable[str]) -> dict[str, str]:
    """Return the column of each field from words such as `data.text=body`. Raises UsageError with the nearest name."""
    found: dict[str, str] = {}
    for word in words:
        field, equals, column = word.partition("=")
        if not equals or not column:
            raise UsageError(f"--map takes FIELD=COLUMN, such as key=id or data.text=body; it is {word!r}")
        if not is_field(field):
            if is_field(column):
                raise UsageError(f"--map {word}: the order is FIELD=COLUMN: did you mean --map {column}={field}?")
            _, dot, below = field.partition(".")
            names = [f"{one}{dot}{below}" for one in OBJECTS] if dot and below else FIELDS
            raise UsageError(f"--map {word}: no field {field!r}; {_nearest(field, names, FIELDS)}")
        if field in found:
            raise UsageError(f"--map {word}: {field} is already {found[field]!r}")
        found[field] = column
    return found


def is_field(path: str) -> bool:
    """Return whether an output has this field, such as `key` or `data.text`."""
    head, dot, below = path.partition(".")
    return head in FIELDS and (not dot or (bool(below) and head in OBJECTS))


def plan(rows: Sequence[Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each field, from the first rows of a table and from the fields that are given.

    Columns named like a field are used without being given. A column `score` is used only beside a `result`, and
    `confidence` only beside a `label`. If no column is for `data`, all others are: `text` becomes `data.text`.

    Raises UsageError for a column that is missing, without a key, and without a label.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for field, column in given.items():
        if column not in columns and all(value_at(row, column) is None for row in rows):
            raise UsageError(f"--map {field}={column}: no column {column!r}; {_nearest(column, columns, columns)}")
    used = set(given.values())
    found = {name: name for name in columns if is_field(name) and name not in used and name not in given} | dict(given)
    for number, needs in (("score", "result"), ("confidence", "label")):
        if number not in given and needs not in found:
            found.pop(number, None)
    if not any(field.partition(".")[0] == "data" for field in found):
        found |= {f"data.{name}": name for name in columns if name not in used and not is_field(name)}
    if "key" not in found:
        raise UsageError(f"no column is the key: pass --map key=COLUMN; there are: {_listed(columns)}")
    if not any(field.partition(".")[0] in _PREDICTIONS for field in found):
        raise UsageError(f"no column is the label: pass --map label=COLUMN; there are: {_listed(columns)}")
    return found


def output_in(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the output in a row, as it would be sent; `columns` is a plan.

    Texts of a CSV become numbers and JSON values where the field has such. An empty text, NaN and None are missing; in
    `data`, only NaN and None are. Raises InvalidOutput with the path of a text that cannot be read.
    """
    output: dict[str, Any] = {}
    for field, column in columns.items():
        value = value_at(row, column)
        if isinstance(value, float) and value != value:
            value = None
        shown = field.startswith("data.")
        if (value is None or value == "") and not shown:
            continue
        if isinstance(value, str) and not shown:
            value = _typed(field, value)
        elif field == "probabilities" and isinstance(value, Mapping):
            value = {label: share for label, share in value.items() if share is not None}  # Parquet names all of them
        elif field == "key" and type(value) is int:
            value = str(value)
        _put(output, field, value)
    output.setdefault("data", {})
    return output


def _typed(field: str, text: str) -> Any:
    """Return the value of a field that a CSV holds as a text."""
    if field.startswith(_NUMBERS):
        try:
            return float(text)
        except ValueError:
            point = text.strip().replace(",", ".")
            hint = f"; use a decimal point: {point}" if re.fullmatch(r"-?\d*,\d{1,20}", text.strip()) else ""
            raise InvalidOutput(field, f"must be a number; it is {text[:40]!r}{hint}") from None
    if field in _JSON:
        try:
            return strict_json.loads(text.encode(errors="surrogatepass"))
        except InvalidOutput as exc:
            raise InvalidOutput(field, f"must be JSON: {exc}") from None
    return text


def _put(output: dict[str, Any], field: str, value: Any) -> None:
    """Set a field by its path. A label may contain dots, so `probabilities.a.b` has one step below it."""
    head, dot, below = field.partition(".")
    if not dot:
        output[head] = value if head not in output or not isinstance(value, dict) else value | output[head]
        return
    steps = {"probabilities": [below], "evidence": below.split(".", 1)}.get(head, below.split("."))
    at = output.setdefault(head, {})
    for step in steps[:-1]:
        at = at.setdefault(step, {})
        if not isinstance(at, dict):
            raise InvalidOutput(field, "is below a value that is no object")
    at[steps[-1]] = value


def _nearest(name: str, among: Collection[str], all_: Collection[str]) -> str:
    near = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
    return f"{f'did you mean {near[0]!r}? ' if near else ''}there are: {_listed(all_)}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(list(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") or "none"
