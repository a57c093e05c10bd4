"""The prelabel that a task shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labelloop.labeling import results
from labelloop.spec.loop import LoopSpec
from labelloop.strategies.single import two_highest
from labelloop.versions.version import PIPELINE


@dataclass(frozen=True, slots=True)
class Prelabelled:
    """The label that an output is shown with, and what its pipeline sent."""

    label: str | None
    """The champion's label, or the pipeline's while `champion` is `pipeline`."""
    champion: str
    margin: float | None
    """Probability of `label` less that of the next likeliest; None if the version gives no probabilities."""
    output_label: str | None
    """The pipeline's label."""
    result: Sequence[Any] | None
    """Label Studio's own result, if the pipeline sent one."""
    probabilities: Mapping[str, float] | None
    blind: bool = field(default=False, kw_only=True)
    """Whether its task shows no prelabel (queue/blind.py)."""


def prelabel_result(spec: LoopSpec, shown: Prelabelled, data: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the prelabel as Label Studio's result: the pipeline's own result as long as the label is the pipeline's.

    It is empty if the task is blind, or if the margin is below the loop's `prelabel.min_margin`: people then begin with
    an empty form. With a `min_margin` of 1 it is always empty, also for a model that is sure or gives no probabilities.
    `data` are those of the item, which marks in dialogues need.
    """
    if shown.blind or spec.prelabel.min_margin == 1:
        return []
    margin = shown.margin
    if shown.champion == PIPELINE and shown.probabilities:
        first, second = two_highest(shown.probabilities.values())
        margin = first - second
    if margin is not None and margin < spec.prelabel.min_margin - 1e-9:  # 0.6 - 0.5 is a little less than 0.1
        return []
    if shown.result is not None and shown.label == shown.output_label:
        return results.imported(spec.config, list(shown.result))
    return results.preselect(spec.config, shown.label, shown.output_label, data)
