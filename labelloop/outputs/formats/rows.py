"""Rows: tables and JSON lines with an item each, its output, and the answers of people. Pure.

A row has the fields of an output. One answer is in `answer` with `person`, `answered_at`, `comment` and `approval`;
several are in `answers`, a list of objects with these names. A row that is exported has the same names, so that it can
be read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs import columns
from labelloop.outputs.formats.items import Given, How, Item, Row, Tally, claimed, time_of
from labelloop.outputs.output import FIELDS
from labelloop.reading import strict_json
from labelloop.reading.nearest import did_you_mean
from labelloop.reading.paths import value_at

OF_ANSWER = ("answer", "person", "answered_at", "comment", "approval")
ANSWERS = "answers"
TOLD = ("agreement", "reviewers", "holdout", "lane", "model_label", "resolved_at")
"""Columns of our exports that say something about the answer, and are not read."""
NOT_READ = "agreement, number of reviewers and lane: they follow from the answers that are read"
_WANTS = (*FIELDS, *OF_ANSWER, ANSWERS)


def read_map(words: Iterable[str]) -> dict[str, str]:
    """Return the column of each field from words such as `answer=gold` or `data.text=body`. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        field, equals, column = word.partition("=")
        if not equals or not column:
            raise UsageError(f"--map takes FIELD=COLUMN, such as answer=verdict or data.text=body; it is {word!r}")
        if not columns.is_field(field) and field not in (*OF_ANSWER, ANSWERS):
            raise UsageError(
                f"--map {word}: no field {field!r}{did_you_mean(field, _WANTS)}; there are: {', '.join(_WANTS)}"
            )
        if field in found:
            raise UsageError(f"--map {word}: {field} is already {found[field]!r}")
        found[field] = column
    return found


def plan(first: Sequence[Row], given: Mapping[str, str], how: How) -> dict[str, str]:
    """Return the column of each field, from the first rows and from the fields that are given (`--map`).

    Columns named like a field are used without being given. If no column is for `data`, all others are. Raises
    UsageError for a column that is missing.
    """
    names = list(dict.fromkeys(name for row in first for name in row))
    for field, column in given.items():
        if column not in names and all(value_at(row, column) is None for row in first):
            raise UsageError(
                f"--map {field}={column}: no column {column!r}; there are: {', '.join(names[:30]) or 'none'}"
            )
    used = set(given.values())
    known = (*OF_ANSWER, ANSWERS)
    found = {
        name: name for name in names if (columns.is_field(name) or name in known) and name not in used | given.keys()
    }
    found |= given
    for number, needs in (("score", "result"), ("confidence", "label")):
        if number not in given and needs not in found:
            found.pop(number, None)
    if not any(field.partition(".")[0] == "data" for field in found):
        hidden = used | {how.key} | {name for name in names if name in TOLD}
        found |= {f"data.{name}": name for name in names if name not in hidden and name not in found}
    if "data" in found:  # our own export has the whole data, and its fields once more for people
        found = {field: column for field, column in found.items() if not field.startswith("data.") or field in given}
    return found


def read(row: Row, line: int, how: How, planned: Mapping[str, str], tally: Tally) -> Item:
    """Return the item in a row. Raises InvalidOutput with the field that is wrong."""
    of_answers = {name: planned[name] for name in (*OF_ANSWER, ANSWERS) if name in planned}
    output = columns.output_in(row, {name: column for name, column in planned.items() if name not in of_answers})
    output["key"] = how.key_of(row, output.get("key"), output["data"])
    values = {name: _cell(value_at(row, column)) for name, column in of_answers.items()}
    several = _list(values.pop(ANSWERS, None))
    answer, alone = values.get("answer"), [] if several else [values]
    answers = [given for i, one in enumerate(several or alone) if (given := _given(one, i if several else None))]
    if any(name in row for name in TOLD):
        tally[NOT_READ] += 1
    if how.as_predictions:
        return Item(line, output if answer is None else claimed(how, output, answer))
    return Item(line, output, answers)


def _given(one: Row, place: int | None) -> Given | None:
    path = "" if place is None else f"answers[{place}]."
    answer = _cell(one.get("answer"))
    approval = _truth(f"{path}approval", one.get("approval"))
    if answer is None and approval is None:
        return None
    person, comment = one.get("person"), one.get("comment")
    return Given(
        None if person is None else str(person),
        answer,
        approval,
        comment=None if comment is None else str(comment),
        updated_at=time_of(f"{path}answered_at", one.get("answered_at")),
    )


def _cell(value: Any) -> Any:
    """Return a cell; an empty text and NaN are None."""
    return None if value == "" or (isinstance(value, float) and value != value) else value


def _truth(path: str, value: Any) -> bool | None:
    value = _cell(value)
    if value is None or isinstance(value, bool):
        return value
    words = {"true": True, "false": False, "1": True, "0": False, "accept": True, "reject": False}
    if (found := words.get(str(value).strip().lower())) is None:
        raise InvalidOutput(path, f"must be true or false; it is {str(value)[:40]!r}")
    return found


def _list(value: Any) -> list[Row]:
    if value is None:
        return []
    if isinstance(value, str):
        try:
            value = strict_json.loads(value.encode())
        except InvalidOutput as exc:
            raise InvalidOutput(ANSWERS, f"must be JSON: {exc}") from None
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise InvalidOutput(ANSWERS, "must be a list of objects with answer, person and answered_at")
    return value


# -- writing -----------------------------------------------------------------------------------------------------


def names(how: How, *, each_person: bool) -> list[str]:
    """Return the columns of an export: the data also by field, as far as the form shows it."""
    shown = [f"data.{field}" for field in how.config.data_fields if "[" not in field]
    told = ["answer", "agreement", "reviewers", *([ANSWERS] if each_person else [])]
    return ["key", *shown, *told, "label", "confidence", "model_version", "lane", "holdout", "resolved_at", "data"]


def write(row: Row, how: How, *, each_person: bool) -> dict[str, Any]:
    """Return the row of an export, by the columns of `names`: texts, numbers and booleans; structures as JSON.

    `row`: key, data, result, model_label, confidence, model_version, lane, holdout, answer, agreement, reviewers,
    resolved_at, and `answers`, each with person, label, approval, comment, created_at, updated_at, lead_time_s, result.
    """
    made = {
        "key": row["key"], "answer": row["answer"], "agreement": row["agreement"], "reviewers": row["reviewers"],
        "label": row["model_label"], "confidence": row["confidence"] if row["model_label"] is not None else None,
        "model_version": row["model_version"] or None, "lane": row["lane"], "holdout": row["holdout"],
        "resolved_at": row["resolved_at"].isoformat(), "data": json.dumps(row["data"], ensure_ascii=False),
    }  # fmt: skip
    for field in how.config.data_fields:
        if "[" not in field:
            value = value_at(row["data"], field)
            made[f"data.{field}"] = value if isinstance(value, str) or value is None else json.dumps(value)
    if each_person:
        made[ANSWERS] = json.dumps([_answer(one) for one in row["answers"]], ensure_ascii=False)
    return {name: made[name] for name in names(how, each_person=each_person)}


def _answer(one: Row) -> dict[str, Any]:
    at = one["updated_at"]
    told = {
        "answer": one["label"],
        "person": one["person"],
        "answered_at": at if isinstance(at, str) else at.isoformat(),
    }
    if one["label"] is None or (one["approval"] is False and one["correction"] is None):
        told["approval"] = one["approval"]
    return told | ({} if one["comment"] is None else {"comment": one["comment"]})
