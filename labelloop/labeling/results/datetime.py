"""DateTime: {"value": {"datetime": "2024-05-06T07:08"}, "type": "datetime"}, see labelstud.io/tags/datetime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [{"type": "datetime", "value": {"datetime": answer}}]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the date or time; None if there is none."""
    values = values_of(regions)
    given = values[-1].get("datetime") if values else None
    return None if given is None else canonical(control, given)
