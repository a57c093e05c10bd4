"""Which of the most useful outputs people get next, so that no two of them teach the same."""

from __future__ import annotations

from labelloop.selection.select import DIVERSITY, MOST, Candidate, Pick, diverse, reach, select

__all__ = ["DIVERSITY", "MOST", "Candidate", "Pick", "diverse", "reach", "select"]
