"""Read an output as it was sent, strictly: any other field, type or range is refused with its path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.form_xml import OURS
from labelloop.outputs import result
from labelloop.outputs.output import FIELDS, Output
from labelloop.reading import evidence as evidence_
from labelloop.reading import fields, strict_json
from labelloop.reading.fields import MAX_WORD

MAX_KEY = 500
"""Largest number of bytes of a key in UTF-8."""

_FORBIDDEN_IN_KEYS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line ends, and characters that turn the direction of a text: they would garble logs and pages."""

MAX_ANSWER = 1_000_000
"""Largest number of characters of an answer that is a text; one label has at most fields.MAX_WORD."""

MAX_TRACE = 500
"""Largest number of bytes of a trace in UTF-8."""

MAX_EMBEDDING = 4096

LARGEST_REAL = 3.4028234e38
"""Largest number of an embedding: Postgres stores 32 bits for each."""

_OF_REGION = {"from_name": str, "to_name": str, "type": str, "value": dict}

_OF_RELATION = {"type": str, "from_id": str, "to_id": str}

_WANTED = "exactly one of probabilities, label (with confidence) and result (with score) is wanted"

NO_ANSWER = "is missing; give a label (with its confidence), probabilities, or a result (with its score)"
"""The message for an output that says nothing about its item."""

_KNOWN = frozenset(FIELDS)


def parse(raw: bytes) -> Output:
    """Return the output in these bytes. Raises InvalidOutput with the path of the field that does not fit."""
    return from_json(strict_json.loads(raw))


def from_json(value: object, *, predicted: bool = True) -> Output:
    """Return the output in a value read by strict_json. Raises InvalidOutput with the path.

    `predicted`: whether it must have a prediction. An item that people answered elsewhere need not have one.
    """
    if not isinstance(value, dict):
        raise InvalidOutput("", "an output is a JSON object")
    if not value.keys() <= _KNOWN:
        unknown = min(value.keys() - _KNOWN)
        raise InvalidOutput(unknown[:MAX_WORD], f"no such field; there are: {', '.join(FIELDS)}")
    if "key" not in value:
        raise InvalidOutput("key", "is missing")
    data = value.get("data")
    if not isinstance(data, dict):
        raise InvalidOutput("data", "is missing" if data is None else "must be an object")
    for name in data:
        if name.startswith(OURS):
            raise InvalidOutput(f"data.{name}", f"names that begin with {OURS} are reserved")
    _one_form(value, predicted)
    return Output(
        key=read_key(value["key"]),
        data=data,
        probabilities=_probabilities(value.get("probabilities")),
        model_version=fields.word("model_version", value.get("model_version")) or "",
        produced_at=fields.time("produced_at", value.get("produced_at")),
        label=read_answer("label", value.get("label")),
        confidence=fields.share("confidence", value.get("confidence")),
        result=_result(value.get("result")),
        score=fields.share("score", value.get("score")),
        group=fields.word("group", value.get("group"), empty=False),
        evidence=evidence_.read(value.get("evidence")),
        embedding=_embedding(value.get("embedding")),
        source=fields.word("source", value.get("source"), empty=False),
        trace=_trace(value.get("trace")),
        step=fields.word("step", value.get("step"), empty=False),
        meta=_meta(value.get("meta")),
        gold=read_answer("gold", value.get("gold")),
    )


def read_key(value: object) -> str:
    """Return the key in Unicode's form NFC, so that one name has one spelling. Raises InvalidOutput with the reason."""
    if value is None:
        raise InvalidOutput("key", "is missing")
    if not isinstance(value, str):
        raise InvalidOutput("key", f"must be a text of 1 to {MAX_KEY} bytes; it is {repr(value)[:40]}")
    key = value if value.isascii() else unicodedata.normalize("NFC", value)
    if bad := _FORBIDDEN_IN_KEYS.search(key):
        raise InvalidOutput("key", f"holds the control character U+{ord(bad[0]):04X}")
    if key != key.strip():
        raise InvalidOutput("key", "has blanks around it")
    if not 0 < len(key.encode()) <= MAX_KEY:
        raise InvalidOutput("key", f"must be 1 to {MAX_KEY} bytes in UTF-8; there are {len(key.encode())}")
    return key


def _one_form(value: Mapping[str, Any], predicted: bool) -> None:
    forms = [name for name in ("probabilities", "label", "result") if value.get(name) is not None]
    evidence = value.get("evidence")
    if len(forms) != 1 and (forms or not isinstance(evidence, dict) or "labels" not in evidence):
        if not forms and predicted:
            raise InvalidOutput("label", NO_ANSWER)
        if forms:
            raise InvalidOutput(forms[1], f"{_WANTED}; there are {' and '.join(forms)}")
    for name, needs in (("confidence", "label"), ("score", "result")):
        if value.get(name) is not None and forms != [needs]:
            raise InvalidOutput(name, f"is only allowed with {needs}")


def read_answer(path: str, value: object) -> Any:
    """Return a label, or another answer as its text or its JSON value: a number, a list, or an object by control name.

    The loop's form decides which it must be, and how long a label may be.
    """
    if isinstance(value, str) and not 0 < len(value) <= MAX_ANSWER:
        raise InvalidOutput(path, f"must be 1 to {MAX_ANSWER:,} characters; there are {len(value):,}")
    return value


def _probabilities(value: object) -> dict[str, float] | None:
    return None if value is None else fields.distribution("probabilities", value)


def _embedding(value: object) -> list[float] | None:
    if value is None:
        return None
    numbers = fields.items("embedding", value, 1, MAX_EMBEDDING, "numbers")
    if not set(map(type, numbers)) <= {float, int}:
        i = next(i for i, one in enumerate(numbers) if type(one) not in (float, int))
        raise InvalidOutput(f"embedding[{i}]", "must be a number")
    if max(map(abs, numbers)) > LARGEST_REAL:
        i = next(i for i, one in enumerate(numbers) if abs(one) > LARGEST_REAL)
        raise InvalidOutput(f"embedding[{i}]", f"{numbers[i]:g} is too large; the limit is {LARGEST_REAL:g}")
    return list(map(float, numbers))


def _trace(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOutput("trace", "must be a text")
    if not 0 < (size := len(value.encode())) <= MAX_TRACE:
        raise InvalidOutput("trace", f"must be 1 to {MAX_TRACE} bytes in UTF-8; there are {size}")
    return value


def _meta(value: object) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise InvalidOutput("meta", "must be an object")
    return value


def _result(value: object) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise InvalidOutput("result", "must be a list of at least one of Label Studio's regions")
    for i, region in enumerate(value):
        if not isinstance(region, dict):
            raise InvalidOutput(f"result[{i}]", "must be an object")
        wanted = _OF_RELATION if region.get("type") == result.RELATION else _OF_REGION
        for name, kind in wanted.items():
            if not isinstance(region.get(name), kind):
                raise InvalidOutput(f"result[{i}].{name}", "must be " + ("a text" if kind is str else "an object"))
    return value
