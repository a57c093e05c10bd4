"""Values of regions, as any JSON may hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def values_of(regions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the value of each region; {} for one that is not an object."""
    return [value if isinstance(value := region.get("value"), dict) else {} for region in regions]
