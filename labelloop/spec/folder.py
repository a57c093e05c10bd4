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
    """The loop of this folder, named as the folder is. Raises SpecError with the loop, the file, the line and column of
    what is wrong.
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
    """The loops of a folder of loops, by name; and what is wrong with those that cannot be loaded, one error for each.

    A loop that is wrong keeps no other from being loaded. `check` may find more wrong with one; it raises SpecError.
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
    """The loop called `name`, from the text of its loop.yaml and that of its labels.xml ("" where it has none)."""
    document = loop_yaml.read(text)
    body = document.value
    for own in ("name", "labels_xml"):
        if own in body:
            raise document.error((own,), f"{own}: is not said here: the folder gives it", at_key=True)
    if labels_xml:
        form_checks.check(labels_xml)
    if isinstance(learner := body.get("learner"), str):  # `learner: none`, in short
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
    rule = "1 to 41 small letters, digits, _ and -, the first a letter"
    return f"the folder gives the loop its name: {rule}; it is {name!r}"


def _words(error: Any) -> str:
    path = loop_yaml.dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"{path}: no such key"
        case "missing":
            return f"{path}: is missing"
        case "string_type":
            return f"{path}: text is wanted, not {error['input']!r}; put it in quotes"
        case "too_short":
            return f"{path}: takes {error['ctx']['min_length']} at least"
        case "too_long":
            return f"{path}: takes {error['ctx']['max_length']} at most"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return f"{path}: {message}, not {error['input']!r}" if "should" in message else f"{path}: {message}"
