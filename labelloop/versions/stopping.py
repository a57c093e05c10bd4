"""Stopping criteria of the field: signs in the predictions of consecutive versions that more answers change little.

The four are those of small-text 1.4, with its thresholds. None of them looks at an answer, so none of them knows
whether the model is good. A model that has stopped learning looks the same as one that has nothing more to learn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WINDOW = 3
"""Number of newest steps from version to version over which kappa and the change of F are averaged."""
KAPPA = 0.99
CHANGE_OF_F = 0.05
UNCERTAINTY = 0.05
FEWEST = 30
"""Items below which a criterion says nothing: of a few items none may change by luck."""
UNCERTAIN = "mean uncertainty of waiting outputs"
Step = Sequence[tuple[str | None, str | None]]
"""Labels of the same items by a version and by the next one; None where a version predicts nothing."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion, as it stands now."""

    name: str
    value: float | None
    """None if it cannot be computed."""
    threshold: float
    above: bool
    """True: it says stop at or above its threshold. False: at or below."""
    items: int
    """Number of items that it looked at; with a window, the fewest of a step."""
    versions: int
    """Number of versions that it needs."""
    source: str

    @property
    def stops(self) -> bool | None:
        """Whether it says stop; None if it cannot say anything."""
        if self.value is None:
            return None
        return self.value >= self.threshold if self.above else self.value <= self.threshold


def criteria(steps: Sequence[Step], uncertainty: float | None, waiting: int) -> list[Criterion]:
    """Return the four criteria.

    `steps`: from each version to the next, oldest first, on items that both predicted. `uncertainty`: the mean of the
    waiting outputs' utilities by the newest version, 0 to 1; None if no version has ranked them. `waiting`: how many
    outputs that are.
    """
    last = steps[-WINDOW:]
    fewest = min((len(step) for step in last), default=0)
    whole = len(last) == WINDOW and fewest >= FEWEST
    newest = len(steps[-1]) if steps else 0
    changed = np.mean([one != other for one, other in steps[-1]]) if newest >= FEWEST else None
    return [
        Criterion(
            "agreement of versions (kappa)",
            float(np.mean([kappa(step) for step in last])) if whole else None,
            KAPPA, True, fewest, WINDOW + 1, "Bloodgood and Vijay-Shanker 2009",
        ),
        Criterion(
            "predicted change of F",
            float(np.mean([change_of_f(step) for step in last])) if whole else None,
            CHANGE_OF_F, False, fewest, WINDOW + 1, "Altschuler and Bloodgood 2019",
        ),
        Criterion(
            "changed labels",
            None if changed is None else float(changed),
            0.0, False, newest, 2, "Zhu, Wang and Hovy 2008",
        ),
        Criterion(
            UNCERTAIN,
            uncertainty if waiting >= FEWEST else None,
            UNCERTAINTY, False, waiting, 1, "Zhu, Wang and Hovy 2008",
        ),
    ]  # fmt: skip


def kappa(step: Step) -> float:
    """Return Cohen's kappa of two versions' labels: agreement beyond that of two models that only know the shares.

    It is 1 if all labels agree, also if there is only one label.
    """
    n = len(step)
    agreed = sum(one == other for one, other in step) / n
    if agreed == 1:
        return 1.0
    left, right = Counter(one for one, _ in step), Counter(other for _, other in step)
    by_chance = sum(count * right[label] for label, count in left.items()) / n**2
    return (agreed - by_chance) / (1 - by_chance)


def change_of_f(step: Step) -> float:
    """Return by how much F will differ between the two versions, estimated from their labels alone.

    With two labels it is 1 - 2 both / (2 both + one side only), for the rarer label. With more labels it is the mean
    over the labels, where the source knows only two.
    """
    left, right = Counter(one for one, _ in step), Counter(other for _, other in step)
    both = Counter(one for one, other in step if one == other)
    labels = sorted({*left, *right}, key=lambda label: (left[label] + right[label], str(label)))
    if len(labels) == 2:
        labels = labels[:1]
    each = [1 - 2 * both[label] / (left[label] + right[label]) for label in labels]
    return float(np.mean(each))
