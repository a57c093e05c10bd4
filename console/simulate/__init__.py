"""Simulate: compare query strategies on a labelled set, offline, with the same code that runs in production."""

from __future__ import annotations

from console.simulate.options import SimulateOptions, Variant, defaults, variants
from console.simulate.run import run, simulate

__all__ = ["SimulateOptions", "Variant", "defaults", "run", "simulate", "variants"]
