"""ModelVersion: one fitted learner and its stage. Its id is the SHA-256 of its file, so it can never change."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NewType

from labelloop.errors import UsageError

VersionId = NewType("VersionId", str)
"""Id of a version: 64 hexadecimal digits."""
PIPELINE = "pipeline"
"""Name of the pipeline's own outputs in place of a version: they serve before the first promotion."""


class Stage(StrEnum):
    CHALLENGER = "challenger"
    """Trained, but not yet judged by the gate."""
    CHAMPION = "champion"
    """Serves predictions; one for each loop."""
    REFUSED = "refused"
    RETIRED = "retired"
    """A former champion."""


def short(version_id: str | None) -> str:
    """Return the name that people and Label Studio see: 12 digits, or `pipeline`."""
    return PIPELINE if version_id is None else version_id[:12]


def find(prefix: str, ids: Sequence[str]) -> VersionId:
    """Return the one id with this prefix. Raises UsageError if there is none, or more than one."""
    found = [version_id for version_id in ids if prefix and version_id.startswith(prefix.lower())]
    if len(found) == 1:
        return VersionId(found[0])
    if found:
        raise UsageError(f"{prefix!r} matches {len(found)} versions: {', '.join(map(short, found))}; give more digits")
    known = ", ".join(map(short, ids[:5])) or "none yet"
    raise UsageError(f"no version begins with {prefix!r}; the newest are: {known}")


def shown_version(champion_id: str | None, ranker_id: str | None) -> str:
    """Return the name of Label Studio's predictions: the version that labels them, and the one that ranks them if
    different.
    """
    if ranker_id is None or ranker_id == champion_id:
        return short(champion_id)
    return f"{short(champion_id)}+{ranker_id[:8]}"


def previous(history: Sequence[str | None]) -> str | None:
    """Return the champion before today's; None means the pipeline's own outputs.

    `history` holds every champion, oldest first, including roll-backs. Rolling back to a version forgets those after
    it, so repeated roll-backs lead further back. Raises UsageError if there is no earlier champion.
    """
    line: list[str | None] = [None]
    for version_id in history:
        if version_id in line:
            del line[line.index(version_id) + 1 :]
        else:
            line.append(version_id)
    if len(line) < 2:
        raise UsageError("the pipeline's own outputs serve: there is nothing to go back to")
    return line[-2]
