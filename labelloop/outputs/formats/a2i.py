"""Amazon A2I: the activation conditions of a flow definition as the trigger of a loop. Pure.

Format: "JSON Schema for Human Loop Activation Conditions in Amazon Augmented AI", in the guide of SageMaker. A2I's
confidences are percents; ours are shares of 1.

Textract     An output is one pair of a key and its value: the key is in `data.key`, the value is the label, and the
             pair's confidence is the output's. The lowest confidence of its words is in `meta.word_confidence`.
Rekognition  An output is one moderation label with its confidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelloop.errors import InvalidOutput

KEY_FIELD, WORD_FIELD = "data.key", "meta.word_confidence"
_BOUNDS = {"Equals": "==", "LessThan": "<", "LessThanEquals": "<=", "GreaterThan": ">", "GreaterThanEquals": ">="}
_ANY = "*"
_NO_CONDITIONS = (
    "there are no activation conditions: A2I has them only for Textract and Rekognition; a flow for your own model has "
    "none, and the program that calls A2I decides"
)

_CHANCE = (
    "draws at random among what other conditions send; a trigger has no chance in it. Use `audit`, or a `budget` to "
    "limit the tasks of a day"
)
_MISSING = (
    "and a missing pair is no output. Have the pipeline submit an output for it, without a confidence: it then goes "
    "to people"
)


@dataclass(slots=True)
class Rule:
    """Rule of a loop, made from a flow definition."""

    trigger: str | None = None
    """None if no condition can be expressed."""
    audit: float | None = None
    """Share of the outputs that the trigger does not send, 0 to 1; None if the flow draws none at random."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """The place of each condition that cannot be expressed, such as `Conditions[1].Or[0]`, and the reason."""


class _No(Exception):
    """A condition that cannot be expressed: its place and the reason."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(reason)
        self.place = place


class _Nothing(_No):
    """An Or of which no part can be expressed; its parts are named already."""


def read(found: object) -> Rule:
    """Return the rule in a flow definition, in the request or the response of the API, or in its conditions alone.

    Raises InvalidOutput with the path if it is none.
    """
    conditions = _conditions(found)
    rule, parts, passed = Rule(), list[str](), 1.0
    for i, condition in enumerate(conditions):
        place = f"Conditions[{i}]"
        try:
            if isinstance(condition, Mapping) and condition.get("ConditionType") == "Sampling":
                passed *= 1 - _sampled(place, condition)
                continue
            parts.append(_expression(place, condition, rule))
        except _Nothing:
            continue
        except _No as exc:
            rule.left_out.append((exc.place, str(exc)))
    distinct = list(dict.fromkeys(parts))
    if distinct:
        rule.trigger = distinct[0] if len(distinct) == 1 else "\nor ".join(f"({part})" for part in distinct)
    if passed < 1:
        rule.audit = round(1 - passed, 6)
    return rule


def _conditions(found: object) -> Sequence[Any]:
    if not isinstance(found, Mapping):
        raise InvalidOutput("", "must be a JSON object: a flow definition")
    path = ""
    for name in ("HumanLoopActivationConfig", "HumanLoopActivationConditionsConfig", "HumanLoopActivationConditions"):
        if name in found:
            path, found = f"{path}{'.' if path else ''}{name}", found[name]
            if isinstance(found, str):
                try:
                    found = json.loads(found)
                except ValueError as exc:
                    raise InvalidOutput(path, f"must be a text of JSON: {exc}") from None
            if not isinstance(found, Mapping):
                raise InvalidOutput(path, "must be an object")
    conditions = found.get("Conditions")
    if conditions is None and ("FlowDefinitionName" in found or "HumanLoopConfig" in found):
        raise InvalidOutput("HumanLoopActivationConfig", _NO_CONDITIONS)
    if not isinstance(conditions, list) or not conditions:
        raise InvalidOutput("Conditions", _NO_CONDITIONS if not conditions else "must be a list")
    return conditions


def _expression(place: str, condition: object, rule: Rule) -> str:
    """Return a condition as an expression of the trigger. Raises _No.

    What cannot be said within an Or is left out alone, since the other parts still send what they would send. Within an
    And it leaves the whole And out: without it, the rest would send more than A2I does.
    """
    if not isinstance(condition, Mapping):
        raise _No(place, "is no object")
    for word in ("And", "Or"):
        if word in condition:
            members = condition[word]
            if not isinstance(members, list) or not members:
                raise _No(place, f"{word} must be a list of conditions")
            return _several(place, word, members, rule)
    type_, given = condition.get("ConditionType"), condition.get("ConditionParameters") or {}
    if type_ == "Sampling":
        raise _No(place, _CHANCE)
    if type_ == "MissingImportantFormKey":
        key = given.get("ImportantFormKey")
        raise _No(place, f"asks for documents without the key {key!r}, {_MISSING}")
    if type_ == "ModerationLabelConfidenceCheck":
        return _moderation(place, given)
    if type_ == "ImportantFormKeyConfidenceCheck":
        return _form_key(place, given)
    raise _No(place, f"the type {str(type_)[:60]!r} is not known")


def _several(place: str, word: str, members: Sequence[object], rule: Rule) -> str:
    parts = []
    for i, member in enumerate(members):
        try:
            parts.append(_expression(f"{place}.{word}[{i}]", member, rule))
        except _Nothing:
            if word == "And":
                raise
        except _No as exc:
            if word == "And":
                raise _No(exc.place, f"{exc}; so all of {place}.And is left out") from None
            rule.left_out.append((exc.place, str(exc)))
    if not parts:
        raise _Nothing(place, "no part of it can be expressed")
    return f" {word.lower()} ".join(part if len(parts) == 1 else f"({part})" for part in parts)


def _sampled(place: str, condition: Mapping[str, Any]) -> float:
    percent = (condition.get("ConditionParameters") or {}).get("RandomSamplingPercentage")
    if not isinstance(percent, int | float) or isinstance(percent, bool) or not 0 <= percent <= 100:
        raise _No(place, f"RandomSamplingPercentage must be 0 to 100; it is {str(percent)[:40]}")
    return percent / 100


def _moderation(place: str, given: Mapping[str, Any]) -> str:
    label = given.get("ModerationLabelName")
    named = [] if label in (None, _ANY) else [f"label == {_text(label)}"]
    return " and ".join(named + _bounds(place, given, "Confidence", "model_confidence", ("ModerationLabelName",)))


def _form_key(place: str, given: Mapping[str, Any]) -> str:
    key, aliases = given.get("ImportantFormKey"), given.get("ImportantFormKeyAliases") or []
    if not isinstance(key, str) or not isinstance(aliases, list):
        raise _No(place, "ImportantFormKey is missing, or ImportantFormKeyAliases is no list")
    words = list(dict.fromkeys([key, *aliases]))
    named = []
    if _ANY not in words:
        named = (
            [f"{KEY_FIELD} in [{', '.join(map(_text, words))}]"] if len(words) > 1 else [f"{KEY_FIELD} == {_text(key)}"]
        )
    hidden = ("ImportantFormKey", "ImportantFormKeyAliases")
    pair = {name: bound for name, bound in given.items() if not name.startswith("WordBlockConfidence")}
    word = {name: bound for name, bound in given.items() if name.startswith("WordBlockConfidence")}
    parts = (
        []
        if pair.keys() <= set(hidden)
        else _bounds(place, pair, "KeyValueBlockConfidence", "model_confidence", hidden)
    )
    if word:
        parts += _bounds(place, word, "WordBlockConfidence", WORD_FIELD, hidden)
    if not parts:
        raise _No(place, "has no bound of a confidence")
    return " and ".join(named + parts)


def _bounds(place: str, given: Mapping[str, Any], prefix: str, fact: str, hidden: Sequence[str]) -> list[str]:
    """Return the bounds of one confidence, all of which must hold."""
    found = []
    for name, percent in given.items():
        if name in hidden:
            continue
        sign = _BOUNDS.get(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if sign is None:
            raise _No(place, f"the parameter {name[:60]!r} is not known")
        if not isinstance(percent, int | float) or isinstance(percent, bool) or not 0 <= percent <= 100:
            raise _No(place, f"{name} must be a percentage from 0 to 100; it is {str(percent)[:40]}")
        found.append(f"{fact} {sign} {round(percent / 100, 6):g}")
    if not found:
        raise _No(place, "has no bound of a confidence")
    return found


def _text(word: object) -> str:
    return json.dumps(str(word), ensure_ascii=False)
