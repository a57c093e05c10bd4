"""Check that a result in Label Studio's format fits the form, at intake, while its sender can still correct it.

A result is refused if Label Studio refuses it as a prediction (the SDK's LabelInterface.validate_prediction, 2.1, which
its server calls). An annotator may correct the rest, except regions of an image that nobody could see or move
(labelloop/outputs/drawn.py). For controls whose answers labelloop does not read, only the names and the type are
checked; Label Studio checks the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import PATH, SHAPES, ControlTag
from labelloop.reading.nearest import did_you_mean

RELATION = "relation"
DIRECTIONS = ("left", "right", "bi")
DRAWN = {shape.lower() for shape in SHAPES}
GEOMETRY = ("rectangle", "polygon", "ellipse", "keypoint", "brush", "bitmask", "vector")
"""Types of regions that may share their id with a region of Labels, which then has no start and no end."""
Among = tuple[Collection[str], Sequence[str]]
"""Labels that Label Studio accepts for a control: a collection to look them up, and a sequence to show them in order.

For paths these are the single steps.
"""
NO_LABELS: Among = ((), ())


def check(result: Sequence[Mapping[str, Any]], config: LabelingConfig) -> None:
    """Raise InvalidOutput with the path of the first part that does not fit."""
    controls = {control.name: control for control in config.controls}
    for i, region in enumerate(result):
        path = f"result[{i}]"
        if region["type"] == RELATION:
            _relation(path, region, result)
            continue
        control = controls.get(region["from_name"])
        if control is None:
            given = region["from_name"][:40]
            raise InvalidOutput(f"{path}.from_name", f"no control {given!r}; there are: {', '.join(controls)}")
        if region["to_name"] not in control.objects:
            raise InvalidOutput(
                f"{path}.to_name", f"{control.tag} {control.name!r} is for {' and '.join(control.objects)}"
            )
        kind, tag = region["type"].lower(), control.tag.lower()
        # Labels on a shape, such as a Rectangle, come as one region of the type rectanglelabels.
        if kind != tag and not (tag == "labels" and kind.endswith(tag)):
            raise InvalidOutput(f"{path}.type", f"{control.tag} {control.name!r} gives regions of the type {tag!r}")
        read = _VALUES.get(tag) if kind == tag else None
        shape = kind.removesuffix("labels") if control.over == "Image" else None
        if read is not None:
            value, below = region["value"], f"{path}.value"
            if isinstance(value.get(control.name), dict):  # Label Studio checks this in place of the value around it
                value, below = value[control.name], f"{below}.{control.name}"
            read(below, control, value)
            if tag == "labels":
                shape = _shape_beside(region, result)
                if shape is None:
                    _ends(below, value)
        elif shape in DRAWN and kind.endswith("labels"):
            _texts(f"{path}.value.{kind}", _list(f"{path}.value.{kind}", region["value"].get(kind)), _among(control))
        if shape in DRAWN:
            from labelloop.outputs import drawn  # with numpy, which clients do without

            drawn.check(path, control, region, shape)


def _relation(path: str, relation: Mapping[str, Any], result: Sequence[Mapping[str, Any]]) -> None:
    ids = {region["id"] for region in result if region["type"] != RELATION and isinstance(region.get("id"), str | int)}
    for name in ("from_id", "to_id"):
        if not isinstance(relation.get(name), str | int) or relation[name] not in ids:
            raise InvalidOutput(f"{path}.{name}", "must be the id of a region of this result")
    if relation.get("direction", "right") not in DIRECTIONS:
        raise InvalidOutput(f"{path}.direction", f"must be one of: {', '.join(DIRECTIONS)}")


def _choices(path: str, control: ControlTag, value: Mapping[str, Any]) -> None:
    chosen = _list(f"{path}.choices", value.get("choices"))
    if control.nested and all(isinstance(one, list) for one in chosen):
        _paths(f"{path}.choices", control, chosen)  # as the editor writes them; the push adds the server's form
    else:
        _texts(f"{path}.choices", chosen, _among(control))


def _labels(path: str, control: ControlTag, value: Mapping[str, Any]) -> None:
    _texts(f"{path}.labels", _list(f"{path}.labels", value.get("labels")), _among(control))


def _ends(path: str, value: Mapping[str, Any]) -> None:
    for name in ("start", "end"):
        if not isinstance(value.get(name), str | int | float):
            raise InvalidOutput(f"{path}.{name}", "must be a number")


def _taxonomy(path: str, control: ControlTag, value: Mapping[str, Any]) -> None:
    _paths(f"{path}.taxonomy", control, _list(f"{path}.taxonomy", value.get("taxonomy")))


def _paths(path: str, control: ControlTag, chosen: Sequence[object]) -> None:
    among = _among(control)
    for i, one in enumerate(chosen):
        _texts(f"{path}[{i}]", _list(f"{path}[{i}]", one), among)


def _text(path: str, control: ControlTag, value: Mapping[str, Any]) -> None:
    _texts(f"{path}.text", _list(f"{path}.text", value.get("text")), NO_LABELS)


def _rating(path: str, control: ControlTag, value: Mapping[str, Any]) -> None:
    high = int(control.high or 5)
    stars = _number(f"{path}.rating", value.get("rating"))
    if not stars.is_integer() or not 0 <= stars <= high:
        raise InvalidOutput(f"{path}.rating", f"must be a whole number from 0 to {high}; it is {stars:g}")


def _count(path: str, control: ControlTag, value: Mapping[str, Any]) -> None:
    _number(f"{path}.number", value.get("number"))


_VALUES: Mapping[str, Callable[[str, ControlTag, Mapping[str, Any]], None]] = {
    "choices": _choices,
    "labels": _labels,
    "taxonomy": _taxonomy,
    "textarea": _text,
    "rating": _rating,
    "number": _count,
}


def _shape_beside(region: Mapping[str, Any], result: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the type of the shape with the same id as these labels; None if there is none."""
    id_ = region.get("id")
    types = (one["type"].lower() for one in result if id_ is not None and one.get("id") == id_)
    return next((type_ for type_ in types if type_ in GEOMETRY), None)


def _among(control: ControlTag) -> Among:
    if control.tag != "Taxonomy" and not control.nested:
        return control.known, control.labels
    steps = dict.fromkeys(label.rpartition(PATH)[2] for label in control.labels)
    return steps.keys(), list(steps)


def _list(path: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidOutput(path, "is missing" if value is None else "must be a list")
    return value


def _texts(path: str, values: Sequence[object], among: Among) -> None:
    known, labels = among
    for i, one in enumerate(values):
        if not isinstance(one, str):
            raise InvalidOutput(f"{path}[{i}]", "must be a text")
        if known and one not in known:
            raise InvalidOutput(f"{path}[{i}]", no_label(one, labels))


def _number(path: str, value: object) -> float:
    """Return a number; it may also be given as a text, as in Label Studio."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InvalidOutput(path, "is missing" if value is None else "must be a number") from None


def no_label(given: object, labels: Collection[str]) -> str:
    """Return the message for a label that is none of these."""
    shown = list(labels)[:20]
    more = ", ..." if len(labels) > len(shown) else ""
    return f"no such label {str(given)[:40]!r}{did_you_mean(given, labels)}; there are: {', '.join(shown)}{more}"
