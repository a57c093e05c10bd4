"""Imports: the items in a file of another tool, one after the other, in memory one at a time."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from labelloop.errors import InvalidOutput, UsageError
from labelloop.outputs.formats import argilla, coco, conll, docbin, label_studio, prodigy, rows, spacy
from labelloop.outputs.formats.items import Bad, How, Item, Read, Tally
from labelloop.reading import strict_json
from labelloop.reading.json_parts import parts
from labelloop.reading.tables import csv_rows, lines_of, parquet_rows

_FIRST_ROWS = 1_000
Progress = Callable[[int], object]
ReadOne = Callable[[Any, int, How, Tally], Item]


@dataclass(frozen=True, slots=True)
class File:
    """A file to import."""

    format: str
    """One of imports_formats.FORMATS."""
    path: Path
    how: How
    map: Mapping[str, str] = field(default_factory=dict)
    """Column by field, for tables and JSON lines."""
    encoding: str | None = None

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def items(self, tally: Tally, progress: Progress = lambda _: None) -> Read:
        """Yield the items, and each bad part in its place. `tally` gets what the loop cannot hold.

        Raises UsageError if the file cannot be read at all.
        """
        try:
            if self.format == "hf":
                yield from self._folder(tally)
            elif self.format == "parquet":
                yield from self._rows(parquet_rows(self._existing()), tally)
            else:
                with self._opened() as file:
                    yield from _told(self._in(file, tally), file, progress)
        except InvalidOutput as exc:  # nothing of the file can be read with this loop
            raise UsageError(f"{self.path}: {exc}") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise UsageError(f"{self.path} cannot be read as gzip: {exc}") from None

    def _in(self, file: BinaryIO, tally: Tally) -> Read:
        name = str(self.path)
        if self.format == "coco":
            return _pictures(file, name, self.how, tally)
        if self.format == "csv":
            faults: dict[int, str] = {}
            return self._rows(csv_rows(lines_of(file, name, self.encoding, faults), name, faults), tally)
        if self.format == "conll":
            return conll.read(lines_of(file, name, self.encoding), self.how, tally)
        if self.format == "spacy" and self._ending == ".spacy":
            found = docbin.docs(file.read(), name)
            return _each(enumerate(found, start=1), spacy.read, self.how, tally)
        values = _values(file, name, self.encoding)
        if self.format == "jsonl":
            objects = ((n, value if isinstance(value, dict | str) else "is not a JSON object") for n, value in values)
            return self._rows(objects, tally)
        read_one: Mapping[str, ReadOne] = {
            "label-studio": label_studio.read, "prodigy": prodigy.read, "argilla": argilla.read, "spacy": spacy.read,
        }  # fmt: skip
        return _each(values, read_one[self.format], self.how, tally)

    def _folder(self, tally: Tally) -> Read:
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is no folder; a data set of Hugging Face is one, with data/*.parquet")
        files = sorted(self.path.rglob("*.parquet"))
        if not files:
            raise UsageError(f"{self.path} has no Parquet files")
        for path in files:
            yield from self._rows(parquet_rows(path), tally)

    def _rows(self, found: Iterable[tuple[int, Mapping[str, Any] | str]], tally: Tally) -> Read:
        several = iter(found)
        first = list(islice(several, _FIRST_ROWS))
        planned = rows.plan([row for _, row in first if not isinstance(row, str)], self.map, self.how)

        def read(row: Mapping[str, Any], line: int, how: How, tally: Tally) -> Item:
            return rows.read(row, line, how, planned, tally)

        return _each(chain(first, several), read, self.how, tally)

    @property
    def _ending(self) -> str:
        return Path(str(self.path).removesuffix(".gz")).suffix.lower()

    def _existing(self) -> Path:
        if not self.path.is_file():
            raise UsageError(f"{self.path}: No such file")
        return self.path

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file; one in gzip is unpacked beside it in a temporary file if it must be read in another order."""
        with self._existing().open("rb") as raw:
            if not str(self.path).endswith(".gz"):
                yield raw
            elif self.format != "coco":
                with gzip.open(raw) as file:
                    yield cast("BinaryIO", file)
            else:
                with tempfile.TemporaryFile() as copy, gzip.open(raw) as file:
                    shutil.copyfileobj(file, copy, 1 << 20)
                    copy.seek(0)
                    yield cast("BinaryIO", copy)


def _told(found: Read, file: BinaryIO, progress: Progress) -> Read:
    for one in found:
        raw = getattr(file, "fileobj", None) or getattr(getattr(file, "raw", None), "fileobj", None) or file
        progress(raw.tell() if not raw.closed else 0)
        yield one


def _each(values: Iterable[tuple[int, Any]], read: ReadOne, how: How, tally: Tally) -> Read:
    """Yield the item of each value. A value that is a text is the reason why it cannot be read."""
    for line, value in values:
        try:
            if isinstance(value, str):
                raise InvalidOutput("", value)
            if not isinstance(value, dict | list):
                raise InvalidOutput("", f"must be a JSON object; it is {str(value)[:40]}")
            yield read(value, line, how, tally)
        except InvalidOutput as exc:
            yield Bad.of(line, exc, _named(value) if isinstance(value, dict) else None)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as exc:  # an object of another shape
            yield Bad(line, None, "", f"does not have the shape of this format: {type(exc).__name__}: {str(exc)[:100]}")


def _named(value: Mapping[str, Any]) -> Any:
    return next((value[name] for name in ("key", coco.PICTURE, "id") if name in value), None)


def _values(file: BinaryIO, name: str, encoding: str | None) -> Iterator[tuple[int, Any]]:
    """Yield the objects of a JSON list or of JSON lines, each with its line; a text tells why one cannot be read."""
    beginning = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    file.seek(0)
    if beginning.startswith(b"[") and encoding is None and not _is_a_line(beginning):
        for part in parts(file, name):
            yield part.line, _value(part.raw)
        return
    faults: dict[int, str] = {}
    for number, line in enumerate(lines_of(file, name, encoding, faults), start=1):
        if number in faults:
            yield number, faults.pop(number)
        elif line.strip():
            yield number, _value(line.encode(errors="surrogatepass"))


def _is_a_line(beginning: bytes) -> bool:
    """Whether the first line is a whole list that begins with a text: a pair of spaCy 2, and not a list of objects."""
    line = beginning.partition(b"\n")[0]
    return line.lstrip(b"[ \t").startswith(b'"') and line.rstrip().endswith(b"]")


def _value(raw: bytes) -> Any:
    try:
        return strict_json.loads_large(raw)
    except InvalidOutput as exc:
        return str(exc)


class _Places:
    """Places of the annotations in a COCO file; each takes 24 bytes of memory."""

    def __init__(self) -> None:
        self._of: dict[Any, array[int]] = {}

    def add(self, image: Any, offset: int, length: int, line: int) -> None:
        self._of.setdefault(image, array("q")).extend((offset, length, line))

    def pop(self, image: Any) -> Iterator[tuple[int, int, int]]:
        found = self._of.pop(image, array("q"))
        return ((found[i], found[i + 1], found[i + 2]) for i in range(0, len(found), 3))

    def left(self) -> Iterator[tuple[Any, int]]:
        """Yield the pictures that are left, each with the line of its first annotation."""
        yield from ((image, found[2]) for image, found in self._of.items())


def _pictures(file: BinaryIO, name: str, how: How, tally: Tally) -> Read:
    """Yield the item of each picture in a COCO file, with its annotations, wherever in the file they are."""
    coco.shapes_of(how)  # raises if the answer of the loop is of another kind, once and not for each picture
    categories: dict[Any, Any] = {}
    places, bad, is_coco = _Places(), list[Bad](), False
    for part in parts(file, name):
        is_coco |= part.section == "images"
        if part.section not in ("categories", "annotations"):
            continue
        value = _value(part.raw)
        if not isinstance(value, dict):
            bad.append(Bad(part.line, None, part.section, value if isinstance(value, str) else "must be an object"))
        elif part.section == "categories":
            categories[value.get("id")] = value
        else:
            places.add(_hashable(value.get("image_id")), part.offset, len(part.raw), part.line)
    if not is_coco:
        raise UsageError(f"{name} has no list `images`, so it is no COCO file with annotations of pictures")
    yield from bad
    file.seek(0)
    for part in parts(file, name):
        if part.section != "images":
            continue
        image = _value(part.raw)
        if not isinstance(image, dict):
            yield Bad(part.line, None, "images", image if isinstance(image, str) else "must be an object")
            continue
        after = file.tell()
        own = []
        for offset, length, line in places.pop(_hashable(image.get("id"))):
            file.seek(offset)
            own.append((line, _value(file.read(length))))
        file.seek(after)
        yield from _each(
            [(part.line, image)],
            lambda row, line, how, tally, own=own: coco.read(row, own, categories, line, how, tally),  # type: ignore[misc]
            how,
            tally,
        )
    for image, line in places.left():
        yield Bad(line, None, "image_id", f"no picture has the id {image!r}")


def _hashable(id_: Any) -> Any:
    return id_ if isinstance(id_, int | str) else repr(id_)
