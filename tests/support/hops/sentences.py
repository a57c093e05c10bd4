"""A loop of texts whose learner reads sentence vectors, and encoders that say what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backend.encode import encoder
from labelloop.selection.vectors import Vectors
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import LearnerSpec
from tests.support.backend_factory import texts_spec


def sentences_spec(name: str = "", **changes: Any) -> LoopSpec:
    return texts_spec(learner=LearnerSpec(name="sentences", params={"encoder": name} if name else {}), **changes)


class Asked:
    """Computes vectors in this process and remembers the texts."""

    def __init__(self, before: Callable[[Sequence[str]], object] = lambda texts: None) -> None:
        self.texts: list[str] = []
        self._before = before

    def __call__(self, name: str) -> Callable[[Sequence[str]], Vectors]:
        def encode(texts: Sequence[str]) -> Vectors:
            self._before(texts)
            self.texts += texts
            return encoder(name).encode(texts)

        return encode
