"""Several labels: a JSON list of them, sorted: ["late","rude"].

Consensus: each label that more than half gave; agreement is the mean Jaccard index with each reviewer's labels. The
item score is the Jaccard index too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.reading import has, known, value_of
from labelloop.labeling.kinds.sets import given_by_most, jaccard
from labelloop.reading import strict_json


def write_labels(labels: Iterable[str]) -> str:
    return strict_json.dumps(sorted(set(labels)))


def read_labels(answer: object) -> list[str]:
    """Return the labels in the order of the text. Raises ValueError if it is not a list of texts; a list is used as it
    is.
    """
    wanted = 'must be a list of labels, such as ["a", "b"]'
    found = value_of(answer, wanted)
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError(wanted)
    return found


def canonical(control: ControlTag, answer: object) -> str:
    return write_labels(known(control, label) for label in read_labels(answer))


def nearest(control: ControlTag, answer: str) -> str:
    return write_labels(control.shown(label) for label in read_labels(answer) if has(control, label))


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    sets = [read_labels(answer) for answer in answers]
    labels = given_by_most(sets)
    return (None, 0.0) if labels is None else (write_labels(labels), sum(jaccard(labels, one) for one in sets))


def score(control: ControlTag, answer: str, predicted: str) -> float:
    """Return the Jaccard index of the two sets.

    So Godbole and Sarawagi 2004 ("Discriminative methods for multi-labeled classification", section 4) score
    multi-label classifiers.
    """
    return jaccard(read_labels(answer), read_labels(predicted))


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return {}


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return tuple(sorted(set(read_labels(answer))))


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    pass
