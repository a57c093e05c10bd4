"""Select the tasks that people get next from the most useful outputs, so that no two of them are redundant."""

from __future__ import annotations

from labelloop.selection.select import DIVERSITY, MOST, Candidate, Pick, diverse, reach, select

__all__ = ["DIVERSITY", "MOST", "Candidate", "Pick", "diverse", "reach", "select"]
