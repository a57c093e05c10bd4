"""Items: what a file of another tool says about one item, in the words of labelloop. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.reading import paths, strict_json
from labelloop.reading.keys import key_text

Row = Mapping[str, Any]
Tally = Counter[str]
"""How often something was left out or changed because the format cannot hold it, by the reason in words."""


@dataclass(frozen=True, slots=True)
class Given:
    """The answer of one person in a file."""

    person: str | None
    """Login, address or name of the person; None if the file names nobody."""
    answer: Any = None
    """The answer, as its canonical text or its JSON value; None for a verdict without a correction."""
    approval: bool | None = None
    """Verdict of the person on the model's output; None if it follows from the answer."""
    result: list[dict[str, Any]] | None = None
    """The answer as Label Studio's result, which the loop's form reads in place of `answer`; None if there is none."""
    comment: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    """None if the file has no time."""
    lead_time_s: float | None = None
    name: str | None = None
    """Name to show; None if it is that of `person`."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a file."""

    line: int
    """The line where it begins, from 1; the number of the row in a Parquet file."""
    output: dict[str, Any]
    """The output as it would be submitted. It may lack a prediction."""
    answers: list[Given] = field(default_factory=list)

    @property
    def key(self) -> str:
        return str(self.output["key"])


@dataclass(frozen=True, slots=True)
class Bad:
    """A part of a file that is no item."""

    line: int
    key: str | None
    """None if it has no key."""
    path: str
    """Path in the item; "" for the whole of it."""
    message: str

    @classmethod
    def of(cls, line: int, error: InvalidOutput, key: object = None) -> Bad:
        return cls(
            line, None if key is None else str(key)[:500], error.path, str(error).removeprefix(f"{error.path}: ")
        )


@dataclass(slots=True)
class Faults:
    """The parts of a file that cannot be imported: how many, and the first `most` of them."""

    most: int
    n: int = 0
    first: list[Bad] = field(default_factory=list)

    def add(self, *several: Bad) -> None:
        self.n += len(several)
        self.first += several[: max(0, self.most - len(self.first))]


Read = Iterator[Item | Bad]


@dataclass(frozen=True, slots=True)
class How:
    """Options by which the items of a file become items of a loop."""

    config: LabelingConfig
    stem: str = "item"
    """Name of the file without its ending. Keys of items that have no name of their own begin with it."""
    key: str | None = None
    """Path of the key in an item of the file; None for the format's own."""
    into: str | None = None
    """Field of the data for the text or picture of a format that has one for itself; None for the one that the form
    shows.
    """
    media: str = ""
    """Beginning of the address of each picture, before the file's name."""
    controls: Mapping[str, str] = field(default_factory=dict)
    """Name of the loop's control by the name of the file's control or question."""
    as_predictions: bool = False
    """Whether the answers in the file are a model's outputs."""
    model_version: str = ""
    """Version of the model, for predictions that name none."""

    @property
    def parts(self) -> tuple[ControlTag, ...]:
        """The controls that hold the answer."""
        return self.config.answer.parts or (self.config.answer,)

    def part(self, *kinds: Kind) -> ControlTag:
        """Return the control that holds an answer of one of these kinds. Raises InvalidOutput if there is none."""
        for control in self.parts:
            if control.kind in kinds:
                return control
        wanted, has = (" or ".join(kind.words for kind in some) for some in (kinds, [one.kind for one in self.parts]))
        hint = ". A loop made with `labelloop init NAME --template detection` has such an answer"
        raise InvalidOutput(
            "",
            f"the file holds {wanted}, and the answer of this loop is {has}{hint if Kind.REGIONS in kinds else ''}",
        )

    def answer(self, value_of: Callable[[ControlTag], Any]) -> Any:
        """Return the loop's answer as JSON, from the value of each control; None if no control has one.

        `value_of` returns None for a control without a value.
        """
        if not self.config.answer.parts:
            return value_of(self.config.answer)
        found = {control.name: value for control in self.parts if (value := value_of(control)) is not None}
        return found or None

    @property
    def shown(self) -> str:
        """Return the field of the data that the item's text or picture goes to. Raises InvalidOutput if the form shows
        none, or several of them.
        """
        if self.into is not None:
            return self.into
        if self.config.text_field is not None:
            return self.config.text_field
        fields = self.config.pictures or self.config.data_fields
        if len(fields) == 1:
            return fields[0]
        raise InvalidOutput(
            "data", f"the form shows {', '.join(fields) or 'no field'}: name the one for the item with --field"
        )

    def key_of(self, row: Row, own: object, content: Row | None = None, number: int | None = None) -> str:
        """Return the key: what `key` names in the row, else the format's `own`, else the stem with `number`, else a
        hash of the content (of the row without one). Raises InvalidOutput if `key` names nothing.
        """
        if self.key is not None:
            own = paths.value_at(row, self.key)
            if own in (None, ""):
                raise InvalidOutput("key", f"the item has no {self.key!r}, which --key names")
        if own not in (None, ""):
            found = key_text(own)
            if not isinstance(found, str):
                raise InvalidOutput("key", f"must be a text or an integer; it is {str(own)[:40]!r}")
            return found
        return f"{self.stem}/{number}" if number is not None else content_key(row if content is None else content)


def content_key(data: Row) -> str:
    """Return a key that depends on the content only, so that the same item has it in every file."""
    return f"sha256/{hashlib.sha256(strict_json.dumps(data).encode()).hexdigest()[:24]}"


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set the field at this path, such as `doc.text`; return the data."""
    *above, last = path.split(".")
    at = data
    for step in above:
        at = at.setdefault(step, {})
    at[last] = value
    return data


def time_of(path: str, value: object) -> datetime | None:
    """Return a time of ISO 8601, or in seconds since 1970, as an aware time in UTC; None if it is missing.

    A text without an offset is read as UTC. Raises InvalidOutput for anything else.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, str):
            found = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        else:
            raise ValueError
    except (ValueError, OverflowError, OSError):
        raise InvalidOutput(path, f"must be a time such as 2026-03-01T12:00:00Z; it is {str(value)[:40]!r}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def claimed(how: How, output: dict[str, Any], answer: Any, confidence: object = None) -> dict[str, Any]:
    """Return the output with this answer as the model's label."""
    output["label"] = answer
    if confidence is not None:
        output["confidence"] = confidence
    if how.model_version:
        output.setdefault("model_version", how.model_version)
    return output
