"""Tables: read NDJSON and CSV as programs and spreadsheets write them, in the same way for every command.

A byte order mark (BOM) tells UTF-8, UTF-16 or UTF-32. Without one a file is UTF-8 unless --encoding is given: a guessed
encoding would garble somebody's umlauts. The separator of a CSV is the one of , ; and tab that gives its first line the
most columns.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from labelloop.errors import UsageError

SEPARATORS = (",", ";", "\t")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PARQUET_ROWS = 1_000
"""Rows of a Parquet file that are held in memory at once."""
_SAMPLE_BYTES = 4096
"""Bytes at the beginning of a file that its encoding is determined by."""


def lines_of(
    file: BinaryIO, name: str, encoding: str | None = None, faults: dict[int, str] | None = None
) -> Iterator[str]:
    """Yield the lines of a file as texts, each with its line end.

    `faults`: gets the reason for each line that cannot be decoded, by its number, before the line is yielded with
    U+FFFD in place of the bad bytes. None, and any fault of UTF-16 and UTF-32: raises UsageError.
    """
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    codec = _codec(buffered.peek(_SAMPLE_BYTES)[:_SAMPLE_BYTES], name, encoding)
    if codec.startswith(("utf-16", "utf-32")):  # their line ends are longer than a byte
        try:
            lines = io.TextIOWrapper(buffered, encoding=codec, newline="\n")
            yield next(lines, "").removeprefix("\ufeff")  # utf-16-le keeps the mark, utf-16 does not
            yield from lines
        except UnicodeError as exc:
            raise UsageError(f"{name} cannot be read as {encoding or codec}: {exc}") from None
        return
    hints = True
    for number, raw in enumerate(buffered, start=1):
        codec = "utf-8" if number > 1 and codec == "utf-8-sig" else codec
        try:
            yield raw.decode(codec)
        except UnicodeDecodeError as exc:
            fault = _undecodable(raw, exc, encoding, hints)
            if faults is None:
                raise UsageError(f"{name}, line {number}: {fault}") from None
            faults[number], hints = fault, False
            yield raw.decode(codec, errors="replace")


def outputs_of(
    file: BinaryIO, name: str, encoding: str | None = None, faults: dict[int, str] | None = None
) -> Iterator[bytes]:
    """Yield the lines of an NDJSON file in UTF-8, for Client.submit_lines. Raises UsageError for another format.

    `faults` as in lines_of.
    """
    beginning = ""
    for line in lines_of(file, name, encoding, faults):
        if beginning in ("", "{"):  # an object over several lines begins with a line of its own
            beginning += line.strip()
            _refuse_other_formats(name, beginning)
        yield line.encode(errors="surrogatepass")


def rows_of(path: Path, encoding: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of a .csv, .tsv, .jsonl or .ndjson file, value by column. The values of a CSV are texts, "" if
    missing.

    Raises UsageError with the line that cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    with path.open("rb") as file:
        lines = lines_of(file, str(path), encoding)
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return [_object(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
        rows: list[dict[str, Any]] = []
        for _, row in csv_rows(lines, str(path)):
            if isinstance(row, str):
                raise UsageError(f"{path} cannot be read as CSV: {row}")
            rows.append(row)
        return rows


def contradictions(pairs: Iterable[tuple[object, str]]) -> int:
    """Return how many different items have two or more labels, from (item, label) pairs."""
    labels: dict[object, set[str]] = {}
    for item, label in pairs:
        labels.setdefault(item, set()).add(label)
    return sum(len(found) > 1 for found in labels.values())


def _codec(beginning: bytes, name: str, encoding: str | None) -> str:
    """Return Python's name of the file's encoding."""
    marked = next((codec for mark, codec in _MARKS if beginning.startswith(mark)), None)
    if encoding is None:
        if marked is None and b"\0" in beginning[:2]:
            order = "be" if beginning[:1] == b"\0" else "le"
            raise UsageError(
                f"{name} is not UTF-8 (every other byte is 0) but looks like UTF-16: pass --encoding utf-16-{order}"
            )
        return marked or "utf-8"
    try:
        codec = codecs.lookup(encoding).name
        "".encode(codec)
    except (LookupError, UnicodeError):  # `undefined` is an encoding that cannot encode anything
        raise UsageError(f"--encoding is {encoding!r}; use one such as utf-8, cp1252, latin-1, utf-16") from None
    return "utf-8-sig" if codec == "utf-8" and marked == "utf-8-sig" else codec


def _undecodable(raw: bytes, exc: UnicodeDecodeError, encoding: str | None, hints: bool) -> str:
    """Return the reason why a line cannot be decoded. `hints`: whether it tells which encoding may be meant."""
    what = f"the byte 0x{raw[exc.start]:02X} is not {encoding or 'UTF-8'}"
    if not hints:
        return what
    if encoding is not None:
        return f"{what}: the file has another encoding"
    word = re.findall(rb"[^\s,;\"]*$", raw[: exc.start])[0] + re.findall(rb"^[^\s,;\"]*", raw[exc.start :])[0]
    read = word.decode("cp1252", errors="replace")[:40]
    return (
        f"{what}. Windows and spreadsheets often write cp1252, in which this word is {read!r}: pass --encoding cp1252"
    )


def _refuse_other_formats(name: str, line: str) -> None:
    if not line:
        return
    if re.match(r'\{\s*"(resourceSpans|resource_spans)"', line):
        raise UsageError(f"{name}: these are OTLP traces: pass --from otlp")
    if line.lstrip().startswith("["):
        raise UsageError(f"{name} is a JSON list; submit takes one object a line, as `jq -c '.[]' {name}` writes them")
    if not line.lstrip().startswith("{"):
        raise UsageError(
            f"{name} is not NDJSON: its first line is {line.strip()[:60]!r}. A file whose name does not end in .csv, "
            '.tsv or .parquet has one JSON object a line, such as {"key": "ticket/1", "data": {"text": "..."}, '
            '"label": "billing", "confidence": 0.7}'
        )


def _object(path: Path, n: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{path}, line {n}: {exc}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {n}: must be an object, not {type(row).__name__}")
    return row


def csv_rows(
    lines: Iterator[str], name: str, faults: dict[int, str] | None = None
) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Yield the rows of a CSV, each with the number of its last line: value by column, "" if missing.

    A row with too many fields, or with a line in `faults` (as in lines_of), is the words of its fault. Raises
    UsageError if the first row or the rest cannot be read.
    """
    faults = {} if faults is None else faults
    above, first = _first(lines)
    if first is None:
        raise UsageError(f"{name} cannot be read as CSV: it is empty")
    if "\r" in first.rstrip("\r\n"):
        raise UsageError(f"{name} cannot be read as CSV: its lines end in CR, as on old Macs; save it with LF or CRLF")
    if found := re.fullmatch(r"sep=(.)\s*", first):  # a line that Excel writes for itself
        more, line = _first(lines)
        separator, above, first = found[1], above + 1 + more, line or ""
    else:
        separator = max(SEPARATORS, key=lambda one: len(next(csv.reader([first], delimiter=one), [])))
    limit = csv.field_size_limit(1 << 30)
    reader = csv.reader(_again(first, lines), delimiter=separator, strict=True)
    try:
        columns = [column.strip() for column in next(reader)]
        if twice := {column for column in columns if columns.count(column) > 1}:
            raise UsageError(f"{name} cannot be read as CSV: two columns are named {min(twice)!r}")
        if faults:
            raise UsageError(f"{name} cannot be read as CSV: line {min(faults)}: {faults[min(faults)]}")
        for row in reader:
            number = above + reader.line_num
            if faults:  # only of the lines that were read for this row
                yield number, "; ".join(faults.values())
                faults.clear()
            elif len(row) > len(columns):
                yield (
                    number,
                    f"line {number} has {len(row)} fields, the first line {len(columns)} (separator {separator!r})",
                )
            elif row:
                yield number, dict(zip(columns, row + [""] * (len(columns) - len(row)), strict=True))
    except (csv.Error, StopIteration) as exc:
        raise UsageError(
            f"{name} cannot be read as CSV: line {above + reader.line_num}: {exc or 'ends too early'}"
        ) from None
    finally:
        csv.field_size_limit(limit)


def parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield the rows of a Parquet file with their numbers from 1. Raises UsageError if the file cannot be read.

    A row with a value that Python does not have, such as a text that is not UTF-8, is the words of its fault.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as exc:
        raise UsageError(f"{path}: Parquet files need pyarrow: pip install 'labelloop[parquet]'") from exc
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
                for row in _batch_rows(batch):
                    number += 1
                    yield number, row
    except (ArrowException, OSError) as exc:
        raise UsageError(f"{path} cannot be read as Parquet: {exc}") from None


def _batch_rows(batch: Any) -> list[dict[str, Any] | str]:
    try:
        rows: list[dict[str, Any] | str] = batch.to_pylist()
    except (ValueError, OverflowError) as exc:
        if len(batch) == 1:
            why = f"is not UTF-8: {exc.reason}" if isinstance(exc, UnicodeDecodeError) else str(exc)
            return [f"cannot be read: {why}"]
        return [row for n in range(len(batch)) for row in _batch_rows(batch.slice(n, 1))]
    return rows


def text_of(value: object) -> str:
    """Return the value as text, stripped of blanks; "" if it is missing (None, or NaN, as parquet gives it)."""
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value).strip()


def _first(lines: Iterator[str]) -> tuple[int, str | None]:
    """Return the number of blank lines at the beginning, and the line after them; None if there is none."""
    for above, line in enumerate(lines):
        if line.strip():
            return above, line
    return 0, None


def _again(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines
