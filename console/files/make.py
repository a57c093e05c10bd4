"""Make a loop: the folder that describes it, from a template or from a table of outputs."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from console.files import label_studio
from console.files.lines import STDIN, Line, Refused, Source
from console.files.send import words
from console.files.templates import SAMPLES, TABLE, files_of
from labelloop.errors import Failed, SpecError, UsageError
from labelloop.labeling.form_checks import MAX_LABELS, label_fault
from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import NAME

OUTPUTS = "outputs.ndjson"
MOST_LABELS = 200
"""Largest number of different labels that a column may have without being taken for a text."""


def from_template(folder: Path, template: str) -> tuple[LoopSpec, Path]:
    """Write the loop's folder from a template. Return its spec and the file of its sample outputs."""
    texts = files_of(template)
    return write(folder, {name: [text] for name, text in texts.items()}), folder / SAMPLES


def from_label_studio(folder: Path, template: str, templates: Mapping[str, str]) -> tuple[LoopSpec, Path | None]:
    """Write the loop's folder from one of Label Studio's own templates. Return its spec, and the file of its sample.

    `templates`: the forms by name. The file is None if the answer has no sample.
    """
    files = label_studio.files_of(template, label_studio.form_of(template, templates))
    spec = write(folder, {name: [text] for name, text in files.items()})
    return spec, folder / SAMPLES if SAMPLES in files else None


def from_table(
    folder: Path, source: Source, text: str, label: str, confidence: str | None = None, key: str | None = None
) -> tuple[LoopSpec, Path]:
    """Write the loop's folder from a table of outputs. Return its spec and the file of the outputs.

    `text`, `label`, `confidence` and `key` are columns. Without `key` it is the column named key,
    else the file's name and the row's number.

    Raises Failed with the rows that are no outputs, UsageError for a column that is missing, and for one whose values
    cannot be labels.
    """
    if source.name == STDIN:
        raise UsageError("--from takes a file, which is read twice; standard input is read once")
    columns = {"data.text": text, "label": label, **({"confidence": confidence} if confidence else {})}
    stem = Path(source.name.removesuffix(".gz")).stem or "row"
    mapped = replace(source, map=columns | ({"key": key} if key else {}), key_of_row="" if key else stem)
    counted: Counter[str] = Counter()
    bad: list[Refused] = []
    first: dict[str, tuple[int, bytes]] = {}
    try:
        for number, line in mapped.lines():
            if isinstance(line, Refused):
                bad.append(line)
                continue
            output = json.loads(line)
            counted[str(output.get("label"))] += 1
            at, body = first.setdefault(output["key"], (number, sha256(line).digest()))
            if body != sha256(line).digest():
                bad.append(Refused(number, output["key"], "key", f"line {at} has this key too, with another body"))
    except UsageError as exc:
        raise UsageError(_with_options(str(exc), mapped.map)) from None
    if bad:
        rows, are = ("1 row", "is") if len(bad) == 1 else (f"{len(bad)} rows", "are")
        shown = "\n".join(words(one) for one in bad[:20])
        raise Failed(f"no loop is made: {rows} of {source.name} {are} no output{'s' * (len(bad) > 1)}\n{shown}")
    _check(f"--label {label}", counted, sum(counted.values()))
    written = _spec(Path(source.name).name, sorted(counted))
    return write(folder, {"loop.yaml": [written], OUTPUTS: _texts(mapped.lines())}), folder / OUTPUTS


def from_labels(folder: Path, given: str) -> LoopSpec:
    """Write the folder of a loop with these labels, which are separated by commas. Return its spec."""
    labels = [label.strip() for label in given.split(",") if label.strip()]
    _check("--labels", Counter(labels), len(labels))
    if len(set(labels)) < len(labels):
        raise UsageError(f"--labels: {max(labels, key=labels.count)!r} is named twice")
    return write(folder, {"loop.yaml": [_spec("the option --labels", labels)]})


def _spec(file: str, labels: Sequence[str]) -> str:
    return TABLE.read_text(encoding="utf-8").format(
        file=file.encode("ascii", "replace").decode(), labels=json.dumps(labels, ensure_ascii=False)
    )


def _with_options(message: str, columns: Mapping[str, str]) -> str:
    """Return a message about a column with the option of `labelloop init` in the place of --map."""
    for field, column in columns.items():
        message = message.replace(f"--map {field}={column}:", f"--{field.removeprefix('data.')} {column}:")
    return message


def check_name(name: str) -> None:
    """Raise UsageError if no loop can have this name."""
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"a loop's name is 1 to 41 lower-case letters, digits, _ and -, beginning with a letter; it is {name!r}"
        )


def folder_of(loops_dir: Path, name: str) -> Path:
    """Return the folder of a new loop. Raises UsageError if no loop can have this name, or if the folder exists."""
    check_name(name)
    folder = loops_dir / name
    if folder.exists():
        raise UsageError(
            f"{folder} exists already: choose another name, or remove it. To go on with it: `labelloop migrate`, then "
            f"`labelloop submit FILE --loop {name}`"
        )
    return folder


def _check(option: str, counted: Mapping[str, int], total: int) -> None:
    if len(counted) < 2:
        there_are = f"there {'is 1 label' if counted else 'are no labels'}"
        raise UsageError(f"{option}: {there_are}; a loop needs at least two")
    if len(counted) > MAX_LABELS or (len(counted) > MOST_LABELS and 2 * len(counted) > total):
        raise UsageError(f"{option}: {len(counted)} different values in {total} rows are no labels; is it the text?")
    for label in counted:
        if fault := label_fault(label):
            raise UsageError(f"{option}: {fault}")


def write(folder: Path, files: Mapping[str, Iterable[str]]) -> LoopSpec:
    """Write the folder as a whole, or not at all. Return the spec that is read from it."""
    part = folder.with_name(f".{folder.name}.part") / folder.name
    shutil.rmtree(part.parent, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for name, texts in files.items():
            with (part / name).open("w", encoding="utf-8") as file:
                file.writelines(texts)
        load(part)
        part.rename(folder)
    except SpecError as exc:
        raise UsageError(f"no loop is made: {exc}") from exc
    except OSError as exc:
        raise Failed(f"{folder} cannot be written: {exc.strerror}") from exc
    finally:
        shutil.rmtree(part.parent, ignore_errors=True)
    return load(folder)


def _texts(lines: Iterable[Line]) -> Iterator[str]:
    for _, line in lines:
        if not isinstance(line, Refused):
            yield line.decode() + "\n"
