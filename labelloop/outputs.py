"""Output: what a pipeline's model said about one item; strictly read, and known by its key and the hash of its body."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from labelloop import strict_json
from labelloop.errors import InvalidOutput
from labelloop.labeling import OURS, LabelingConfig

KEY = re.compile(r"[A-Za-z0-9._:/-]{1,200}", re.ASCII)
MAX_WORD = 200
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Output:
    """What a pipeline's model said about one item: exactly one of `probabilities`, `label` and `result`."""

    key: str
    """The pipeline's own name for the item: submitting it twice is submitting it once."""
    data: Mapping[str, Any]
    """What annotators see of the item: the fields that the labeling config shows, and any others."""
    probabilities: Mapping[str, float] | None = None
    """By label; they sum to 1."""
    model_version: str = ""
    produced_at: datetime | str | None = None
    """With an offset; ISO 8601 where it is a text."""
    label: str | None = None
    confidence: float | None = None
    """Of `label`, 0 to 1. Without it the item goes to people."""
    result: Sequence[Mapping[str, Any]] | None = None
    """As Label Studio has it, for a model that speaks its format."""
    score: float | None = None
    """Confidence of `result`."""
    group: str | None = None
    """Items that must not be parted between training and hold-out share it; the key where there is none."""

    @property
    def group_key(self) -> str:
        return self.group or self.key

    def to_json(self) -> dict[str, Any]:
        """What travels: the fields that were said."""
        said = {name: value for name in FIELDS if (value := getattr(self, name)) is not None}
        if not self.model_version:
            said.pop("model_version")
        if isinstance(self.produced_at, datetime):
            said["produced_at"] = self.produced_at.isoformat()
        return said


FIELDS = tuple(field.name for field in fields(Output))
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
        key=_key(value["key"]),
        data=data,
        probabilities=_probabilities(value.get("probabilities")),
        model_version=_word("model_version", value.get("model_version")) or "",
        produced_at=_time(value.get("produced_at")),
        label=_word("label", value.get("label"), empty=False),
        confidence=_share("confidence", value.get("confidence")),
        result=_result(value.get("result")),
        score=_share("score", value.get("score")),
        group=_word("group", value.get("group"), empty=False),
    )


def check(output: Output, config: LabelingConfig, labels: Collection[str]) -> None:
    """Refuse what does not fit this loop: fields that people would miss, labels and controls that it does not have."""
    for name in config.data_fields:
        if output.data.get(name) is None and output.data.get(re.split(r"[.\[]", name, maxsplit=1)[0]) is None:
            raise InvalidOutput(f"data.{name}", "is missing; the labeling config shows it")
    if labels:
        for label in output.probabilities or ():
            if label not in labels:
                raise InvalidOutput(f"probabilities.{label}", _no_label(labels))
        if output.label is not None and output.label not in labels:
            raise InvalidOutput("label", _no_label(labels))
    controls = [control.name for control in config.controls]
    for i, region in enumerate(output.result or ()):
        if region["from_name"] not in controls:
            raise InvalidOutput(f"result[{i}].from_name", f"no such control; there are: {', '.join(controls)}")


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
    if len(forms) != 1:
        said = f"; there are {' and '.join(forms)}" if forms else ""
        raise InvalidOutput(
            forms[1] if forms else "probabilities",
            f"exactly one of probabilities, label (with confidence) and result (with score) is wanted{said}",
        )
    for name, needs in (("confidence", "label"), ("score", "result")):
        if value.get(name) is not None and forms != [needs]:
            raise InvalidOutput(name, f"goes with {needs} only")


def _key(value: object) -> str:
    if not isinstance(value, str) or not KEY.fullmatch(value):
        raise InvalidOutput("key", "must be 1 to 200 of the characters A-Z a-z 0-9 . _ : / -")
    return value


def _probabilities(value: object) -> dict[str, float] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidOutput("probabilities", "must be an object: label to probability")
    if not value:
        raise InvalidOutput("probabilities", "is empty")
    shares = {}
    for label, share in value.items():
        if not 0 < len(label) <= MAX_WORD:
            raise InvalidOutput(f"probabilities.{label[:40]}", f"a label is 1 to {MAX_WORD} characters")
        sound = type(share) is float and 0.0 <= share <= 1.0
        shares[label] = share if sound else _share(f"probabilities.{label}", share, none=False)
    total = math.fsum(shares.values())
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise InvalidOutput("probabilities", f"must sum to 1 within {SUM_TOLERANCE:g}; they sum to {total:.6g}")
    return shares


def _share(path: str, value: object, *, none: bool = True) -> Any:
    """A number from 0 to 1, as a float; None where it may be missing. True is not 1."""
    if value is None and none:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOutput(path, "must be a number")
    if not 0 <= value <= 1:
        raise InvalidOutput(path, f"must lie between 0 and 1; it is {value:g}")
    return float(value)


def _word(path: str, value: object, *, empty: bool = True) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOutput(path, "must be a text")
    if len(value) > MAX_WORD or not (value or empty):
        raise InvalidOutput(path, f"must be {0 if empty else 1} to {MAX_WORD} characters; there are {len(value)}")
    return value


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
        for name, kind in (("from_name", str), ("to_name", str), ("type", str), ("value", dict)):
            if not isinstance(region.get(name), kind):
                raise InvalidOutput(f"result[{i}].{name}", "must be " + ("a text" if kind is str else "an object"))
    return value


def _no_label(labels: Collection[str]) -> str:
    shown = list(labels)[:20]
    return f"no such label; there are: {', '.join(shown)}{', ...' if len(labels) > len(shown) else ''}"
