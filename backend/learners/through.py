"""Through: learners that see the items with the eyes of another one, and make something else of what they see."""

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

EYES: Mapping[str, type[Refit]] = {eyes.name: eyes for eyes in (Images, Tabular, Text, Vectors)}


class Through(Refit):
    """`reads` names the learner whose eyes are used; `eyes` is what that one takes."""

    def __init__(self, field: str, reads: str, eyes: Mapping[str, Any]) -> None:
        if reads not in EYES:
            raise SpecError(f"learner.params.reads: no {reads!r}; there are: {', '.join(sorted(EYES))}")
        self.eyes = construct(EYES[reads], {"field": field, **eyes})
        super().__init__(field)
        self.reads = reads

    @property
    def params(self) -> Mapping[str, Any]:
        return {**self.eyes.params, "reads": self.reads}

    def read(self, value: object) -> Any:
        return self.eyes.read(value)

    def see(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        return self.eyes.see(data)

    def numbers(self, features: Sequence[Any]) -> list[tuple[str, Any]]:
        return self.eyes.numbers(features)
