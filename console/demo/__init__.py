"""The demo: the whole loop on real input, used through its public interfaces, with measured figures at the end."""

from __future__ import annotations

from console.demo.options import DemoOptions
from console.demo.run import run

__all__ = ["DemoOptions", "run"]
