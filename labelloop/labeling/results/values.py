"""Values of regions, as any JSON may hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard


def values_of(regions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the value of each region; {} for one that is not an object."""
    return [value if isinstance(value := region.get("value"), dict) else {} for region in regions]


def labels_of(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return `label` as a region of an answer holds it, for each label in the list `name`; [{}] without a label."""
    given = value.get(name)
    labels = given if isinstance(given, list) else [given]
    return [{"label": label} for label in labels if label is not None] or [{}]


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number; a boolean is not."""
    return type(value) in (int, float)
