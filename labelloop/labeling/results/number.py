"""Number: {"value": {"number": 3.5}, "type": "number"}, see labelstud.io/tags/number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.number import read_number
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    number = read_number(answer)
    return [{"type": "number", "value": {"number": int(number) if number.is_integer() else number}}]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the number; None if it is outside of the control's bounds (the API accepts it)."""
    values = values_of(regions)
    number = values[-1].get("number") if values else None
    return None if isinstance(number, str) else canonical(control, number)
