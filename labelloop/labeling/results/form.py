"""Several controls: the regions of each, beside one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import results
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import form
from labelloop.reading import strict_json


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    found = []
    for part in control.parts:
        if (one := form.part_of(part, answer)) is not None:
            found += results.regions_of(part, one)
    return found


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the answers by control; None if there are none, or if a required control has none.

    Raises ValueError if one of them cannot be read.
    """
    found = {}
    for part in control.parts:
        ours = [region for region in regions if region.get("from_name") in part.names]
        answer = results.decoded(part, ours)
        if answer is not None:
            found[part.name] = form.as_value(part, answer)
        elif ours or part.required:
            return None
    return strict_json.dumps(found) if found else None
