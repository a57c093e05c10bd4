"""Recorded chat completions as outputs: the lines of a Batch API, or lines that a logger wrote beside each question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelloop.adapters import openai
from labelloop.adapters.items import FOR_ALL, WRONG_SHAPE
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.output import Output
from labelloop.reading import strict_json
from labelloop.reading.keys import key_text
from labelloop.reading.nearest import did_you_mean
from labelloop.reading.tables import outputs_of

DATA = ("data", "text", "messages")
LOGGED = ("key", *DATA, "completion", *FOR_ALL)
"""Fields of a line that a logger writes; one of DATA is wanted."""


@dataclass(frozen=True, slots=True)
class Completions:
    """The options by which completions become outputs of one loop."""

    labels: Sequence[str]
    """Labels of the loop's form."""
    label: str
    """If the form has it, people judge the texts, and each output claims it. Otherwise a completion names a label."""
    json_field: str | None = None
    otherwise: str | None = None
    requests: Mapping[str, Any] = field(default_factory=dict)
    """Messages of the requests of a batch, by custom_id."""

    def output(self, row: Mapping[str, Any]) -> Output:
        """Return the output of a line. Raises InvalidOutput if it is neither kind of line, or has no answer."""
        key, data, completion, others = self._batch(row) if "custom_id" in row else _logged(row)
        asked = "question" if self._judges else "text"
        item = data if isinstance(data, Mapping) else {asked: data}
        if self._judges:
            (made,) = openai.texts([completion], [key], [item], label=self.label, **others)
        else:
            (made,) = openai.outputs(
                [completion], [key], [item],
                labels=self.labels, json_field=self.json_field, otherwise=self.otherwise, **others,
            )  # fmt: skip
        return made

    @property
    def _judges(self) -> bool:
        return self.label in self.labels

    def _batch(self, row: Mapping[str, Any]) -> tuple[str, Any, Any, dict[str, Any]]:
        """Return key, messages and completion of a line of a batch's output file."""
        key, response = _key("custom_id", row["custom_id"]), row.get("response") or {}
        body, status = response.get("body"), response.get("status_code")
        error = row.get("error") or (body.get("error") if isinstance(body, Mapping) else None)
        if error or status != 200:
            said = error.get("message") if isinstance(error, Mapping) else error
            raise InvalidOutput("response", f"the request failed: status {status}, {str(said)[:200]}")
        if key not in self.requests:
            raise InvalidOutput(
                "custom_id", "its question is not known: name the input file of the batch by --requests"
            )
        return key, self.requests[key], body, {}


def requests_in(name: str, encoding: str | None) -> dict[str, Any]:
    """Return the messages in the input file of a batch, by custom_id. Raises UsageError with the line that has none."""
    found: dict[str, Any] = {}
    try:
        with Path(name).open("rb") as file:
            for number, raw in enumerate(outputs_of(file, name, encoding), start=1):
                if raw.strip():
                    try:
                        row = strict_json.loads(raw)
                        found[_key("custom_id", row["custom_id"])] = _question(row["body"]["messages"])
                    except (InvalidOutput, *WRONG_SHAPE) as exc:
                        raise UsageError(f"{name}, line {number}: is no request for a chat completion: {exc}") from None
    except OSError as exc:
        raise UsageError(f"{name}: {exc.strerror}") from None
    return found


def read(rows: Iterable[tuple[int, Mapping[str, Any] | str]], how: Completions) -> Iterator[tuple[int, object, Any]]:
    """Yield number and key of each line, and the Output in it, or the InvalidOutput that tells why there is none."""
    for number, row in rows:
        key = None if isinstance(row, str) else row.get("key", row.get("custom_id"))
        try:
            if isinstance(row, str):
                raise InvalidOutput("", row)
            found: Output | InvalidOutput = how.output(row)
        except InvalidOutput as exc:
            message = str(exc).removeprefix(f"{exc.path}: ").removesuffix(f" (output {key!r})")  # the line has its key
            found = InvalidOutput(exc.path, message)
        except WRONG_SHAPE as exc:
            found = InvalidOutput("", f"does not have the shape of a chat completion: {type(exc).__name__}")
        yield number, key, found


def _logged(row: Mapping[str, Any]) -> tuple[str, Any, Any, dict[str, Any]]:
    """Return key, data and completion of a line that a logger wrote, and the other fields of its output."""
    for name in row:
        if name not in LOGGED:
            raise InvalidOutput(
                name[:200], f"no such field{did_you_mean(name, LOGGED)}; there are: {', '.join(LOGGED)}"
            )
    if (given := [name for name in DATA if name in row]) and len(given) == 1 and "completion" in row:
        others = {name: row[name] for name in FOR_ALL if name in row}
        name, data = given[0], row[given[0]]
        if name == "messages":
            data = _question(data)
        elif not isinstance(data, str if name == "text" else Mapping):
            raise InvalidOutput(name, f"must be {'a text' if name == 'text' else 'an object'}")
        return _key("key", row.get("key")), data, row["completion"], others
    raise InvalidOutput("", "wanted are `key`, `completion`, and one of `data`, `text` and `messages`")


def _key(name: str, given: object) -> str:
    key = key_text(given)
    if not isinstance(key, str):
        raise InvalidOutput(name, "is missing" if given is None else "must be a text or an integer")
    return key


def _question(messages: Any) -> str:
    """Return the text of the last message of the user."""
    said = [message for message in messages if message["role"] == "user"]
    if not said:
        raise InvalidOutput("messages", "has no message of the user")
    return openai.content_of(said[-1])
