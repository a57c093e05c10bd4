"""Answered: the agreed answers of a loop in the formats of other tools.

A file is written while it is read: one snapshot, a few thousand rows in memory. What a format cannot hold is counted.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

from labelloop.answers import given
from labelloop.errors import InvalidOutput, UsageError
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds import form
from labelloop.outputs.formats import coco, conll, hugging_face, label_studio, rows
from labelloop.outputs.formats.items import How, Tally
from labelloop.reading import paths, strict_json
from labelloop.reading.paths import value_at
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.pipelines import answers_out
from labelloop.store.questions import feedback_out
from sync.answering.exports import ROWS_A_GROUP

UNDECIDED = "outputs on which the people do not agree"
NO_SIZE = "pictures whose size in pixels is not known: put it into data.width and data.height"
Rows = Iterator[dict[str, Any]]
FORMATS = ("label-studio", "coco", "conll", "csv", "ndjson", "parquet", "hf")
"""Names of the formats; hf is a folder."""
_HOLDS = {"coco": Kind.REGIONS, "conll": Kind.SPANS}
"""Kind of answer that a format holds, if it holds one kind only."""
ONE_ANSWER = tuple(_HOLDS)
"""Formats that hold one answer for an item."""


def check(spec: LoopSpec, name: str, *, each_person: bool) -> None:
    """Raise UsageError if the format cannot hold the answers of the loop."""
    if name not in FORMATS:
        raise UsageError(f"--format: no {name[:40]!r} of answers; there are: {', '.join(FORMATS)}")
    if each_person and name in ONE_ANSWER:
        raise UsageError(
            f"--each-person: {name} holds one answer for an item; label-studio and the tables hold several"
        )
    if name in _HOLDS:
        try:
            How(spec.config).part(_HOLDS[name])
        except InvalidOutput as exc:
            raise UsageError(f"--format {name}: {exc}") from None


def write(database: Database, spec: LoopSpec, name: str, output: IO[bytes], *, each_person: bool) -> Tally:
    """Write the answers of a loop in a format that is one file. Returns what the format cannot hold.

    Raises UsageError as `check` does.
    """
    check(spec, name, each_person=each_person)
    how, tally = How(spec.config), Tally()
    with database.transaction() as conn:
        feedback_out.snapshot(conn)
        found = _agreed(answers_out.rows(conn, spec.name, people=each_person or name == "coco"), tally, each_person)
        _WRITE[name](found, how, output, tally, each_person)
    return tally


def write_folder(database: Database, spec: LoopSpec, folder: Path, *, each_person: bool) -> Tally:
    """Write the answers of a loop as a data set of Hugging Face into a new folder. Returns what was left out.

    Raises UsageError if the folder has files already.
    """
    check(spec, "hf", each_person=each_person)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already: name a new folder")
    how, tally = How(spec.config), Tally()
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "data").mkdir(parents=True)
    try:
        with database.transaction() as conn:
            feedback_out.snapshot(conn)
            found = _agreed(answers_out.rows(conn, spec.name, people=each_person), tally, each_person)
            counts = _shards(found, how, part, each_person)
        columns = rows.names(how, each_person=each_person)
        card = hugging_face.card(spec.name, spec.config.kind.words, spec.labels, counts, columns)
        (part / "README.md").write_text(card, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return tally


def _agreed(found: Rows, tally: Tally, each_person: bool) -> Rows:
    """Yield the outputs with an answer, and the results of people as their tool had them.

    With `each_person` also those on which the people do not agree: their answers are worth having.
    """
    for row in found:
        if row["answer"] is None:
            tally[UNDECIDED] += 1
            if not each_person:
                continue
        for one in row["answers"]:
            one["result"] = given.kept(one["result"] or [])
        yield row


# -- one file ----------------------------------------------------------------------------------------------------


def _label_studio(found: Rows, how: How, output: IO[bytes], tally: Tally, each_person: bool) -> None:
    _list(output, (label_studio.write(row, how, each_person=each_person) for row in found))


def _conll(found: Rows, how: How, output: IO[bytes], tally: Tally, each_person: bool) -> None:
    for row in found:
        try:
            output.write(conll.write(row, how, tally).encode())
        except InvalidOutput as exc:
            tally[str(exc)] += 1


def _coco(found: Rows, how: How, output: IO[bytes], tally: Tally, each_person: bool) -> None:
    """Write pictures and annotations; the latter wait in a temporary file, since they are a list of their own."""
    writer, shown = coco.Writer(tally), how.part(Kind.REGIONS).data_field or how.shown
    with tempfile.TemporaryFile() as waiting:
        output.write(b'{"info": {"description": "exported by labelloop"}, "licenses": [], "images": [')
        number = 0
        between = b""
        for row in found:
            size = _size(row)
            if size is None:
                tally[NO_SIZE] += 1
                continue
            number += 1
            address = str(paths.value_at(row["data"], shown))
            output.write(
                (b",\n" if number > 1 else b"\n") + _json(writer.image(number, address, *size) | {"key": row["key"]})
            )
            regions = strict_json.loads((_part(row["answer"], how.part(Kind.REGIONS), how) or "[]").encode())
            for annotation in writer.annotations(regions, number, *size):
                waiting.write(between + _json(annotation))
                between = b",\n"
        output.write(b'\n], "annotations": [\n')
        waiting.seek(0)
        shutil.copyfileobj(waiting, output)
        output.write(b'\n], "categories": ' + _json(writer.categories()) + b"}\n")


def _part(answer: str, control: ControlTag, how: How) -> str | None:
    """Return the answer of one control of the form."""
    return form.part_of(control, answer) if how.config.answer.parts else answer


def _size(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return width and height of the picture in pixels, from the results of Label Studio or from the data."""
    sizes = [
        (region.get("original_width"), region.get("original_height"))
        for one in row["answers"]
        for region in one["result"]
    ]
    sizes.append((value_at(row["data"], "width"), value_at(row["data"], "height")))
    for width, height in sizes:
        if isinstance(width, int | float) and isinstance(height, int | float) and width > 0 and height > 0:
            return width, height
    return None


def _csv(found: Rows, how: How, output: IO[bytes], tally: Tally, each_person: bool) -> None:
    import io

    names = rows.names(how, each_person=each_person)
    text = io.TextIOWrapper(output, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    for row in found:
        made = rows.write(row, how, each_person=each_person)
        writer.writerow(made | {"holdout": "true" if made["holdout"] else "false"})
    text.flush()
    text.detach()


def _ndjson(found: Rows, how: How, output: IO[bytes], tally: Tally, each_person: bool) -> None:
    for row in found:
        made = rows.write(row, how, each_person=each_person)
        whole = {name: value for name, value in made.items() if not name.startswith("data.")}
        whole |= {name: json.loads(whole[name]) for name in ("data", rows.ANSWERS) if name in whole}
        output.write(_json(whole) + b"\n")


def _parquet(found: Rows, how: How, output: IO[bytes], tally: Tally, each_person: bool) -> None:
    with _writer(output, how, each_person) as writer:
        while some := list(islice(found, ROWS_A_GROUP)):
            _add(writer, some, how, each_person)


def _list(output: IO[bytes], values: Iterator[Any]) -> None:
    between = b"[\n"
    for value in values:
        output.write(between + _json(value))
        between = b",\n"
    output.write(b"\n]\n" if between == b",\n" else b"[]\n")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


# -- Parquet -----------------------------------------------------------------------------------------------------


def _shards(found: Rows, how: How, folder: Path, each_person: bool) -> dict[str, int]:
    """Write the files of each split; return the number of rows of each."""
    counts: dict[str, int] = dict.fromkeys(hugging_face.SPLITS, 0)
    writers: dict[str, Any] = {}
    try:
        while some := list(islice(found, ROWS_A_GROUP)):
            for split in hugging_face.SPLITS:
                of_split = [row for row in some if hugging_face.split_of(row) == split]
                if not of_split:
                    continue
                if (
                    split not in writers
                    or counts[split] // hugging_face.ROWS_A_FILE != (counts[split] - 1) // hugging_face.ROWS_A_FILE
                ):
                    if split in writers:
                        writers[split].close()
                    path = folder / hugging_face.file_of(split, counts[split] // hugging_face.ROWS_A_FILE)
                    writers[split] = _writer(str(path), how, each_person)
                _add(writers[split], of_split, how, each_person)
                counts[split] += len(of_split)
    finally:
        for writer in writers.values():
            writer.close()
    return counts


def _writer(sink: Any, how: How, each_person: bool) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UsageError("--format: parquet and hf need pyarrow: pip install 'labelloop[parquet]'") from None
    kinds = {
        "agreement": pa.float64(), "confidence": pa.float64(), "reviewers": pa.int32(), "holdout": pa.bool_(),
    }  # fmt: skip
    names = rows.names(how, each_person=each_person)
    return parquet.ParquetWriter(sink, pa.schema([(name, kinds.get(name, pa.string())) for name in names]))


def _add(writer: Any, some: list[dict[str, Any]], how: How, each_person: bool) -> None:
    import pyarrow as pa

    made = [rows.write(row, how, each_person=each_person) for row in some]
    writer.write_table(pa.Table.from_pylist(made, writer.schema))


_WRITE: Mapping[str, Callable[[Rows, How, IO[bytes], Tally, bool], None]] = {
    "label-studio": _label_studio,
    "coco": _coco,
    "conll": _conll,
    "csv": _csv,
    "ndjson": _ndjson,
    "parquet": _parquet,
}
