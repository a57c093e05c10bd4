"""TextArea: {"value": {"text": ["hello"]}, "type": "textarea"}, see labelstud.io/tags/textarea."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    return [{"type": "textarea", "value": {"text": [answer]}}]


def decode(control: ControlTag, values: Sequence[Mapping[str, Any]]) -> str | None:
    """The texts, one a line, without the blanks around them; None where nothing is left."""
    texts = values[-1].get("text") if values else None
    if isinstance(texts, str):  # an older Label Studio wrote one text so
        texts = [texts]
    if not isinstance(texts, list):
        return None
    return "\n".join(t.strip() for t in texts if isinstance(t, str) and t.strip()) or None
