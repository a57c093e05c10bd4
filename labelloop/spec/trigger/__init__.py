"""The trigger of a loop: a small expression that decides which outputs go to people.

expression.py compiles it, operands.py the sides of its comparisons, and facts.py has what they read.
"""

from __future__ import annotations

from labelloop.spec.trigger.expression import Part, Trigger, compile_trigger, faults, names, parts
from labelloop.spec.trigger.facts import NUMBERS, TEXTS, Facts

__all__ = ["NUMBERS", "TEXTS", "Facts", "Part", "Trigger", "compile_trigger", "faults", "names", "parts"]
