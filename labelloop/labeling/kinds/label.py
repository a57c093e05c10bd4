"""One label, written as itself; also a text in a control named `label` or `correction`.

Consensus: the label that most gave, none if the top labels were given equally often. Its agreement is the share of the
reviewers that gave it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.reading import known


def canonical(control: ControlTag, answer: object) -> str:
    if not isinstance(answer, str):
        raise ValueError("must be a text")
    return known(control, answer)


def nearest(control: ControlTag, answer: str) -> str:
    return canonical(control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    counts = Counter(answers).most_common(2)
    tie = len(counts) == 2 and counts[0][1] == counts[1][1]
    return (None, 0.0) if tie else counts[0]


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return float(answer == predicted)


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return {}


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return (answer,)


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    pass
