"""Rating: {"value": {"rating": 4}, "type": "rating"}, whole stars from 1: see labelstud.io/tags/rating."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.number import read_number
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [{"type": "rating", "value": {"rating": int(read_number(answer))}}]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the number of stars; None if there is none or it is not whole."""
    values = values_of(regions)
    stars = values[-1].get("rating") if values else None
    if isinstance(stars, str) or not read_number(stars).is_integer():
        return None
    return canonical(control, stars)
