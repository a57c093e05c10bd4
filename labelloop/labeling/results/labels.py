"""Labels: {"value": {"start": 0, "end": 4, "labels": ["person"]}, "type": "labels"}, see labelstud.io/tags/labels.

There is one region for each span, and the end is excluded. The editor adds the span's `text`. A text without a region
has no span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.spans import read_spans
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [
        {"type": "labels", "value": {"start": span.start, "end": span.end, "labels": [span.label]}}
        for span in read_spans(answer)
    ]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the spans; a region with several labels gives one span each. None if one is not a span of this control."""
    values = values_of(regions)
    if control.required and not values:
        return None
    spans = []
    for value in values:
        labels = value.get("labels")
        if not isinstance(labels, list) or not labels:
            return None
        spans += [[value.get("start"), value.get("end"), label] for label in labels]
    return canonical(control, spans)
