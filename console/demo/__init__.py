"""The demo: the whole loop on real input, driven from outside as its users drive it, with honest figures at the end."""

from __future__ import annotations

from console.demo.options import DemoOptions
from console.demo.run import run

__all__ = ["DemoOptions", "run"]
