"""Find every mistake in the files of a loop, each with its place and, for a name, the nearest valid one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pydantic

from labelloop.errors import SpecError
from labelloop.labeling import form_checks
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.form_xml import plain
from labelloop.reading.nearest import did_you_mean, some
from labelloop.spec import loop_yaml, trigger
from labelloop.spec.agreement import disagreements
from labelloop.spec.faults import Contradiction
from labelloop.spec.loop import LoopSpec, complete

_EXAMPLES = {
    "accept": "{error: 0.05}",
    "judge": "{positive: pass}",
    "opinions": "{most: 3}",
    "people": "{who: {rob@example.org: [de]}}",
}
"""Sections that a person may take for a plain value, each with an example."""
_LEARNER = re.compile(r"learner(?:\.\w+)*")
OWN = {"name": "the folder", "labels_xml": "the folder", "former_labels": "labelloop schema"}
"""Keys of a spec that loop.yaml must not have, with what gives each."""


@dataclass(slots=True)
class Examined:
    """The spec of a loop, or its mistakes in the order of the files."""

    spec: LoopSpec | None = None
    """None if there is any mistake."""
    faults: list[SpecError] = field(default_factory=list)
    document: loop_yaml.Document | None = None


def examine(name: str, text: str, labels_xml: str = "") -> Examined:
    """Return the loop called `name`, from the text of its loop.yaml and of its labels.xml ("" if it has none)."""
    found = Examined()
    in_form = sorted(form_checks.faults(labels_xml), key=_place) if labels_xml else []
    try:
        found.document = document = loop_yaml.read(text)
    except SpecError as exc:
        found.faults = [exc, *in_form]
        return found
    faults = [*document.faults]
    body = document.value
    for own, giver in OWN.items():
        if own in body:
            faults.append(document.error((own,), f"{own}: must not be set here: {giver} gives it", at_key=True))
            body = {key: value for key, value in body.items() if key != own}
    if isinstance(learner := body.get("learner"), str):  # `learner: none` is short for {name: none}
        body = {**body, "learner": {"name": learner}}
    if body.get("accept", "") is None:
        faults.append(
            document.error(
                ("accept",),
                "accept: is empty, and so would promise nothing; write the largest share of incorrect labels, such as "
                "accept: {error: 0.05}, or leave the key out",
                at_key=True,
            )
        )
    spec = None
    try:
        values = {**body, "name": name}
        if in_form:
            LoopSpec.model_validate(values)
        else:
            spec = complete({**values, "labels_xml": plain(labels_xml)})
    except pydantic.ValidationError as exc:
        errors = exc.errors(include_url=False)
        # A list whose only item is wrong is also called too short.
        inner = {error["loc"][:n] for error in errors for n in range(len(error["loc"]))}
        for error in errors:
            if error["loc"] not in inner and not _is_misspelt(error, errors):
                faults += _of_error(document, name, error)
    except SpecError as exc:
        faults.append(document.error(("answer",), exc.reason) if exc.reason.startswith("answer:") else exc)
    if isinstance(rule := body.get("trigger"), str):
        labels = spec.labels if spec else _labels(body, "" if in_form else labels_xml)
        for fault in trigger.faults(rule, labels):
            faults.append(document.inside(("trigger",), fault.line or 1, fault.column or 1, fault.reason))
    if spec is not None and not faults:
        faults += disagreements(document, spec)
    found.faults = [*sorted(faults, key=_place), *in_form]
    found.spec = None if found.faults else spec
    return found


def of_learner(document: loop_yaml.Document, fault: SpecError) -> SpecError:
    """Return a mistake that the learner itself found at its place in loop.yaml, by the key that its message names."""
    named = _LEARNER.match(fault.reason)
    path = named[0].split(".") if named else ["learner"]
    return document.error(path, fault.reason if named else f"learner: {fault.reason}")


def _place(fault: SpecError) -> tuple[int, int]:
    return fault.line or 0, fault.column or 0


def _labels(body: Mapping[str, Any], labels_xml: str) -> Sequence[str]:
    """Return the labels of a spec that has a mistake elsewhere; () if they are not known."""
    labels = body.get("labels", ())
    if isinstance(labels, tuple) and labels and all(isinstance(label, str) for label in labels):
        return labels
    return LabelingConfig.parse(labels_xml).labels if labels_xml else ()


def _of_error(document: loop_yaml.Document, name: str, error: Any) -> list[SpecError]:
    """Return the mistakes in an error of pydantic: one, or those of the keys of a section."""
    cause = error.get("ctx", {}).get("error")
    if not isinstance(cause, Contradiction):
        return [_of_value(document, name, error)]
    paths = [(*error["loc"], *fault.path) for fault in cause.faults]
    return [
        document.error(path, f"{loop_yaml.dotted(path)}: {fault.words}", at_key=fault.at_key)
        for path, fault in zip(paths, cause.faults, strict=True)
    ]


def _of_value(document: loop_yaml.Document, name: str, error: Any) -> SpecError:
    if error["loc"][:1] == ("name",):
        rule = "1 to 41 lower-case letters, digits, _ and -, beginning with a letter"
        return SpecError(f"the folder gives the loop its name: {rule}; it is {name!r}")
    return document.error(error["loc"], _words(error), at_key=error["type"] == "extra_forbidden")


def _is_misspelt(missing: Any, errors: Sequence[Any]) -> bool:
    """Return whether a key is missing because it is misspelt, which is a mistake of its own."""
    if missing["type"] != "missing":
        return False
    *section, key = missing["loc"]
    return any(
        error["type"] == "extra_forbidden"
        and [*error["loc"][:-1]] == section
        and did_you_mean(str(error["loc"][-1]), _keys(section)) == f" (did you mean {key!r}?)"
        for error in errors
    )


def _words(error: Any) -> str:
    path = loop_yaml.dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            keys = _keys(error["loc"][:-1])
            listed = f"; {some(keys)}" if keys else ""
            return f"{path}: no such key{did_you_mean(str(error['loc'][-1]), keys) or listed}"
        case "model_type" if path in _EXAMPLES:
            return f"{path}: takes keys, as in `{path}: {_EXAMPLES[path]}`, not {error['input']!r}"
        case "missing":
            return f"{path}: is missing"
        case "string_type":
            return f"{path}: must be text, not {error['input']!r}; put it in quotes"
        case "too_short":
            return f"{path}: takes at least {error['ctx']['min_length']}"
        case "too_long":
            return f"{path}: takes at most {error['ctx']['max_length']}"
        case "literal_error":
            near = did_you_mean(error["input"], re.findall("'([^']*)'", str(error["ctx"]["expected"])))
            return f"{path}: should be {error['ctx']['expected']}, not {error['input']!r}{near}"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    if error["type"] == "float_type" and (such := _as_share(error["input"])) is not None:
        message += f" such as {such:g}"
    return f"{path}: {message}, not {error['input']!r}" if "should" in message else f"{path}: {message}"


def _as_share(given: object) -> float | None:
    """Return the number that a text with a decimal comma or a percent sign means; None for any other value."""
    match = re.fullmatch(r"(\d{1,9}(?:[.,]\d{1,9})?)\s*(%?)", given) if isinstance(given, str) else None
    return float(match[1].replace(",", ".")) / (100 if match[2] else 1) if match else None


def _keys(path: Sequence[int | str]) -> list[str]:
    """Return the keys that the section at this path takes."""
    section: type[pydantic.BaseModel] = LoopSpec
    for part in path:
        if isinstance(part, str):
            known = section.model_fields.get(part)
            if known is None or (below := _section(known.annotation)) is None:
                return []
            section = below
    return [key for key in section.model_fields if section is not LoopSpec or key not in OWN]


def _section(annotation: Any) -> type[pydantic.BaseModel] | None:
    """Return the section in a type such as `Queue` or `tuple[Action, ...]`."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, pydantic.BaseModel):
            return one
    return None
