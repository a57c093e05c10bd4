"""Lines: the outputs in a file, one after the other, each as the JSON that is sent or as the reason why it is refused.

Read are NDJSON, CSV, TSV and Parquet, told apart by the end of the file's name, and spans of OpenTelemetry. A name may
also end in .gz.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from console.files import completions
from console.files.completions import Completions
from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs import columns
from labelloop.outputs.reading import parse
from labelloop.reading import strict_json
from labelloop.reading.plain import plain
from labelloop.reading.tables import csv_rows, lines_of, outputs_of, parquet_rows

STDIN = "-"
TABLES = (".csv", ".tsv")
_FIRST_ROWS = 1_000
"""Rows that tell the columns of a table."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be sent."""

    line: int
    """The number of the line, or of the row in a Parquet file, from 1."""
    key: str | None
    """None if the line has no key."""
    field: str
    """Path in the output; "" for the whole line."""
    message: str


Line = tuple[int, bytes | Refused]
Row = tuple[int, Mapping[str, Any] | str]
"""A row by column with its number; a text is the reason why it cannot be read."""
Read = Callable[[int], object]
"""Called with the number of bytes of the file that were read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of outputs."""

    name: str
    """Its path; - is standard input."""
    encoding: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    """Column by field of an output."""
    key_of_row: str = ""
    """Beginning of the keys of rows, before their number, if no column is the key; "" if one is."""
    otlp_label: str | None = None
    """Label of the outputs if the file holds spans of OpenTelemetry; None if it holds outputs."""
    completions: Completions | None = None
    """How completions become outputs, if the file holds chat completions; None if it does not."""

    @property
    def can_be_read_twice(self) -> bool:
        return self.name != STDIN and Path(self.name).is_file()

    @property
    def size(self) -> int:
        """Bytes of the file; 0 if it is not known."""
        return os.path.getsize(self.name) if self.can_be_read_twice else 0

    def lines(self, read: Read = lambda _: None) -> Iterator[Line]:
        """Yield the lines that are not blank. Raises UsageError if the file cannot be read."""
        kind = _kind(self.name)
        if kind == ".parquet":
            if self.name.endswith(".gz"):
                raise UsageError(f"{self.name}: a Parquet file is compressed by itself; give it without .gz")
            yield from _mapped(self._keyed(parquet_rows(_existing(self.name))), self.map)
            return
        try:
            with _opened(self.name) as file, gzip.open(file) if self.name.endswith(".gz") else nullcontext(file) as raw:
                for line in self._in(cast("BinaryIO", raw), kind):
                    if self.name != STDIN:
                        read(file.tell())
                    yield line
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise UsageError(f"{self.name} cannot be read as gzip: {exc}") from None

    def _in(self, file: BinaryIO, kind: str) -> Iterator[Line]:
        faults: dict[int, str] = {}
        if self.otlp_label is not None or kind in TABLES:
            texts = lines_of(file, self.name, self.encoding, faults)
            if self.otlp_label is not None:
                return _spans(texts, faults, self.otlp_label)
            return _mapped(self._keyed(csv_rows(texts, self.name, faults)), self.map)
        found = outputs_of(file, self.name, self.encoding, faults)
        if self.completions is not None:
            return _completions(_objects(found, faults), self.completions)
        if self.map:
            return _mapped(self._keyed(_objects(found, faults)), self.map)
        return _plain_lines(found, faults)

    def _keyed(self, rows: Iterable[Row]) -> Iterator[Row]:
        for number, row in rows:
            if not self.key_of_row or isinstance(row, str) or "key" in row:
                yield number, row
            else:
                yield number, {**row, "key": f"{self.key_of_row}/{number}"}


def checked(number: int, raw: bytes) -> bytes | Refused:
    """Return the line if it holds an output, else the reason."""
    try:
        parse(raw)
    except InvalidOutput as exc:
        return refusal(number, exc, key_of(raw))
    return raw


def refusal(number: int, error: InvalidOutput, key: object) -> Refused:
    message = str(error).removeprefix(f"{error.path}: ")
    return Refused(number, None if key is None else str(key)[:500], error.path, message)


def as_line(number: int, output: Mapping[str, Any]) -> bytes | Refused:
    """Return an output as its JSON, or the reason why it has none."""
    try:
        return checked(number, strict_json.dumps(plain(output)).encode())
    except InvalidOutput as exc:
        return refusal(number, exc, output.get("key"))
    except UnicodeEncodeError:
        return Refused(number, None, "", "holds half of a surrogate pair")


def _plain_lines(lines: Iterable[bytes], faults: dict[int, str]) -> Iterator[Line]:
    for number, raw in enumerate(lines, start=1):
        if number in faults:
            yield number, refusal(number, InvalidOutput("", faults.pop(number)), key_of(raw))
        elif raw.strip():
            yield number, checked(number, raw.rstrip(b"\r\n"))


def _objects(lines: Iterable[bytes], faults: dict[int, str]) -> Iterator[Row]:
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        try:
            if number in faults:
                raise InvalidOutput("", faults.pop(number))
            value = strict_json.loads(raw)
        except InvalidOutput as exc:
            yield number, str(exc)
        else:
            yield number, value if isinstance(value, dict) else "is not a JSON object"


def _mapped(rows: Iterable[Row], given: Mapping[str, str]) -> Iterator[Line]:
    """Yield the output in each row; a row that is a text is the reason why it cannot be read."""
    several = iter(rows)
    readable: list[Mapping[str, Any]] = []
    while not readable:
        if not (first := list(islice(several, _FIRST_ROWS))):
            return
        readable = [row for _, row in first if not isinstance(row, str)]
        if not readable:
            yield from ((number, Refused(number, None, "", str(row))) for number, row in first)
    plan = columns.plan(readable, given)
    for number, row in chain(first, several):
        if isinstance(row, str):
            yield number, Refused(number, None, "", row)
            continue
        try:
            output = columns.output_in(row, plan)
        except InvalidOutput as exc:
            yield number, refusal(number, exc, row.get(plan["key"]))
        else:
            yield number, as_line(number, output)


def _completions(rows: Iterable[Row], how: Completions) -> Iterator[Line]:
    for number, key, found in completions.read(rows, how):
        is_refused = isinstance(found, InvalidOutput)
        yield number, refusal(number, found, key) if is_refused else as_line(number, found.to_json())


def _spans(lines: Iterator[str], faults: dict[int, str], label: str) -> Iterator[Line]:
    """Yield the output of each model call, from one export request a line, or from one in the whole file.

    A request with a line in `faults` is refused as a whole.
    """
    from labelloop.adapters import otlp

    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    if (first := next(numbered, None)) is None:
        return
    requests: Iterable[tuple[int, str]] = chain([first], numbered)
    if _json(first[1]) is None:  # one request that is written over several lines, or the first line is not complete
        several = list(requests)
        text = "".join(line for _, line in several)
        if _json(text) is not None:
            requests, faults = [(1, text)], {1: next(iter(faults.values()))} if faults else {}
        else:
            requests = several
    for number, text, is_last in _with_last(requests):
        errors: list[InvalidOutput] = []
        try:
            if number in faults:
                raise InvalidOutput("", faults.pop(number))
            payload = strict_json.loads_large(text.encode())
            for output in otlp.outputs(payload, label=label, refused=errors.append):
                yield number, as_line(number, output.to_json())
        except InvalidOutput as exc:
            errors.append(exc)
        cut = "; the last line of a file that is still written may be cut" if is_last and _json(text) is None else ""
        for error in errors:
            refused = refusal(number, error, None)
            yield number, replace(refused, message=refused.message + cut)


def _with_last(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, bool]]:
    """Yield each line with its number, and whether it is the last one."""
    several = iter(lines)
    before = next(several, None)
    while before is not None:
        after = next(several, None)
        yield *before, after is None
        before = after


def _json(text: str) -> Any:
    """Return the value of a JSON text; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def key_of(raw: bytes) -> object:
    """Return the key in a line that need not be an output; None if there is none."""
    value = _json(raw.decode(errors="replace")) if len(raw) <= strict_json.MAX_BYTES else None
    return value.get("key") if isinstance(value, dict) else None


def _kind(name: str) -> str:
    return Path(name.removesuffix(".gz")).suffix.lower()


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise UsageError(f"{name}: No such file")
    return path


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == STDIN:
        yield cast("BinaryIO", sys.stdin.buffer)
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as exc:
            raise UsageError(f"{name}: {exc.strerror}") from None
        yield file
