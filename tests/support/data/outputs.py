"""A loop and outputs of it, for the tests that read outputs."""

from __future__ import annotations

import json
from typing import Any

from labelloop.outputs.output import Output
from labelloop.outputs.reading import parse
from labelloop.spec.loop import LoopSpec

SPEC = LoopSpec(name="x", trigger="model_confidence < 0.8").with_labels(["cat", "dog"])


GOOD: dict[str, Any] = {"key": "a/1", "data": {"text": "hi"}, "probabilities": {"cat": 0.25, "dog": 0.75}}


def read(**changes: Any) -> Output:
    """GOOD with changes; a field set to ... is left out."""
    return parse(json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...}).encode())


LABELLED: dict[str, Any] = {"probabilities": ..., "label": "cat"}


REGION = {"from_name": "verdict", "to_name": "text", "type": "choices", "value": {"choices": ["approve"]}}
