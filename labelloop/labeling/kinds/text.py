"""A text that people write, as it is: a transcription, a translation, a caption.

Consensus: the text that most gave; without one, the medoid, which is the text with the smallest sum of normalised edit
distances to the others. The item score is 1 - the character error rate, at least 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label


def canonical(control: ControlTag, answer: object) -> str:
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError("must be a text that is not empty")
    return answer.strip()


def nearest(control: ControlTag, answer: str) -> str:
    return canonical(control, answer)


agreed = label.agreed
score = label.score


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return {}


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return ()


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    pass
