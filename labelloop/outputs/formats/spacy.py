"""spaCy: documents in JSON lines, as programs and `Doc.to_json` write them, and in a DocBin (`.spacy`). Pure.

A line is an object with `text`; spans are in `ents`, `entities` or `spans`, and labels in `cats`.

spaCy 2 was trained on pairs of the text and such an object. Format: https://spacy.io/api/data-formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.outputs.formats.items import Given, How, Item, Row, Tally, claimed, put

GROUPS = "span groups besides the one that is read"
TOKENS = "tokens, heads, tags and sentences of documents"
UNSURE = 0.5
"""Categories with a greater value count as given."""
_SPANS = ("ents", "entities", "spans")


def read(found: object, line: int, how: How, tally: Tally) -> Item:
    """Return the item of a document. Raises InvalidOutput with the path of the wrong part."""
    match found:
        case [str() as text, Mapping() as rest]:
            row: Row = {"text": text, **rest}
        case Mapping():
            row = found
        case _:
            raise InvalidOutput("", "must be an object with `text`, or a list of the text and an object")
    shown = row.get("text")
    if not isinstance(shown, str):
        raise InvalidOutput("text", "is missing" if shown is None else "must be a text")
    tally[TOKENS] += bool(row.get("tokens"))
    data = put({}, how.shown, shown)
    meta = row.get("meta")
    output: dict[str, Any] = {"key": how.key_of(row, row.get("id"), data), "data": data}
    if isinstance(meta, Mapping) and meta:
        output["meta"] = dict(meta)
    answer = how.answer(lambda control: _value(control, row, tally))
    if answer is None:
        return Item(line, output)
    if how.as_predictions:
        cats = row.get("cats")
        if how.config.kind is Kind.LABEL and isinstance(cats, Mapping) and abs(sum(cats.values()) - 1) < 1e-3:
            output["probabilities"] = dict(cats)
            return Item(line, output | ({"model_version": how.model_version} if how.model_version else {}))
        return Item(line, claimed(how, output, answer))
    return Item(line, output, [Given(None, answer)])


def _value(control: ControlTag, row: Row, tally: Tally) -> Any:
    if control.kind is Kind.SPANS:
        return _spans(row, tally)
    return _labels(row, control.kind) if control.kind in (Kind.LABEL, Kind.LABELS) else None


def _spans(row: Row, tally: Tally) -> list[list[Any]] | None:
    name = next((name for name in _SPANS if name in row), None)
    if name is None:
        return None
    found = row[name]
    if isinstance(found, Mapping):  # the groups of Doc.to_json
        tally[GROUPS] += max(0, len(found) - 1)
        found = next(iter(found.values()), [])
    if not isinstance(found, list):
        raise InvalidOutput(name, "must be a list of spans")
    return [_span(f"{name}[{i}]", one) for i, one in enumerate(found)]


def _span(path: str, one: object) -> list[Any]:
    match one:
        case {"start": int() as start, "end": int() as end, "label": str() as label}:
            return [start, end, label]
        case [int() as start, int() as end, str() as label]:
            return [start, end, label]
    raise InvalidOutput(path, f"a span has start, end and label; it is {str(one)[:80]}")


def _labels(row: Row, kind: Kind) -> Any:
    cats = row.get("cats")
    if cats is None:
        return None
    if not isinstance(cats, Mapping) or not all(isinstance(share, int | float) for share in cats.values()):
        raise InvalidOutput("cats", "must be an object with a number for each label")
    given = [label for label, share in cats.items() if share > UNSURE]
    if kind is Kind.LABELS:
        return given
    if len(given) != 1:
        raise InvalidOutput("cats", f"{len(given)} categories are above {UNSURE}; the answer is one label")
    return given[0]
