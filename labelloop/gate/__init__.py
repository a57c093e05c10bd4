"""The gate: the decision whether the challenger replaces the incumbent, judged on the same held-out answers with
evidence.
"""

from __future__ import annotations

from labelloop.gate.paired import Accuracy, Gain
from labelloop.gate.reuse import Reuse
from labelloop.gate.verdict import Cost, Gate, GateDecision, Judged

__all__ = ["Accuracy", "Cost", "Gain", "Gate", "GateDecision", "Judged", "Reuse"]
