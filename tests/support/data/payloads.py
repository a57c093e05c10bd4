"""Recorded payloads of other frameworks, written by us in the published shape, and the intake that takes outputs in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from labelloop.client import wire
from labelloop.outputs.output import Output
from labelloop.spec.folder import parse
from labelloop.store.tables.outputs import Row
from sync.intake import taking

FOLDER = Path(__file__).parent / "adapters"

LABELS = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [billing, delivery, other]
"""
SEVERAL = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="multiple">
<Choice value="billing"/><Choice value="delivery"/><Choice value="other"/></Choices></View>"""
SPANS = """<View><Labels name="label" toName="text"><Label value="PER"/><Label value="LOC"/></Labels>
<Text name="text" value="$text"/></View>"""
JUDGED = """<View><Text name="text" value="$answer"/><Choices name="label" toName="text">
<Choice value="approve"/><Choice value="reject"/></Choices></View>"""


def payload(name: str) -> Any:
    """Return the payload in a JSON file of the folder."""
    return json.loads((FOLDER / name).read_text())


def lanes_of(outputs: Iterable[Output], xml: str = "", spec: str = LABELS) -> dict[str, Row]:
    """Return the row of each output by key, as the intake reads it. All outputs must be valid."""
    if xml:
        spec = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'
    lines = ((n, wire.line(output)) for n, output in enumerate(outputs, start=1))
    batch = taking.read(parse("loop", spec, xml), lines)
    assert batch.invalid == batch.conflicts == []
    return batch.rows
