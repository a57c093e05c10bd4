"""Auto: classifies texts by their words, their sentence vectors or both. A run chooses what fits the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import normalize

from backend.encode import encoder
from backend.encode.items import vectors_of
from backend.learners.reading import read_field
from backend.learners.refit import Refit, weighing
from backend.learners.text import SMOOTHING, bag
from backend.learners.texts.prior import prior
from backend.learners.texts.sentences import checked_id
from labelloop.errors import Failed
from labelloop.selection.features import read_text

WORD = re.compile(r"\w")
Recipe = Literal["", "both", "sentences", "words", "bayes"]
CANDIDATES: Sequence[Mapping[str, Any]] = (
    {"recipe": "both", "C": 0.3, "words": 0.5},
    {"recipe": "both", "C": 0.1, "words": 0.5},
    {"recipe": "both", "C": 1.0, "words": 0.5},
    {"recipe": "both", "C": 3.0, "words": 0.5},
    {"recipe": "both", "C": 10.0, "words": 0.5},
    {"recipe": "both", "C": 10.0, "words": 1.4},
    {"recipe": "sentences", "C": 1.0},
    {"recipe": "sentences", "C": 3.0},
    {"recipe": "sentences", "C": 10.0},
    {"recipe": "words", "C": 10.0},
    {"recipe": "bayes"},
)
"""Settings that a run tries. The first holds back from mistakes, and is replaced only by one that is clearly better."""


class Auto(Refit):
    """Reads a string. Without a search it uses `both` with C 1.

    `recipe`: `words` is logistic regression on words and letters, as in the learner `text`. `bayes` is complement naive
    Bayes on them. `sentences` is logistic regression on sentence vectors, and `both` on words beside vectors. `words`:
    length of the words' part where that of the vector is 1.

    Logistic regression treats all labels as equally frequent. Its scores are multiplied by `sharpness`, and the
    logarithm of each label's share is added, times `shares` (0 to 1). Frequent labels are then predicted more often:
    more accurate where few labels dominate and answers contain mistakes.
    """

    name: ClassVar[str] = "auto"

    def __init__(
        self,
        field: str,
        encoder: str = "",
        encoder_id: str = "",
        recipe: Recipe = "",
        C: Annotated[float, Field(gt=0)] = 1.0,
        words: Annotated[float, Field(gt=0)] = 0.5,
        sharpness: Annotated[float, Field(gt=0)] = 1.0,
        shares: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        super().__init__(field)
        self.encoder, self.encoder_id = encoder, checked_id(encoder, encoder_id)
        self.recipe, self.C, self.words = recipe, C, words
        self.sharpness, self.shares = sharpness, shares

    @property
    def params(self) -> Mapping[str, Any]:
        names = ("field", "encoder", "encoder_id", "recipe", "C", "words", "sharpness", "shares")
        return {name: getattr(self, name) for name in names}

    def read(self, value: object) -> str:
        return read_text(value)

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        read_field(data, self.field, read_text)

    def featurize(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        """Return a pair for each item: its text, and its vector where the recipe reads one."""
        texts = read_field(data, self.field, read_text)
        if self.recipe in ("words", "bayes"):
            return [(text, None) for text in texts]
        return list(zip(texts, vectors_of(data, self.field, encoder(self.encoder)), strict=True))

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        return classifier(self.recipe or "both", self.C)

    def learn(self, features: Sequence[Any], codes: Any, seed: int, weights: Sequence[float] | None) -> Any:
        words = None if self.recipe == "sentences" else words_of([text for text, _ in features])[0]
        model = self.classifier(features, seed)
        numbers = self._numbers(words, features)
        model.fit(numbers, codes, **weighing(model, weights))
        if isinstance(model, LogisticRegression):
            shift(model, self.sharpness, self.shares * prior(np.bincount(codes)))
        return {"words": words, "model": model}

    def predict_proba(self, data: Sequence[Mapping[str, object]]) -> npt.NDArray[np.float64]:
        if not data:
            return np.empty((0, len(self.classes)))
        numbers = self._numbers(self.estimator["words"], self.featurize(data))
        proba = np.array(self.estimator["model"].predict_proba(numbers), dtype=np.float64)
        proba /= proba.sum(axis=1, keepdims=True)
        return proba

    def _numbers(self, words: FeatureUnion | None, features: Sequence[Any]) -> Any:
        """Return the input of the model: the words' part, the vector, or one beside the other."""
        if words is None:
            return np.asarray([vector for _, vector in features], dtype=np.float64)
        counted = normalize(words.transform([text for text, _ in features]))
        if self.recipe in ("words", "bayes"):
            return counted
        return beside(counted, np.asarray([vector for _, vector in features]), self.words)


def classifier(recipe: str, C: float) -> Any:
    """Return the unfitted model of a recipe."""
    if recipe == "bayes":
        return ComplementNB(alpha=SMOOTHING)
    return LogisticRegression(C=C, max_iter=1000, class_weight="balanced")


def words_of(texts: Sequence[str]) -> tuple[FeatureUnion, Any]:
    """Return the vectorizers, fitted to the texts, and the texts as rows of unit length. Raises Failed without words.

    They use no answers, so cross-validation may use those of all its texts.
    """
    if not any(WORD.search(text) for text in texts):
        raise Failed(f"none of the {len(texts)} texts has a letter or a digit: there is nothing to learn from")
    found = FeatureUnion(bag(characters=True))
    return found, normalize(found.fit_transform(texts))


def beside(words: Any, vectors: npt.NDArray[np.float32], weight: float) -> Any:
    """Return one sparse array: the words' part at this length, and the vectors."""
    return sparse.hstack([words * weight, sparse.csr_array(vectors.astype(np.float64))], format="csr")


def shift(model: LogisticRegression, times: float, by: npt.NDArray[np.float64]) -> None:
    """Multiply the scores of a fitted model, and add a number to that of each label. In place."""
    model.coef_ = model.coef_ * times
    model.intercept_ = model.intercept_ * times + (by[1:] - by[:1] if len(by) == 2 else by)
