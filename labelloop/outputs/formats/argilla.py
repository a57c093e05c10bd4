"""Argilla: records with suggestions of models and responses of people, as `Dataset.records.to_json` writes them. Pure.

Format: the records of Argilla 2 (https://docs.argilla.io/latest/reference/argilla/records/records), also flattened, as
`to_list(flatten=True)` and its exports to Hugging Face have them. Argilla 1's feedback datasets have lists in the same
places. People are UUIDs. `to_json` leaves out whether a response was submitted or discarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.outputs.formats.items import Given, How, Item, Row, Tally, claimed, time_of

NOT_SUBMITTED = "responses that were discarded or are drafts"
STATUS = "whether responses were submitted: this export does not have it, so each of them counts"
OTHERS = "questions besides those that are the loop's answer"
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
    """Return the item of a record. Raises InvalidOutput with the path of the wrong part."""
    record = record if isinstance(record.get("fields"), Mapping) else _nested(record)
    fields = record["fields"]
    if not fields:
        raise InvalidOutput("fields", "is missing: a record has the fields that people see")
    own = record.get("id") or record.get("external_id")
    output: dict[str, Any] = {"key": how.key_of(record, own, fields), "data": dict(fields)}
    if isinstance(metadata := record.get("metadata"), Mapping) and metadata:
        output["meta"] = dict(metadata)
    tally[VECTORS] += bool(record.get("vectors"))
    suggestions = {name: one for name, one in _by_question(record.get("suggestions")).items() if _valued(one)}
    people = list(_people(record, tally))
    named = _questions([*suggestions, *(name for _, given, _ in people for name in given)], how, tally)

    def answer(values: Mapping[str, Any]) -> Any:
        def value(control: ControlTag) -> Any:
            found = values.get(named.get(control.name, ""))
            return None if found is None else _value(found, control)

        return how.answer(value)

    model = answer({name: one["value"] for name, one in suggestions.items()})
    if model is not None:
        of_answer = [suggestions[name] for name in named.values() if name in suggestions]
        scores = [score for one in of_answer for score in _scores(one.get("score"))]
        claimed(how, output, model, min(scores) if scores else None)
        if agent := next((one["agent"] for one in of_answer if one.get("agent")), None):
            output["model_version"] = str(agent)
    answers = [
        Given(person, given, updated_at=at) for person, values, at in people if (given := answer(values)) is not None
    ]
    return Item(line, output, answers)


def _questions(names: Iterable[str], how: How, tally: Tally) -> dict[str, str]:
    """Return the question by the name of the loop's control: the one of its name, or named by --control, or the only
    one. Raises InvalidOutput if there are several and none is of the loop.
    """
    known = list(dict.fromkeys(names))
    by_control = {how.controls.get(name, name): name for name in known}
    found = {control.name: by_control[control.name] for control in how.parts if control.name in by_control}
    if not found and len(known) == 1 and len(how.parts) == 1:
        found = {how.parts[0].name: known[0]}
    if known and not found:
        ours = how.parts[0].name
        raise InvalidOutput(
            "responses",
            f"the questions are {', '.join(known)}; the loop's control is {ours!r}: pass --control {known[0]}={ours}",
        )
    tally[OTHERS] += len(known) > len(found)
    return found


Person = tuple[str | None, dict[str, Any], datetime | None]
"""Login of a person, the value by question, and the time."""


def _people(record: Row, tally: Tally) -> Iterator[Person]:
    """Yield the submitted responses by person."""
    responses = record.get("responses") or {}
    if isinstance(responses, list):  # Argilla 1: one object for each person
        for one in responses:
            if one.get("status", _SUBMITTED) != _SUBMITTED:
                tally[NOT_SUBMITTED] += 1
                continue
            values = {name: value["value"] for name, value in (one.get("values") or {}).items() if _valued(value)}
            yield _text(one.get("user_id")), values, _time(one)
        return
    found: dict[str, Person] = {}
    for question, several in responses.items():
        for i, one in enumerate(several or []):
            if not isinstance(one, Mapping):
                raise InvalidOutput(f"responses.{question}", "must be a list of objects with value and user_id")
            tally[STATUS] += "status" not in one
            if one.get("status", _SUBMITTED) != _SUBMITTED:
                tally[NOT_SUBMITTED] += 1
            elif one.get("value") is not None:
                person = _text(one.get("user_id"))
                _, values, _ = found.setdefault(person or f" {i}", (person, {}, _time(one)))
                values[question] = one["value"]
    yield from found.values()


def _time(one: Row) -> datetime | None:
    return time_of("responses", one.get("updated_at") or one.get("inserted_at"))


def _text(user: object) -> str | None:
    return None if user is None else str(user)


def _valued(one: object) -> bool:
    return isinstance(one, Mapping) and one.get("value") is not None


def _scores(score: object) -> list[float]:
    found = score if isinstance(score, list) else [score]
    return [float(one) for one in found if isinstance(one, int | float)]


def _value(value: Any, control: ControlTag) -> Any:
    """Return a value of a question as an answer: spans are objects, a ranking has ranks."""
    if control.kind is Kind.SPANS and isinstance(value, list):
        return [[one["start"], one["end"], one["label"]] if isinstance(one, Mapping) else one for one in value]
    if control.kind is Kind.LABELS and isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(one, Mapping) and "rank" in one for one in value):
        return [one["value"] for one in sorted(value, key=lambda one: one["rank"] or len(value))]
    return str(value) if control.kind is Kind.LABEL and isinstance(value, int) else value


def _by_question(found: object) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return dict(found)
    several = found if isinstance(found, list) else []
    return {str(one.get("question_name")): one for one in several if isinstance(one, Mapping)}


def _nested(flat: Row) -> dict[str, Any]:
    """Return a flattened record with its parts in their places. It does not tell metadata from fields."""
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
