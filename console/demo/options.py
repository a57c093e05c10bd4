"""What the user asks of the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DemoOptions:
    loop: str = "digits"
    people: int = 3
    skill: float = 0.95
    rounds: int = 6
    per_round: int = 40
    seed: int = 0
    csv: Path | None = None
    text: str | None = None
    label: str | None = None
    encoding: str | None = None
    """Of the file `csv`; None: UTF-8, or what its first bytes say."""
    leave: bool = False
    json_file: Path | None = None
