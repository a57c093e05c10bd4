"""Choices: {"value": {"choices": ["cat"]}, "type": "choices"}, see labelstud.io/tags/choices.

There are several choices if `choice` is multiple. If none is chosen, the editor leaves the region out. With allowNested
the editor writes the path of each choice, [["animal", "cat"], ["plant"]]. It also writes the path of a choice whose
children are all chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import PATH, ControlTag, Kind
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.labels import read_labels
from labelloop.labeling.results import paths
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    chosen = [answer] if control.kind is Kind.LABEL else read_labels(answer)
    if not chosen:
        return []
    value = nested(control, paths.split(chosen)) if control.nested else {"choices": chosen}
    return [{"type": "choices", "value": value}] if value else []


def nested(control: ControlTag, chosen: Sequence[list[str]]) -> dict[str, Any]:
    """Return the value of a prediction that both sides of Label Studio accept; empty if there is none.

    The editor shows paths only. The server (the SDK's ControlTag.validate_value, 2.1) refuses paths in `choices`. It
    checks a key named like the control instead, if the value has one: that key holds the last steps.
    """
    if control.name == "choices":
        return {}
    return {"choices": list(chosen), control.name: {"choices": [path[-1] for path in chosen]}}


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the answer; None if it is not one that the config allows.

    That is a choice that is not in the config (the API accepts it), several choices for a single choice, or no choice
    for a required one.
    """
    values = values_of(regions)
    chosen = values[-1].get("choices") if values else []
    if not isinstance(chosen, list) or (not chosen and (control.required or control.kind is Kind.LABEL)):
        return None
    if control.nested:
        chosen = paths.join(chosen)
    if control.kind is Kind.LABELS:
        return canonical(control, chosen)
    if control.nested:
        chosen = [label for label in chosen if all(_above(label, other) for other in chosen)]
    return canonical(control, chosen[0]) if len(chosen) == 1 else None


def _above(label: object, other: object) -> bool:
    """Whether `other` is this label or below it."""
    return other == label or str(other).startswith(f"{label}{PATH}")
