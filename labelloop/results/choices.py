"""Choices: {"value": {"choices": ["cat"]}, "type": "choices"}, see labelstud.io/tags/choices."""

from __future__ import annotations

from typing import Any

from labelloop.labeling import ControlTag


def encode(control: ControlTag, label: str) -> dict[str, Any]:
    return {"type": "choices", "value": {"choices": [label]}}


def decode(control: ControlTag, value: dict[str, Any]) -> str | None:
    """None for none, for several, and for a choice that is not in the config (which the API lets through)."""
    match value.get("choices"):
        case [str() as said] if not control.labels or control.shown(said) in control.labels:
            return control.shown(said)
    return None
