"""Taxonomy: {"value": {"taxonomy": [["animal", "cat"], ["plant"]]}, "type": "taxonomy"}, one path for each choice.

See labelstud.io/tags/taxonomy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.labels import read_labels
from labelloop.labeling.results import paths
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    chosen = paths.split(read_labels(answer))
    return [{"type": "taxonomy", "value": {"taxonomy": chosen}}] if chosen else []


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the labels; None for a path that is not in the config, and for no path if one is required."""
    values = values_of(regions)
    chosen = values[-1].get("taxonomy") if values else []
    if not isinstance(chosen, list) or (not chosen and control.required):
        return None
    return canonical(control, paths.join(chosen))
