"""Measures: what each kind of answer reports beside the item score, over many items; and its score in words. Pure.

Each file of labelloop/labeling/kinds defines the measures of one item: mean IoU of regions, character and word error
rate of texts, Kendall's tau of orders. Several controls have those of each, as `control.measure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind

_WORDS = {
    "mean_iou": "Mean IoU",
    "cer": "Character error rate (CER)",
    "wer": "Word error rate (WER)",
    "tau": "Kendall's tau",
    "same_bucket": "Items in the same bucket",
}
_SHARES = ("mean_iou", "cer", "wer", "same_bucket")
"""Measures that are shown in percent."""
_SCORES = {
    Kind.LABEL: "1 for the same label, else 0",
    Kind.LABELS: "the Jaccard index of the labels",
    Kind.SPANS: "F1 of the spans that are exactly the same",
    Kind.NUMBER: "1 - difference / range",
    Kind.TEXT: "1 - character error rate",
    Kind.ORDER: "the share of the pairs of items that are in the same order, which is (Kendall's tau + 1) / 2",
    Kind.DATE: "1 for the same date and time, else 0",
    Kind.REGIONS: "F1 of the regions with the same label and an IoU of at least 0.5",
    Kind.SEGMENTS: "F1 of the segments with the same label and an IoU of at least 0.5",
    Kind.MARKS: "F1 of the spans with the same label and an IoU of at least 0.5",
    Kind.TRACKS: "F1 of the tracks with the same label and an IoU of at least 0.5",
    Kind.RELATIONS: "F1 of the relations that are the same",
    Kind.OTHER: "1 for exactly the same answer, else 0",
}


_WHOLE = (Kind.LABEL, Kind.DATE, Kind.OTHER)
"""Kinds whose item score is 0 or 1, so that its mean is the accuracy."""


def metric_of(control: ControlTag) -> str:
    """Return "accuracy" if an answer to this control is correct or incorrect, else "score" for the mean item score."""
    return "accuracy" if control.kind in _WHOLE else "score"


def score_words(control: ControlTag) -> str:
    """Return in words what the item score of an answer to this control is."""
    if control.parts:
        each = "; ".join(f"{part.name}: {score_words(part)}" for part in control.parts)
        return f"the mean over the controls that one of the two answers has ({each})"
    if control.kind is Kind.ORDER and control.buckets:
        return "F1 of which item is in which bucket, and which of two comes first in it"
    return _SCORES.get(control.kind, _SCORES[Kind.OTHER])


def measured(config: LabelingConfig, pairs: Iterable[tuple[str, str | None]]) -> dict[str, dict[str, Any]]:
    """Return {"value", "items"} of each measure over (answer, predicted) pairs; {} if the kind has no measures.

    "items" is the number of items that have the measure. An item without a prediction, or with one that cannot be read,
    has none. The value is the mean over the items; an error rate counts each item with its length, so that it is all
    edits divided by all characters or words.
    """
    sums: dict[str, list[float]] = {}
    module = kinds.of(config.answer)
    weights_of = getattr(module, "weights", None)
    for answer, predicted in pairs:
        if predicted is None:
            continue
        try:
            found = module.measures(config.answer, answer, predicted)
            weights: Mapping[str, float] = {} if weights_of is None else weights_of(config.answer, answer)
        except ValueError:
            continue
        for name, value in found.items():
            kept, weight = sums.setdefault(name, [0.0, 0.0, 0]), weights.get(name, 1.0)
            kept[0] += weight * value
            kept[1] += weight
            kept[2] += 1
    return {name: {"value": total / weight, "items": int(n)} for name, (total, weight, n) in sums.items() if weight}


def measure_words(name: str) -> str:
    """Return a measure's name as people read it: "Mean IoU", or "boxes: mean IoU" for one of several controls."""
    control, dot, measure = name.rpartition(".")
    if dot:
        return f"{control}: {_WORDS.get(measure, measure)}"
    return _WORDS.get(name, f"{name}: item score")


def value_words(name: str, value: float) -> str:
    """Return the value as people read it: 12.3 % for a share, 0.871 for a tau."""
    measure = name.rpartition(".")[2]
    return f"{value:.3f}" if measure in _WORDS and measure not in _SHARES else f"{100 * value:.1f} %"


def rows(found: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return one row for each measure of an evaluation: {"name", "champion", "challenger"}.

    Each is written as people read it, with the number of items, or as "not measured".
    """
    sides = {side: (found or {}).get(side) or {} for side in ("champion", "challenger")}
    names = sorted({name for measures in sides.values() for name in measures})

    def words(name: str, measures: Mapping[str, Any]) -> str:
        one = measures.get(name)
        if one is None:
            return "not measured"
        return f"{value_words(name, one['value'])} ({one['items']} item{'' if one['items'] == 1 else 's'})"

    return [
        {"name": measure_words(name)} | {side: words(name, measures) for side, measures in sides.items()}
        for name in names
    ]
