"""Taxonomy: {"value": {"taxonomy": [["animal", "cat"], ["plant"]]}, "type": "taxonomy"}, a path for each choice: see
labelstud.io/tags/taxonomy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import PATH, ControlTag
from labelloop.structured import canonical, read_labels


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    paths = [label.split(PATH) for label in read_labels(answer)]
    return [{"type": "taxonomy", "value": {"taxonomy": paths}}] if paths else []


def decode(control: ControlTag, values: Sequence[Mapping[str, Any]]) -> str | None:
    """None for a path that is not in the config, and for none where one is required."""
    paths = values[-1].get("taxonomy") if values else []
    if not isinstance(paths, list) or (not paths and control.required):
        return None
    return canonical(control, [PATH.join(path) if _is_path(path) else path for path in paths])


def _is_path(path: object) -> bool:
    return isinstance(path, list) and all(isinstance(step, str) for step in path)
