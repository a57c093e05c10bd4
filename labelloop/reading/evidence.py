"""Evidence: a model's uncertainty when it is more than one row of probabilities. It has one of these forms,
strictly read.

committee          predictions of several models: a list of {label: probability}, each summing to 1
labels             several labels at once: {label: probability}, independent of each other
tokens             a sequence: for each token the confidence, or its probabilities as an object or a list
boxes              a detector's confidence in each box that it found
log_probabilities  log probability of each token of a generated text, natural logarithms
samples            texts generated for the same input
controls           answers in several controls: {control: confidence, or {form: ...} with a form above or probabilities}

labelloop/strategies uses them. Tokens, boxes and log probabilities may be an empty list: then the utility is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.reading import fields

MOST_MEMBERS = 100
MOST_SAMPLES = 20
"""Largest number of samples; each is compared with each."""
MOST_NUMBERS = 20_000


def read(value: object) -> dict[str, Any] | None:
    """Return the evidence in a value of strict_json, with every number a float. Raises InvalidOutput with the path."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidOutput("evidence", f"must be an object with one of: {', '.join(FORMS)}")
    ((form, content),) = value.items()
    if form not in FORMS:
        raise InvalidOutput(f"evidence.{form}"[: fields.MAX_WORD], f"no such form; there are: {', '.join(FORMS)}")
    return {form: FORMS[form](f"evidence.{form}", content)}


def labels(evidence: Mapping[str, Any]) -> Collection[tuple[str, str]]:
    """Return (path, label) of every label of the loop in the evidence; labels of tokens are not the loop's."""
    if "labels" in evidence:
        return [(f"evidence.labels.{label}", label) for label in evidence["labels"]]
    members = enumerate(evidence.get("committee", ()))
    return [(f"evidence.committee[{i}].{label}", label) for i, member in members for label in member]


def _committee(path: str, value: object) -> list[dict[str, float]]:
    members = fields.items(path, value, 2, MOST_MEMBERS, "members' probabilities")
    return [fields.distribution(f"{path}[{i}]", member) for i, member in enumerate(members)]


def _tokens(path: str, value: object) -> list[Any]:
    tokens = fields.items(path, value, 0, MOST_NUMBERS, "tokens")
    return [_token(f"{path}[{i}]", token) for i, token in enumerate(tokens)]


def _token(path: str, token: object) -> Any:
    if isinstance(token, dict):
        return fields.distribution(path, token)
    if not isinstance(token, list):
        return fields.share(path, token, none=False)
    row = [fields.share(f"{path}[{i}]", one, none=False) for i, one in enumerate(token)]
    fields.sums_to_1(path, math.fsum(row))
    return row


def _boxes(path: str, value: object) -> list[float]:
    confidences = fields.items(path, value, 0, MOST_NUMBERS, "confidences")
    return [fields.share(f"{path}[{i}]", one, none=False) for i, one in enumerate(confidences)]


def _log_probabilities(path: str, value: object) -> list[float]:
    found = []
    for i, one in enumerate(fields.items(path, value, 0, MOST_NUMBERS, "numbers")):
        found.append(fields.number(f"{path}[{i}]", one))
        if found[-1] > 0:
            raise InvalidOutput(f"{path}[{i}]", f"the logarithm of a probability is at most 0; it is {found[-1]:g}")
    return found


def _samples(path: str, value: object) -> list[str]:
    texts = fields.items(path, value, 2, MOST_SAMPLES, "texts")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidOutput(f"{path}[{i}]", "must be a text")
    return texts


def _controls(path: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise InvalidOutput(path, "must be an object: control to its confidence or its evidence")
    return {name: _of_control(f"{path}.{name[: fields.MAX_WORD]}", one) for name, one in value.items()}


def _of_control(path: str, value: object) -> Any:
    if not isinstance(value, dict):
        return fields.share(path, value, none=False)
    if len(value) != 1:
        raise InvalidOutput(path, f"must be a confidence, or an object with one of: {', '.join(_OF_A_CONTROL)}")
    ((form, content),) = value.items()
    if form not in _OF_A_CONTROL:
        raise InvalidOutput(f"{path}.{form[:40]}", f"no such form; there are: {', '.join(_OF_A_CONTROL)}")
    return {form: _OF_A_CONTROL[form](f"{path}.{form}", content)}


FORMS: Mapping[str, Callable[[str, object], Any]] = {
    "committee": _committee,
    "labels": fields.shares,
    "tokens": _tokens,
    "boxes": _boxes,
    "log_probabilities": _log_probabilities,
    "samples": _samples,
    "controls": _controls,
}
_OF_A_CONTROL = {
    **{form: read for form, read in FORMS.items() if form != "controls"},
    "probabilities": fields.distribution,
}
