"""Blind tasks: outputs that people answer without any prelabel, so that no model's answer sways theirs.

A hash of the key draws them. The draw is stored before the task is made, and holds: no later prelabel fills it in.
"""

from __future__ import annotations

import hashlib
import json

from labelloop.outputs.output import unit_hash
from labelloop.queue.lanes import Lane
from labelloop.spec.loop import LoopSpec


def share(spec: LoopSpec, lane: Lane | str) -> float:
    """Return the share of a lane's outputs that are shown without a prelabel, 0 to 1.

    In a loop with a judge that sets no `queue.blind` it is 1 in the lanes that chance chose, and in the gold lane,
    which must not be recognizable. It is 0 while the form asks whether the pipeline's answer is correct: it shows that
    answer.
    """
    if not spec.asks_blind or spec.config.verdict is not None:
        return 0.0
    if spec.queue.blind is not None:
        return spec.queue.blind
    return 0.0 if lane == Lane.RULE else 1.0


def is_drawn(spec: LoopSpec, key: str, share: float) -> bool:
    """Return whether the output with this key is among the `share`. A larger share has all those of a smaller one."""
    return unit_hash("blind", spec.name, key) < share


def form_sha256(spec: LoopSpec) -> bytes:
    """Return the SHA-256 of what people read: form, controls of the answer, definitions, instruction."""
    read = [spec.labels_xml, list(spec.answer), spec.definitions, spec.instruction]
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).digest()
