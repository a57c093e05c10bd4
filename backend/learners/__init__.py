"""Learners: models that can be fitted to people's answers. A new one is a file here and a line in LEARNERS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from backend.learners.committee import Committee
from backend.learners.estimator import Estimator
from backend.learners.hosted import Hosted
from backend.learners.images import Images
from backend.learners.incremental import Incremental
from backend.learners.making import construct
from backend.learners.multilabel import Multilabel
from backend.learners.numbers import Numbers
from backend.learners.remote import Remote
from backend.learners.said import Said
from backend.learners.spans import Spans
from backend.learners.tabular import Tabular
from backend.learners.text import Text
from backend.learners.vectors import Vectors
from labelloop.errors import SpecError


class Learner(Protocol):
    """A model that can be fitted to people's answers."""

    name: ClassVar[str]
    """Its name in LEARNERS, and in loop.yaml."""
    classes: tuple[str, ...]
    """The labels that it was taught, sorted; empty before `fit`."""
    estimator: Any
    """What was learned, as a scikit-learn object: the part that skops stores."""

    @property
    def params(self) -> Mapping[str, Any]:
        """What the constructor takes to make the like of this again; plain JSON."""
        ...

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        """Raises Unreadable, naming all the items that cannot be read; nothing is fitted."""
        ...

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        """Learn from scratch; the same data in the same order and the same state of `rng` give the same model.

        `labels` as answers have them. `weights`: how much each answer counts, 0 < w <= 1; all alike where None.
        Raises Unreadable where items cannot be read, Failed where there is nothing to tell apart.
        """
        ...

    def say(self, data: Sequence[Mapping[str, object]]) -> Said:
        """What it says of each item. Raises Unreadable where items cannot be read."""
        ...


LEARNERS: Mapping[str, type[Learner]] = {
    learner.name: learner
    for learner in (
        *(Committee, Estimator, Images, Incremental, Tabular, Text, Vectors),
        *(Multilabel, Numbers, Spans),
        *(Hosted, Remote),
    )
}
OF_OTHERS = frozenset({Hosted.name, Remote.name})
"""Those that are told the form: `label_config`."""


def make(name: str, params: Mapping[str, Any]) -> Learner:
    """A learner that knows nothing yet; a name with a dot is the import path of a scikit-learn classifier.

    Raises SpecError for an unknown name and for parameters that it does not take, SettingsError where something that
    they ask for is not there.
    """
    if "." in name:
        name, params = Estimator.name, {**params, "path": name}
    try:
        learner = LEARNERS[name]
    except KeyError:
        there = f"{', '.join(sorted(LEARNERS))}, and scikit-learn's classifiers by import path, such as sklearn.svm.SVC"
        raise SpecError(f"no learner {name!r}; there are: {there}") from None
    return construct(learner, params)
