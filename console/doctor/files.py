"""Check of the files of the loops: whether `labelloop migrate` would register them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from backend.learners.of_spec import check
from console.doctor.findings import Finding, fault, good
from labelloop.spec.folder import look, unknown_steps

MISTAKES_SHOWN = 3
"""Mistakes named in the finding; the others are counted."""


def files(loops_dir: Path, loop: str | None, registered: Collection[str]) -> Finding:
    """Read the folders of all loops, or of one. `registered`: the loops of the database."""
    folders = sorted(file.parent for file in loops_dir.glob("*/loop.yaml") if loop in (None, file.parent.name))
    known = {file.parent.name for file in loops_dir.glob("*/loop.yaml")} | set(registered)
    mistakes = []
    for folder in folders:
        spec, faults = look(folder, check)
        mistakes += faults if spec is None else unknown_steps(folder, known)
    if not mistakes:
        return good("files", f"{len(folders)} loop{'s' * (len(folders) != 1)} in {loops_dir}, without a mistake")
    more = f"; and {len(mistakes) - MISTAKES_SHOWN} more" if len(mistakes) > MISTAKES_SHOWN else ""
    return fault(
        "files",
        "; ".join(str(mistake) for mistake in mistakes[:MISTAKES_SHOWN]) + more,
        why="`labelloop migrate` refuses such a loop, which keeps its earlier registration, or has none",
        repair="labelloop spec check  # names every mistake; correct the files, then run `labelloop migrate`",
    )
