"""Check the first line of a commit message: `room or noun: imperative sentence`, 72 characters at most."""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONGEST = 72
MADE_BY_GIT = ("Merge ", "Revert ", "fixup! ", "squash! ", "amend! ")


def problem(message: str) -> str | None:
    """Return what is wrong with the message's subject, or None if nothing is."""
    subject = next((line for line in message.splitlines() if not line.startswith("#")), "")
    if subject.startswith(MADE_BY_GIT):
        return None
    if len(subject) > LONGEST:
        return f"the subject has {len(subject)} characters, {LONGEST} are allowed"
    if not re.match(r"[^\s:][^:]{0,30}: \S", subject):
        return "the subject must read `room or noun: what the commit does`"
    return "the subject ends with a period" if subject.endswith(".") else None


if __name__ == "__main__":
    found = problem(Path(sys.argv[1]).read_text())
    sys.exit(f"commit message: {found}" if found else 0)
