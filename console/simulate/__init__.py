"""Simulate: what query strategies would have brought on a labelled set, replayed offline with the product's parts."""

from __future__ import annotations

from console.simulate.options import SimulateOptions, Variant, defaults, variants
from console.simulate.run import run, simulate

__all__ = ["SimulateOptions", "Variant", "defaults", "run", "simulate", "variants"]
