"""Gate: may the challenger replace the incumbent? Judged on the same held-out answers, with evidence or not at all."""

from __future__ import annotations

from labelloop.gate.paired import Accuracy, Gain
from labelloop.gate.reuse import Reuse
from labelloop.gate.verdict import Cost, Gate, GateDecision, Judged

__all__ = ["Accuracy", "Cost", "Gain", "Gate", "GateDecision", "Judged", "Reuse"]
