"""A control that labelloop does not read: its regions are kept as Label Studio wrote them, without their ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import other
from labelloop.labeling.kinds.reading import json_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return list(json_of(answer))


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    return other.canonical(control, list(regions)) if regions else None
