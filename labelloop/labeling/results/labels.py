"""Labels: {"value": {"start": 0, "end": 4, "labels": ["person"]}, "type": "labels"}, a region for each span, the end
excluded: see labelstud.io/tags/labels. The editor adds the span's `text`; a text without a region has no span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.structured import canonical, read_spans


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [
        {"type": "labels", "value": {"start": span.start, "end": span.end, "labels": [span.label]}}
        for span in read_spans(answer)
    ]


def decode(control: ControlTag, values: Sequence[Mapping[str, Any]]) -> str | None:
    """A region with several labels is as many spans. None where one of them is no span of this control."""
    if control.required and not values:
        return None
    spans = []
    for value in values:
        labels = value.get("labels")
        if not isinstance(labels, list) or not labels:
            return None
        spans += [[value.get("start"), value.get("end"), label] for label in labels]
    return canonical(control, spans)
