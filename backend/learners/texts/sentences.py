"""Sentences: classifies texts by their sentence vectors, with logistic regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from backend.encode import encoder
from backend.encode.items import vectors_of
from backend.learners.reading import read_field
from backend.learners.refit import Refit
from labelloop.errors import Failed, SettingsError
from labelloop.selection.features import read_text


class Sentences(Refit):
    """Reads a string, by the sentence model that `encoder` names; "" is the default.

    The model is not part of a version. A version keeps the model's id and refuses vectors of any other model.
    """

    name: ClassVar[str] = "sentences"
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"C": (1.0, 10.0, 100.0)}

    def __init__(
        self, field: str, encoder: str = "", encoder_id: str = "", C: Annotated[float, Field(gt=0)] = 3.0
    ) -> None:
        super().__init__(field)
        self.encoder, self.encoder_id = encoder, checked_id(encoder, encoder_id)
        self.C = C

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field, "encoder": self.encoder, "encoder_id": self.encoder_id, "C": self.C}

    def read(self, value: object) -> str:
        return read_text(value)

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        read_field(data, self.field, read_text)

    def featurize(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        return list(vectors_of(data, self.field, encoder(self.encoder)).astype(np.float64))

    def learn(self, features: Sequence[Any], codes: Any, seed: int, weights: Sequence[float] | None) -> Any:
        if not np.any(features):
            raise Failed(
                f"the sentence model {self.encoder_id} knows no word of the {len(features)} texts: the learner `text` "
                "reads any language"
            )
        return super().learn(features, codes, seed, weights)

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        return LogisticRegression(C=self.C, max_iter=1000, class_weight="balanced")


def checked_id(name: str, expected: str) -> str:
    """Return the id of the encoder with this name. Raises SettingsError if it is unusable or not `expected`."""
    try:
        found = encoder(name).id
    except SettingsError as exc:
        raise SettingsError(f"learner.params.encoder: {exc}") from None
    if expected not in ("", found):
        raise SettingsError(
            f"learner.params.encoder: the sentence model here is {found}, and the version was trained with {expected}"
        )
    return found
