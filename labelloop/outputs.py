"""Output: what a pipeline's model said about one item; strictly read, and known by its key and the hash of its body."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from typing import Any

from labelloop import evidence as evidence_
from labelloop import fields, fitting, paths, strict_json, structured
from labelloop.errors import InvalidOutput
from labelloop.fields import MAX_WORD
from labelloop.form_xml import OURS
from labelloop.labeling import Kind, LabelingConfig

MAX_KEY = 500
"""Bytes of a key in UTF-8."""
_IN_NO_KEY = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, ends of lines, and what turns the direction of a text: they would garble logs and pages."""
MAX_EMBEDDING = 4096
LARGEST_REAL = 3.4028234e38
"""Postgres keeps embeddings as 32 bits a number."""
_OF_REGION = {"from_name": str, "to_name": str, "type": str, "value": dict}
_OF_RELATION = {"type": str, "from_id": str, "to_id": str}
_WANTED = "exactly one of probabilities, label (with confidence) and result (with score) is wanted"


@dataclass(frozen=True, slots=True)
class Output:
    """What a pipeline's model said about one item: exactly one of `probabilities`, `label` and `result`.

    Of several labels at once `evidence` may say it alone, by the probability of each.
    """

    key: str
    """The pipeline's own name for the item: submitting it twice is submitting it once. 1 to MAX_KEY bytes of any
    language, without control characters and without blanks around; kept in Unicode's form NFC.
    """
    data: Mapping[str, Any]
    """What annotators see of the item: the fields that the labeling config shows, and any others."""
    probabilities: Mapping[str, float] | None = None
    """Of one label; they sum to 1."""
    model_version: str | None = ""
    produced_at: datetime | str | None = None
    """With an offset; ISO 8601 where it is a text."""
    label: str | float | Sequence[Any] | None = None
    """A label, as a text, an integer or a boolean; or a list of labels, a list of spans [start, end, label], a number:
    as labelloop/structured.py says.
    """
    confidence: float | None = None
    """Of `label`, 0 to 1. Without it the item goes to people."""
    result: Sequence[Mapping[str, Any]] | None = None
    """As Label Studio has it, for a model that speaks its format; relations between its regions too."""
    score: float | None = None
    """Confidence of `result`."""
    group: str | None = None
    """Items that must not be parted between training and hold-out share it; the key where there is none."""
    evidence: Mapping[str, Any] | None = None
    """For the query strategies that read more than one row of probabilities: see labelloop/evidence.py."""
    embedding: Sequence[float] | None = None
    """The item as numbers, of the width that the loop says: near ones are alike."""
    gold: str | float | Sequence[Any] | None = None
    """The right label, as `label` says it, where it is known: the item checks people."""

    @property
    def group_key(self) -> str:
        return self.group or self.key

    def to_json(self) -> dict[str, Any]:
        """What travels: the fields that were said."""
        said = {name: value for name in FIELDS if (value := getattr(self, name)) is not None}
        if not self.model_version:
            said.pop("model_version", None)
        if isinstance(self.produced_at, datetime):
            said["produced_at"] = self.produced_at.isoformat()
        return said


FIELDS = tuple(field.name for field in fields_of(Output))
_KNOWN = frozenset(FIELDS)


def parse(raw: bytes) -> Output:
    """The output that these bytes say. Strict: raises InvalidOutput with the field's path for anything else."""
    return from_json(strict_json.loads(raw))


def from_json(value: object) -> Output:
    """The output that a value read by strict_json says; raises InvalidOutput."""
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
            raise InvalidOutput(f"data.{name}", f"names that begin with {OURS} are our own")
    _one_form(value)
    return Output(
        key=read_key(value["key"]),
        data=data,
        probabilities=_probabilities(value.get("probabilities")),
        model_version=fields.word("model_version", value.get("model_version")) or "",
        produced_at=_time(value.get("produced_at")),
        label=_answer("label", value.get("label")),
        confidence=fields.share("confidence", value.get("confidence")),
        result=_result(value.get("result")),
        score=fields.share("score", value.get("score")),
        group=fields.word("group", value.get("group"), empty=False),
        evidence=evidence_.read(value.get("evidence")),
        embedding=_embedding(value.get("embedding")),
        gold=_answer("gold", value.get("gold")),
    )


def read_key(value: object) -> str:
    """The key in Unicode's form NFC, so that one name has one spelling. Raises InvalidOutput, saying what is wrong."""
    if not isinstance(value, str):
        raise InvalidOutput("key", f"must be a text of 1 to {MAX_KEY} bytes")
    key = value if value.isascii() else unicodedata.normalize("NFC", value)
    if bad := _IN_NO_KEY.search(key):
        raise InvalidOutput("key", f"holds the control character U+{ord(bad[0]):04X}")
    if key != key.strip():
        raise InvalidOutput("key", "has blanks around it")
    if not 0 < len(key.encode()) <= MAX_KEY:
        raise InvalidOutput("key", f"must be 1 to {MAX_KEY} bytes in UTF-8; there are {len(key.encode())}")
    return key


def shown(output: Output, config: LabelingConfig) -> Output:
    """The same with the form's labels, where it says other words for them (`predicted_values`); shares add up."""
    if not config.answer.predicted:
        return output
    to_label = config.answer.shown
    probabilities: dict[str, float] | None = None
    if output.probabilities is not None:
        probabilities = {}
        for said, share in output.probabilities.items():
            probabilities[to_label(said)] = min(1.0, probabilities.get(to_label(said), 0.0) + share)
    # Of a structured answer `check` reads the labels.
    plain = config.kind is Kind.LABEL
    answers = (str(said) if plain and type(said) is int else said for said in (output.label, output.gold))
    label, gold = (to_label(said) if isinstance(said, str) else said for said in answers)
    return replace(output, probabilities=probabilities, label=label, gold=gold)


def check(output: Output, config: LabelingConfig, labels: Collection[str], embedding: int = 0) -> Output:
    """Refuse what does not fit this loop: fields that people would miss, labels and controls that it does not have,
    answers of another kind, and an embedding of another width than the loop's; 0 is none.

    Returns the output with its answers as tables hold them.
    """
    for name in config.data_fields:
        # As Label Studio's server checks a task: of a list it does not look at the length.
        upper, bracket, _ = name.partition("[")
        found = paths.below(output.data, upper) if "." in upper else output.data.get(upper)
        if found is None:
            raise InvalidOutput(
                f"data.{upper}", f"is missing; the labeling config shows {'it' if name == upper else f'${name}'}"
            )
        if bracket and not isinstance(found, list):
            raise InvalidOutput(f"data.{upper}", f"must be a list; the labeling config shows ${name}")
    if labels:
        for label in output.probabilities or ():
            if label not in labels:
                raise InvalidOutput(f"probabilities.{label}", fitting.no_label(labels))
        for path, label in () if output.evidence is None else evidence_.labels(output.evidence):
            if label not in labels:
                raise InvalidOutput(path, fitting.no_label(labels))
    _check_width(output.embedding, embedding)
    fitting.check(output.result or (), config)
    if config.kind is not Kind.LABEL:
        return _structured(output, config)
    if output.probabilities is None and output.label is None and output.result is None:
        raise InvalidOutput("probabilities", _WANTED)
    if output.label is None and output.gold is None:
        return output
    return replace(output, label=_label("label", output.label, labels), gold=_label("gold", output.gold, labels))


def _label(name: str, said: object, labels: Collection[str]) -> str | None:
    """One label as a text. Raises InvalidOutput where the loop has no such label; a loop without labels takes any."""
    if said is None:
        return None
    label = fields.word(name, _as_text(said, labels), empty=False)
    if label not in (labels or (label,)):
        raise InvalidOutput(name, fitting.no_label(labels))
    return label


def _as_text(label: object, labels: Collection[str]) -> object:
    """An integer or a boolean as the label that it is written as: 3 as "3", true as "True" or "true"."""
    if isinstance(label, bool):
        return "true" if "true" in labels and "True" not in labels else str(label)
    return str(label) if isinstance(label, int) else label


def _structured(output: Output, config: LabelingConfig) -> Output:
    """The output of a loop whose answers are no single labels, each answer as tables hold it."""
    if output.probabilities is not None:
        instead = "evidence.labels" if config.kind is Kind.LABELS else "label with confidence, or result with score"
        raise InvalidOutput(
            "probabilities", f"are of one label; here the answer is {config.kind.words}: send {instead}"
        )
    return replace(output, label=_fitting("label", output, config), gold=_fitting("gold", output, config))


def _fitting(name: str, output: Output, config: LabelingConfig) -> str | None:
    """The output's label or gold as tables hold it, where the form can give it and spans end within the text."""
    said = getattr(output, name)
    if said is None:
        return None
    if isinstance(said, list) and config.kind is Kind.LABELS:
        said = [_as_text(one, config.labels) for one in said]
    try:
        answer = structured.canonical(config.answer, said)
    except ValueError as exc:
        raise InvalidOutput(name, str(exc)) from None
    shown = config.text_field
    text = None if shown is None or shown in config.addresses else paths.value_at(output.data, shown)
    if (
        isinstance(text, str)
        and (ends := [span.end for span in structured.read_spans(answer)])
        and max(ends) > len(text)
    ):
        raise InvalidOutput(name, f"a span ends at {max(ends)}; the text has {len(text)} characters")
    return answer


def body_sha256(output: Output) -> bytes:
    """Of the canonical form: the order of fields, blanks and 1 for 1.0 as a probability make no difference."""
    body = output.to_json()
    at = _time(output.produced_at)
    if at is not None:
        body["produced_at"] = at.astimezone(UTC).isoformat()
    return hashlib.sha256(strict_json.dumps(body).encode()).digest()


def unit_hash(*parts: str) -> float:
    """A number in [0, 1) that only the parts decide, as good as random: the one hash for lanes and hold-out."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: a float holds them without rounding up to 1


def _one_form(value: Mapping[str, Any]) -> None:
    forms = [name for name in ("probabilities", "label", "result") if value.get(name) is not None]
    evidence = value.get("evidence")
    if len(forms) != 1 and (forms or not isinstance(evidence, dict) or "labels" not in evidence):
        said = f"; there are {' and '.join(forms)}" if forms else ""
        raise InvalidOutput(forms[1] if forms else "probabilities", f"{_WANTED}{said}")
    for name, needs in (("confidence", "label"), ("score", "result")):
        if value.get(name) is not None and forms != [needs]:
            raise InvalidOutput(name, f"goes with {needs} only")


def _answer(path: str, value: object) -> Any:
    """A label, or a structured answer as its text or its JSON value."""
    if value is None or (isinstance(value, str) and not value.startswith("[")):
        return fields.word(path, value, empty=False)
    if isinstance(value, dict):
        raise InvalidOutput(path, "must be a text, a number, a boolean or a list")
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
        raise InvalidOutput(f"embedding[{i}]", f"{numbers[i]:g} is too large; at most {LARGEST_REAL:g} is kept")
    return list(map(float, numbers))


def _check_width(embedding: Sequence[float] | None, width: int) -> None:
    if len(embedding or ()) == width:
        return
    wants = f"this loop's have {width} (queue.embedding)" if width else "this loop takes none (queue.embedding is 0)"
    raise InvalidOutput(
        "embedding", f"{'is missing' if embedding is None else f'has {len(embedding)} numbers'}; {wants}"
    )


def _time(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(at, datetime) and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidOutput("produced_at", "must be a time with its offset in ISO 8601, such as 2026-01-31T12:00:00+00:00")


def _result(value: object) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise InvalidOutput("result", "must be a list of at least one of Label Studio's regions")
    for i, region in enumerate(value):
        if not isinstance(region, dict):
            raise InvalidOutput(f"result[{i}]", "must be an object")
        wanted = _OF_RELATION if region.get("type") == fitting.RELATION else _OF_REGION
        for name, kind in wanted.items():
            if not isinstance(region.get(name), kind):
                raise InvalidOutput(f"result[{i}].{name}", "must be " + ("a text" if kind is str else "an object"))
    return value
