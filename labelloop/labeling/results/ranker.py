"""Ranker: {"value": {"ranker": {"rank": ["c", "a", "b"]}}, "type": "ranker"}, see labelstud.io/tags/ranker.

An order has one list under the control's name. Each bucket has a list of
its own, and the editor keeps the other items under `_`. If nobody moved an item, it submits
the list as it was shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical, order
from labelloop.labeling.results.values import values_of

_LEFT = "_"
"""Key of the items that are in no bucket."""


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    lists = order.read(control, answer)
    if not control.buckets:
        lists = {control.name: lists[""]}
    return [{"type": "ranker", "value": {"ranker": lists}}]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the order; None if there is none."""
    values = values_of(regions)
    lists = values[-1].get("ranker") if values else None
    if not isinstance(lists, dict):
        return None
    if control.buckets:
        return canonical(control, {name: ids for name, ids in lists.items() if name != _LEFT})
    return canonical(control, lists.get(control.name))
