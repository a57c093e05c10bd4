"""Choices: {"value": {"choices": ["cat"]}, "type": "choices"}, several where `choice` is multiple: see
labelstud.io/tags/choices. Where several may be chosen and none is, the editor leaves the region out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import ControlTag, Kind
from labelloop.structured import canonical, read_labels


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    chosen = [answer] if control.kind is Kind.LABEL else read_labels(answer)
    return [{"type": "choices", "value": {"choices": chosen}}] if chosen else []


def decode(control: ControlTag, values: Sequence[Mapping[str, Any]]) -> str | None:
    """None for a choice that is not in the config (which the API lets through), for several where one is asked for,
    and for none where one is required.
    """
    chosen = values[-1].get("choices") if values else []
    if not isinstance(chosen, list) or (not chosen and (control.required or control.kind is Kind.LABEL)):
        return None
    if control.kind is Kind.LABELS:
        return canonical(control, chosen)
    return canonical(control, chosen[0]) if len(chosen) == 1 else None
