"""The options of the demo."""

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
    """Encoding of the file `csv`; None if its byte order mark decides, else UTF-8."""
    leave: bool = False
    json_file: Path | None = None
