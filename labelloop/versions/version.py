"""ModelVersion: one fitted learner and its stage. Its id is the SHA-256 of its file, so it can never change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

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


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A row of model_versions."""

    id: VersionId
    loop: str
    stage: Stage
    learner: str
    classes: Sequence[str]
    """The labels that it knows, in the order of its probabilities."""
    size_bytes: int
    trained_on: int
    """Number of answers that it was trained on."""
    accepted: int
    """Number of accepted outputs that it was trained on beside them."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Champion(ModelVersion):
    """The version that serves predictions, with the promotion that made it champion."""

    epoch: int
    by: str
    why: str
    promoted_at: datetime


@dataclass(frozen=True, slots=True)
class JudgedVersion(ModelVersion):
    """A version with the run that judged it last and the last decision about it; None where there was none."""

    run_id: UUID | None
    scores: Mapping[str, Any] | None
    """The evaluation on the hold-out set."""
    reasons: Sequence[str] | None
    judged_against: str | None
    """The champion of that run; None means the pipeline's own outputs."""
    by: str | None
    why: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Promotion:
    """A change of champion, a row of promotions. None stands for the pipeline's own outputs."""

    loop: str
    epoch: int
    """Counts the changes of champion of the loop, from 1."""
    version_id: VersionId | None
    previous_id: VersionId | None
    by: str
    why: str
    at: datetime


def short(version_id: str | None) -> str:
    """Return the name that people and Label Studio see: 12 digits, or `pipeline`."""
    return PIPELINE if version_id is None else version_id[:12]


@dataclass(frozen=True, slots=True)
class VersionPair:
    """The version that labels outputs and the version that ranks them, each by its short name."""

    champion: str
    """Labels; `pipeline` while the pipeline's own outputs do."""
    ranker: str
    """Ranks; equal to `champion` where no other version does."""

    @classmethod
    def of(cls, champion_id: str | None, ranker_id: str | None) -> VersionPair:
        """Return the pair of these ids; None stands for the pipeline's own outputs, and for no ranker."""
        return cls(short(champion_id), short(champion_id if ranker_id is None else ranker_id))

    @property
    def name(self) -> str:
        """The name of the pair in Label Studio, as the `model_version` of its predictions."""
        return self.champion if self.ranker == self.champion else f"{self.champion}+{self.ranker[:8]}"


def find(prefix: str, ids: Sequence[str]) -> VersionId:
    """Return the one id with this prefix. Raises UsageError if there is none, or more than one."""
    found = [version_id for version_id in ids if prefix and version_id.startswith(prefix.lower())]
    if len(found) == 1:
        return VersionId(found[0])
    if found:
        raise UsageError(f"{prefix!r} matches {len(found)} versions: {', '.join(map(short, found))}; give more digits")
    known = ", ".join(map(short, ids[:5])) or "none yet"
    raise UsageError(f"no version begins with {prefix!r}; the newest are: {known}")


def previous(history: Sequence[str | None]) -> str | None:
    """Return the champion before today's; None means the pipeline's own outputs.

    `history` holds every champion, oldest first, including roll-backs. Rolling back to a version forgets those after
    it, so repeated roll-backs lead further back. Raises UsageError if there is no earlier champion.
    """
    line = _line(history)
    if len(line) < 2:
        raise UsageError("the pipeline's own outputs serve: there is nothing to go back to")
    return line[-2]


def left_by_going_back(history: Sequence[str | None], target: str | None) -> list[str]:
    """Return the champions that a return to `target` leaves, oldest first: today's, and those between the two.

    `history` as in `previous`. The list is empty if `target` is not an earlier champion of the line that leads to
    today's, because then it is a step forward.
    """
    line = _line(history)
    return [version for version in line[line.index(target) + 1 :] if version] if target in line else []


def _line(history: Sequence[str | None]) -> list[str | None]:
    """Return the champions that lead to today's, beginning with None for the pipeline's own outputs."""
    line: list[str | None] = [None]
    for version_id in history:
        if version_id in line:
            del line[line.index(version_id) + 1 :]
        else:
            line.append(version_id)
    return line
