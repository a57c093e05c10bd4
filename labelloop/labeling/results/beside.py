"""Regions with the answers about each: controls with `perRegion`, and shapes that take another control's labels.

In a result, regions that belong together share one `id`. A box of a RectangleLabels and the TextArea about it have one
id. So have a Rectangle and its Labels. Each repeats the geometry in its value:

{"id":"r1","from_name":"boxes","type":"rectanglelabels","value":{"x":10,...,"rectanglelabels":["car"]}}
{"id":"r1","from_name":"plate","type":"textarea","value":{"x":10,...,"text":["B 1"]}}

Codecs call `marked` to read them and `encoded` to write them. In an answer they are one region, with the answers about
it under `with`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from labelloop.labeling import results
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import as_text, form
from labelloop.labeling.results.form import answer_in

_OF_THE_CONTROL = ("from_name", "type", "value")
"""Fields of a region that differ between the regions of one id; the others, such as original_width, are the same."""


class Marked(NamedTuple):
    """A region that a person marked, and the answers about it."""

    own: list[Mapping[str, Any]]
    """The regions of the control and of its shapes, in the order of the result; at least one."""
    said: dict[str, Any]
    """The answers about this region alone by control name, as `with` holds them; {} if there are none."""


def marked(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> list[Marked]:
    """Return each region that the control marked, in the order of the result. `regions` as in `Codec.decode`.

    Answers about a region of another control are left out. Raises ValueError, with the name of the control, if an
    answer about a region cannot be read. A control that is hidden for a region has no answer there.
    """
    own: dict[object, list[Mapping[str, Any]]] = {}
    beside: dict[object, list[Mapping[str, Any]]] = {}
    names = {one.name for one in control.beside}
    for place, region in enumerate(regions):
        id_ = region.get("id")
        of_one = (beside if region.get("from_name") in names else own).setdefault(
            id_ if isinstance(id_, str) else place, []
        )
        of_one.append(region)
    return [Marked(group, _said(control, beside.get(id_, ()))) for id_, group in own.items()]


def encoded(
    control: ControlTag, marks: Iterable[tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the regions of a result: those of each mark, then those of the answers about it, all with one id.

    `marks`: the control's own regions of each mark (`type`, `value`, and `from_name` for one of a shape), and its
    `with`.
    """
    found = []
    for i, (own, said) in enumerate(marks):
        id_ = f"labelloop-{control.name}{f'-{i}' if i else ''}"
        found += [{"id": id_, **region} for region in own]
        for part in control.beside:
            if said.get(part.name) is not None:
                found += _encoded(part, said[part.name], id_, own[0])
    return found


def _encoded(part: ControlTag, value: Any, id_: str, region: Mapping[str, Any]) -> list[dict[str, Any]]:
    geometry = {name: one for name, one in region["value"].items() if name not in (region["type"], "labels")}
    shared = {name: one for name, one in region.items() if name not in _OF_THE_CONTROL}
    answer = as_text(value) or ""
    return [
        {**shared, **one, "id": id_, "value": {**geometry, **one["value"]}} for one in results.regions_of(part, answer)
    ]


def _said(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for part in control.beside:
        ours = [region for region in regions if region.get("from_name") == part.name]
        answer = answer_in(part, ours)
        if answer is not None:
            found[part.name] = form.as_value(part, answer)
    return found
