"""Disagreements: the held-out items that champion and challenger of a run predict differently, by the kind's own rule.

It is the rule of the verdict: two predictions are the same, and a prediction is correct, if the item score is 1. Boxes
that overlap enough are the same, though their numbers differ.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from backend.report.brief import brief
from backend.report.shown import excerpts, task_url
from labelloop.answers.item_scores import item_score
from labelloop.labeling.config import LabelingConfig
from labelloop.store.database import Conn
from labelloop.store.questions import runs as questions
from labelloop.store.questions.runs import PredictedItem, ShownItem

Report = dict[str, Any]


class _Scored(NamedTuple):
    item: PredictedItem
    champion: float
    """Item score of the champion's prediction, 0 to 1."""
    challenger: float

    @property
    def place(self) -> tuple[bool, bool, float, str]:
        """Sort key: where the champion is better, then where the challenger is, each with the largest lead first."""
        lead = self.champion - self.challenger
        return lead <= 0, lead == 0, -abs(lead), self.item.key

    @property
    def correct(self) -> str | None:
        """Return the correct model: champion, challenger or both; None if neither is."""
        names = {(True, True): "both", (True, False): "champion", (False, True): "challenger"}
        return names.get((self.champion == 1, self.challenger == 1))


def disagreements(conn: Conn, run_id: UUID, config: LabelingConfig, most: int, label_studio_url: str) -> Report:
    """Return {"total", "items"} of the items on which the models disagree.

    At most `most` items, those on which the champion is better first. Each has "champion_score" and "challenger_score",
    the item scores (0 to 1), and "right": the correct model, "both", or None for neither.
    """
    found = [_scored(config, item) for item in questions.predicted(conn, run_id) if not _same(config, item)]
    found.sort(key=lambda scored: scored.place)
    shown = questions.shown_items(conn, [scored.item.output_id for scored in found[:most]])
    return {
        "total": len(found),
        "items": [_as_json(config, scored, shown[scored.item.output_id], label_studio_url) for scored in found[:most]],
    }


def _scored(config: LabelingConfig, item: PredictedItem) -> _Scored:
    said = item.champion_label, item.challenger_label
    return _Scored(item, *(item_score(config, item.label, label) for label in said))


def _same(config: LabelingConfig, item: PredictedItem) -> bool:
    return same(config, item.champion_label, item.challenger_label)


def same(config: LabelingConfig, one: str | None, other: str | None) -> bool:
    """Return whether two predictions are the same by the rule of their kind. None is no prediction."""
    return one == other or (one is not None and item_score(config, one, other) == 1)


def _as_json(config: LabelingConfig, scored: _Scored, shown: ShownItem, label_studio_url: str) -> Report:
    item = scored.item
    texts = {"answer": item.label, "champion_label": item.champion_label, "challenger_label": item.challenger_label}
    return {
        "key": item.key,
        **texts,
        "brief": {name: brief(config.answer, text) for name, text in texts.items()},
        "champion_confidence": item.champion_confidence,
        "challenger_confidence": item.challenger_confidence,
        "champion_score": scored.champion,
        "challenger_score": scored.challenger,
        "right": scored.correct,
        "task": task_url(label_studio_url or shown.label_studio_url, shown.project_id, shown.label_studio_id),
        "data": excerpts(shown.data),
    }
