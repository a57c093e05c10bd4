"""Prodigy: annotations in JSON lines, as `prodigy db-out` writes them. Pure.

Format: https://prodi.gy/docs/api-interfaces. A line has the task, the `answer` (accept, reject or ignore), and who gave
it: `_annotator_id`, or `_session_id`, which is a time if nobody was named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.outputs.formats.items import Given, How, Item, Row, Tally, claimed, put, time_of

IGNORED = "ignored tasks, which are no answer"
REJECTED = "rejected tasks with no suggestion of a model: they say nothing about the answer"
TOKENS = "tokens of tasks: spans keep their characters"
RELATIONS = "relations between spans"
UNREAD = "answers of another kind than the loop's"
_BINARY = ("ner", "classification", "spans", "textcat")
"""Views that show one suggestion, which is accepted or rejected."""


def read(row: Row, line: int, how: How, tally: Tally) -> Item:
    """Return the item of a line. Raises InvalidOutput with the path of the wrong part."""
    verdict = row.get("answer", "accept")
    if verdict not in ("accept", "reject", "ignore"):
        raise InvalidOutput("answer", f"must be accept, reject or ignore; it is {str(verdict)[:40]!r}")
    field = "image" if isinstance(row.get("image"), str) else "text"
    if not isinstance(row.get(field), str):
        raise InvalidOutput("text", "is missing; an item has a text or an image")
    data = put({}, how.shown, row[field] if field == "text" else how.media + row[field])
    if field == "image" and isinstance(row.get("width"), int | float):
        data |= {"width": row["width"], "height": row.get("height")}
    tally[TOKENS] += bool(row.get("tokens"))
    tally[RELATIONS] += bool(row.get("relations"))
    output: dict[str, Any] = {"key": _key(row, data, how), "data": data}
    if isinstance(row.get("meta"), Mapping) and row["meta"]:
        output["meta"] = dict(row["meta"])
    answer = how.answer(lambda control: _value(control, row, tally))
    tally[UNREAD] += answer is None and bool(row.get("spans") or row.get("accept") or row.get("label"))
    if how.as_predictions:
        return Item(line, output if answer is None else claimed(how, output, answer, row.get("score")))
    if verdict == "ignore":
        tally[IGNORED] += 1
        return Item(line, output)
    who = row.get("_annotator_id") or row.get("_session_id")
    person, at = None if who is None else str(who), time_of("_timestamp", row.get("_timestamp"))
    if _shows_one(row) and answer is not None:
        claimed(how, output, answer, row.get("score"))
        return Item(line, output, [Given(person, approval=verdict == "accept", updated_at=at)])
    if verdict == "reject":
        tally[REJECTED] += 1
        return Item(line, output)
    return Item(line, output, [] if answer is None else [Given(person, answer, updated_at=at)])


def _key(row: Row, data: dict[str, Any], how: How) -> str:
    """Return the key: where one suggestion is judged, each suggestion is an item of its own."""
    shown = {**data, "suggestion": [row.get("label"), row.get("spans")]} if _shows_one(row) else data
    return how.key_of(row, None, shown)


def _shows_one(row: Row) -> bool:
    return bool(row.get("_is_binary")) or (row.get("_view_id") in _BINARY and "accept" not in row)


def _value(control: ControlTag, row: Row, tally: Tally) -> Any:
    """Return the value of a control in a task; None if it has none of its kind."""
    spans = row.get("spans")
    if control.kind is Kind.SPANS:
        return None if spans is None else [_span(f"spans[{i}]", one) for i, one in enumerate(_list("spans", spans))]
    if control.kind is Kind.REGIONS:
        return (
            None if spans is None else [_region(f"spans[{i}]", one, row) for i, one in enumerate(_list("spans", spans))]
        )
    if control.kind is Kind.TEXT:
        return row.get("user_input") or None
    if control.kind not in (Kind.LABEL, Kind.LABELS, Kind.NUMBER):
        return None
    if "accept" in row:
        chosen = [_option(one, row, control) for one in _list("accept", row["accept"] or [])]
        if control.kind is Kind.LABELS:
            return chosen
        if len(chosen) > 1:
            raise InvalidOutput("accept", f"{len(chosen)} options are chosen; the answer is {control.kind.words}")
        return chosen[0] if chosen else None
    label = row.get("label")
    return [label] if label is not None and control.kind is Kind.LABELS else label


def _option(chosen: object, row: Row, control: ControlTag) -> Any:
    """Return the label of a chosen option: its id, or its text if the form has that as a label and not the id."""
    texts = {one.get("id"): one.get("text") for one in row.get("options") or [] if isinstance(one, Mapping)}
    text = texts.get(chosen)
    if isinstance(text, str) and control.labels and str(chosen) not in control.known and text in control.known:
        return text
    return str(chosen) if isinstance(chosen, int) and control.kind is not Kind.NUMBER else chosen


def _span(path: str, one: object) -> list[Any]:
    match one:
        case {"start": int() as start, "end": int() as end, "label": str() as label}:
            return [start, end, label]
    raise InvalidOutput(path, f"a span has start, end and label; it is {str(one)[:80]}")


def _region(path: str, one: object, row: Row) -> dict[str, Any]:
    """Return a mark on an image in percent of it: a rectangle as a box, any other shape as a polygon."""
    width, height = row.get("width"), row.get("height")
    points = one.get("points") if isinstance(one, Mapping) else None
    if not isinstance(width, int | float) or not isinstance(height, int | float) or width <= 0 or height <= 0:
        raise InvalidOutput("width", "is missing; the marks are in pixels")
    if not isinstance(one, Mapping) or not isinstance(points, list) or len(points) < 3:
        raise InvalidOutput(f"{path}.points", "must be a list of at least 3 points")
    label = {} if one.get("label") is None else {"label": str(one["label"])}
    found = [[round(x / width * 100, 4), round(y / height * 100, 4)] for x, y in points]
    if one.get("type") != "rect":
        return {"polygon": found, **label}
    xs, ys = [x for x, _ in found], [y for _, y in found]
    box = [min(xs), min(ys), round(max(xs) - min(xs), 4), round(max(ys) - min(ys), 4)]
    return {"box": box, **label}


def _list(path: str, value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InvalidOutput(path, "must be a list")
    return value
