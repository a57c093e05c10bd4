"""Finding: the result of one check, and the exit status and summary of all findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    HINT = "hint"
    """Worth knowing; nothing is wrong."""
    FAULT = "fault"
    UNSEEN = "could not look"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    says: str
    """The state that was found; for a fault, the fault."""
    why: str = ""
    """Why the fault matters; empty for other levels."""
    repair: str = ""
    """One line that repairs the fault."""
    loop: str | None = None
    """None if the check is about all loops."""
    samples: Sequence[str] = ()
    """Up to 20 things that an invariant does not hold for: keys of outputs, ids."""
    look: str = ""
    """One line of SQL or HTTP that shows the first of them."""


def good(check: str, says: str, loop: str | None = None) -> Finding:
    return Finding(check, Level.OK, says, loop=loop)


def hint(check: str, says: str, loop: str | None = None) -> Finding:
    return Finding(check, Level.HINT, says, loop=loop)


def fault(check: str, says: str, *, why: str, repair: str, loop: str | None = None) -> Finding:
    return Finding(check, Level.FAULT, says, why, repair, loop)


def unseen(check: str, says: str, repair: str = "", loop: str | None = None) -> Finding:
    return Finding(check, Level.UNSEEN, says, repair=repair, loop=loop)


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 0 without faults, 1 with at least one, 2 without a known fault if some checks could not run."""
    levels = {finding.level for finding in findings}
    return 1 if Level.FAULT in levels else 2 if Level.UNSEEN in levels or not findings else 0


def summary(findings: Sequence[Finding]) -> str:
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    n = f"{len(findings)} check{'s' * (len(findings) != 1)}"
    words = []
    if counts[Level.FAULT]:
        words.append(f"{counts[Level.FAULT]} fault{'s' * (counts[Level.FAULT] != 1)}")
    if counts[Level.UNSEEN]:
        words.append(f"{counts[Level.UNSEEN]} could not be made")
    return f"{n}, {', '.join(words) or 'nothing wrong'}"
