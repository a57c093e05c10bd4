"""Read a loop's folder: its loop.yaml (ours) and its labels.xml (Label Studio's), which may be missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic

from labelloop.errors import SpecError
from labelloop.labeling import form_checks
from labelloop.labeling.form_xml import plain
from labelloop.spec import loop_yaml
from labelloop.spec.agreement import check_agreement
from labelloop.spec.loop import LoopSpec, complete
from labelloop.spec.trigger import compile_trigger


def load(folder: Path) -> LoopSpec:
    """Load the loop in this folder; the folder's name is the loop's name.

    Raises SpecError with the loop, the file, the line and the column of the fault.
    """
    name, file = folder.absolute().name, folder / "loop.yaml"
    try:
        text = _read(file)
        file = folder / "labels.xml"
        return parse(name, text, _read(file) if file.exists() else "")
    except SpecError as exc:
        raise SpecError(exc.reason, line=exc.line, column=exc.column, loop=name) from exc


def load_all(
    loops_dir: Path, check: Callable[[LoopSpec], None] = lambda _: None
) -> tuple[list[LoopSpec], list[SpecError]]:
    """Load every loop of a folder of loops. Return the specs by name, and one error for each loop that has a fault.

    A faulty loop does not keep the others from being loaded. `check` may refuse a spec by raising SpecError.
    """
    specs, faults = [], []
    for file in sorted(loops_dir.glob("*/loop.yaml")):
        try:
            spec = load(file.parent)
            check(spec)
            specs.append(spec)
        except SpecError as exc:
            faults.append(exc)
    return specs, faults


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{file} cannot be read: {exc}") from exc


def parse(name: str, text: str, labels_xml: str = "") -> LoopSpec:
    """Return the loop called `name`, from the text of its loop.yaml and of its labels.xml ("" if it has none)."""
    document = loop_yaml.read(text)
    body = document.value
    for own in ("name", "labels_xml"):
        if own in body:
            raise document.error((own,), f"{own}: must not be set here: the folder gives it", at_key=True)
    if labels_xml:
        form_checks.check(labels_xml)
    if isinstance(learner := body.get("learner"), str):  # `learner: none` is short for {name: none}
        body = {**body, "learner": {"name": learner}}
    try:
        spec = complete({**body, "name": name, "labels_xml": plain(labels_xml)})
    except pydantic.ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        if first["loc"][:1] == ("name",):
            raise SpecError(_name_fault(name)) from None
        raise document.error(first["loc"], _words(first), at_key=first["type"] == "extra_forbidden") from None
    try:
        compile_trigger(spec.trigger, spec.labels)
    except SpecError as exc:
        raise document.inside(("trigger",), exc.line or 1, exc.column or 1, exc.reason) from None
    check_agreement(document, spec)
    return spec


def _name_fault(name: str) -> str:
    rule = "1 to 41 lower-case letters, digits, _ and -, beginning with a letter"
    return f"the folder gives the loop its name: {rule}; it is {name!r}"


def _words(error: Any) -> str:
    path = loop_yaml.dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"{path}: no such key"
        case "missing":
            return f"{path}: is missing"
        case "string_type":
            return f"{path}: must be text, not {error['input']!r}; put it in quotes"
        case "too_short":
            return f"{path}: takes at least {error['ctx']['min_length']}"
        case "too_long":
            return f"{path}: takes at most {error['ctx']['max_length']}"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return f"{path}: {message}, not {error['input']!r}" if "should" in message else f"{path}: {message}"
