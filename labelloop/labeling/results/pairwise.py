"""Pairwise: {"value": {"selected": "left"}, "type": "pairwise"}, see labelstud.io/tags/pairwise.

The editor writes left or right, whatever the classes of the two sides are. A second click on the same side takes the
choice back and leaves no region: it cannot write a tie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [{"type": "pairwise", "value": {"selected": answer}}]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    values = values_of(regions)
    selected = values[-1].get("selected") if values else None
    return None if selected in (None, "none") else canonical(control, selected)
