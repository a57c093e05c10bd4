"""TextArea: {"value": {"text": ["hello"]}, "type": "textarea"}, see labelstud.io/tags/textarea."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds import canonical
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [{"type": "textarea", "value": {"text": [answer]}}]


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the texts, one a line, stripped of blanks; None if nothing is left."""
    values = values_of(regions)
    texts = values[-1].get("text") if values else None
    if isinstance(texts, str):  # an older Label Studio wrote a single text like this
        texts = [texts]
    if not isinstance(texts, list):
        return None
    text = "\n".join(t.strip() for t in texts if isinstance(t, str) and t.strip())
    return (canonical(control, text) if control.kind is Kind.TEXT else text) if text else None
