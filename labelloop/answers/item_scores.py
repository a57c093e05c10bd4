"""Item scores: how correct an answer is against the agreed one, from 0 (incorrect) to 1 (the same). Pure.

Each file of labelloop/labeling/kinds defines the item score of its kind.
"""

from __future__ import annotations

from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag


def item_score(config: LabelingConfig, answer: str, predicted: str | None) -> float:
    """Return how correct `predicted` is if people agree on `answer`, both as tables hold them. It is 0 without a
    prediction.
    """
    if predicted is None:
        return 0.0
    if predicted == answer:
        return 1.0
    return item_score_of_control(config.answer, answer, predicted)


def item_score_of_control(control: ControlTag, answer: str, predicted: str) -> float:
    """Return the item score of an answer to this control; an answer that cannot be read is incorrect."""
    try:
        return kinds.of(control).score(control, answer, predicted)
    except ValueError:
        return 0.0
