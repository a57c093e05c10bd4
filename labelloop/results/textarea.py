"""TextArea: {"value": {"text": ["hello"]}, "type": "textarea"}, see labelstud.io/tags/textarea."""

from __future__ import annotations

from typing import Any

from labelloop.labeling import ControlTag


def encode(control: ControlTag, label: str) -> dict[str, Any]:
    return {"type": "textarea", "value": {"text": [label]}}


def decode(control: ControlTag, value: dict[str, Any]) -> str | None:
    """The texts, one a line, without the blanks around them; None where nothing is left."""
    texts = value.get("text")
    if isinstance(texts, str):  # an older Label Studio wrote one text so
        texts = [texts]
    if not isinstance(texts, list):
        return None
    return "\n".join(t.strip() for t in texts if isinstance(t, str) and t.strip()) or None
