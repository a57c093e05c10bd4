"""Through: learners that use another learner as featurizer, and fit a model of their own to its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backend.learners.images import Images
from backend.learners.making import construct
from backend.learners.refit import Refit
from backend.learners.tabular import Tabular
from backend.learners.text import Text
from backend.learners.vectors import Vectors
from labelloop.errors import SpecError

FEATURIZERS: Mapping[str, type[Refit]] = {learner.name: learner for learner in (Images, Tabular, Text, Vectors)}


class Through(Refit):
    """`reads` names the learner that featurizes the items; `params` are the parameters of that learner."""

    def __init__(self, field: str, reads: str, params: Mapping[str, Any]) -> None:
        if reads not in FEATURIZERS:
            raise SpecError(f"learner.params.reads: no {reads!r}; there are: {', '.join(sorted(FEATURIZERS))}")
        self.featurizer = construct(FEATURIZERS[reads], {"field": field, **params})
        super().__init__(field)
        self.reads = reads

    @property
    def params(self) -> Mapping[str, Any]:
        return {**self.featurizer.params, "reads": self.reads}

    def read(self, value: object) -> Any:
        return self.featurizer.read(value)

    def featurize(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        return self.featurizer.featurize(data)

    def numbers(self, features: Sequence[Any]) -> list[tuple[str, Any]]:
        return self.featurizer.numbers(features)
