"""Argilla: records with suggestions of models and responses of people, as `Dataset.records.to_json` writes them. Pure.

Format: the records of Argilla 2 (https://docs.argilla.io/latest/reference/argilla/records/records), also flattened, as
`to_list(flatten=True)` and its exports to Hugging Face have them. Argilla 1's feedback datasets have lists in the same
places. People are UUIDs. `to_json` leaves out whether a response was submitted or discarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.formats.items import Given, How, Item, Row, Tally, claimed, time_of
from labelloop.labeling.controls import Kind

NOT_SUBMITTED = "responses that were discarded or are drafts"
STATUS = "whether responses were submitted: this export does not have it, so each of them counts"
OTHERS = "questions besides the one that is the loop's answer"
VECTORS = "vectors of records"
_SUBMITTED = "submitted"
_PARTS = (
    ".responses",
    ".responses.users",
    ".responses.status",
    ".suggestion",
    ".suggestion.score",
    ".suggestion.agent",
)
_OF_RECORD = ("id", "status", "_server_id")


def read(record: Row, line: int, how: How, tally: Tally) -> Item:
    """Return the item of a record. Raises InvalidOutput with the path of what is wrong."""
    record = record if isinstance(record.get("fields"), Mapping) else _nested(record)
    fields = record["fields"]
    if not fields:
        raise InvalidOutput("fields", "is missing: a record has the fields that people see")
    own = record.get("id") or record.get("external_id")
    output: dict[str, Any] = {
        "key": how.key_of(record, own) if own or how.key else how.key_of(fields, None),
        "data": dict(fields),
    }
    if isinstance(metadata := record.get("metadata"), Mapping) and metadata:
        output["meta"] = dict(metadata)
    tally[VECTORS] += bool(record.get("vectors"))
    question = _question(record, how)
    suggested = _by_question(record.get("suggestions"), "question_name").get(question)
    if isinstance(suggested, list):
        suggested = suggested[-1] if suggested else None
    if isinstance(suggested, Mapping) and suggested.get("value") is not None:
        score = suggested.get("score")
        shares = score if isinstance(score, list) else [score]
        sound = shares and all(isinstance(one, int | float) for one in shares)
        claimed(how, output, _value(suggested["value"], how), min(shares) if sound else None)
        if suggested.get("agent"):
            output["model_version"] = str(suggested["agent"])
    return Item(line, output, [] if question is None else list(_answers(record, question, how, tally)))


def _question(record: Row, how: How) -> str | None:
    """Return the question that is the loop's answer: of its control's name, named by --control, or the only one.

    None if nobody answered and no model did.
    """
    responses = record.get("responses")
    names = [*_by_question(record.get("suggestions"), "question_name")]
    if isinstance(responses, Mapping):
        names += responses
    for one in responses if isinstance(responses, list) else []:
        names += one.get("values") or {}
    known = list(dict.fromkeys(names))
    for name in known:
        if how.controls.get(name, name) == how.config.answer.name:
            return name
    if len(known) > 1:
        raise InvalidOutput(
            "responses",
            f"the questions are {', '.join(known)}; the loop's control is {how.config.answer.name!r}: pass "
            f"--control {known[0]}={how.config.answer.name}",
        )
    return known[0] if known else None


def _answers(record: Row, question: str, how: How, tally: Tally) -> Iterator[Given]:
    responses = record.get("responses") or {}
    if isinstance(responses, list):  # Argilla 1: one object for each person
        tally[OTHERS] += any(len(one.get("values") or {}) > 1 for one in responses)
        for one in responses:
            value = (one.get("values") or {}).get(question)
            if one.get("status", _SUBMITTED) != _SUBMITTED:
                tally[NOT_SUBMITTED] += 1
            elif value is not None:
                yield _given(one | {"value": value.get("value") if isinstance(value, Mapping) else value}, how)
        return
    tally[OTHERS] += len(responses) > 1
    for one in responses.get(question) or []:
        if not isinstance(one, Mapping):
            raise InvalidOutput(f"responses.{question}", "must be a list of objects with value and user_id")
        tally[STATUS] += "status" not in one
        if one.get("status", _SUBMITTED) != _SUBMITTED:
            tally[NOT_SUBMITTED] += 1
        elif one.get("value") is not None:
            yield _given(one, how)


def _given(one: Row, how: How) -> Given:
    person = one.get("user_id")
    at = time_of("responses", one.get("updated_at") or one.get("inserted_at"))
    return Given(None if person is None else str(person), _value(one["value"], how), updated_at=at)


def _value(value: Any, how: How) -> Any:
    """Return a value of a question as an answer: spans are objects, a ranking has ranks."""
    if how.kind is Kind.SPANS and isinstance(value, list):
        return [[one["start"], one["end"], one["label"]] if isinstance(one, Mapping) else one for one in value]
    if how.kind is Kind.LABELS and isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and "rank" in one for one in value):
        return [one["value"] for one in sorted(value, key=lambda one: one["rank"] or len(value))]
    return str(value) if how.kind is Kind.LABEL and isinstance(value, int) else value


def _by_question(found: object, name: str) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return dict(found)
    return {str(one.get(name)): one for one in found if isinstance(one, Mapping)} if isinstance(found, list) else {}


def _nested(flat: Row) -> dict[str, Any]:
    """Return a flattened record with its parts in their places. Fields and metadata are not told apart: all are fields."""
    questions = {
        name.removesuffix(part) for name in flat for part in (".responses", ".suggestion") if name.endswith(part)
    }
    responses: dict[str, list[dict[str, Any]]] = {}
    suggestions: dict[str, dict[str, Any]] = {}
    for question in questions:
        values = flat.get(f"{question}.responses") or []
        users = flat.get(f"{question}.responses.users") or [None] * len(values)
        states = flat.get(f"{question}.responses.status") or [_SUBMITTED] * len(values)
        if len(users) != len(values) or len(states) != len(values):
            raise InvalidOutput(f"{question}.responses", "has another length than its users or status")
        responses[question] = [
            {"value": value, "user_id": user, "status": state}
            for value, user, state in zip(values, users, states, strict=True)
        ]
        if flat.get(f"{question}.suggestion") is not None:
            suggestions[question] = {
                "value": flat[f"{question}.suggestion"], "score": flat.get(f"{question}.suggestion.score"),
                "agent": flat.get(f"{question}.suggestion.agent"),
            }  # fmt: skip
    parts = {question + part for question in questions for part in _PARTS}
    fields = {name: value for name, value in flat.items() if name not in parts and name not in _OF_RECORD}
    return {"id": flat.get("id"), "fields": fields, "responses": responses, "suggestions": suggestions}
