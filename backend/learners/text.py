"""Text: short documents by their words and characters (TF-IDF) and logistic regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline

from backend.learners.refit import Refit
from labelloop.features import read_text

MAX_FEATURES = 50_000


class Text(Refit):
    """Reads a string; words and pairs of words, and with `characters` also runs of 2 to 4 letters within a word.

    Characters cost about five times the time, and pay with few answers, with typing errors and with inflection.
    """

    name: ClassVar[str] = "text"
    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"characters": (True, False), "C": (1.0, 10.0, 100.0)}

    def __init__(self, field: str, characters: bool = True, C: float = 10.0) -> None:
        super().__init__(field)
        self.characters = characters
        self.C = C

    @property
    def params(self) -> Mapping[str, str | int | float | bool]:
        return {"field": self.field, "characters": self.characters, "C": self.C}

    def read(self, value: object) -> str:
        return read_text(value)

    def build(self, features: Sequence[Any], seed: int) -> Any:
        return Pipeline([("tfidf", tfidf(self.characters)), ("classify", LogisticRegression(C=self.C, max_iter=1000))])

    def teach(self, estimator: Any, features: Sequence[Any], codes: Any, weights: Sequence[float] | None) -> None:
        super().teach(estimator, features, codes, weights)
        for _, vectorizer in estimator.named_steps["tfidf"].transformer_list:
            # Where there are more than MAX_FEATURES, scikit-learn numbers them with numpy's integers, and skops makes a
            # file of each: minutes to store what is stored in a second.
            vectorizer.vocabulary_ = {term: int(column) for term, column in vectorizer.vocabulary_.items()}


def tfidf(characters: bool) -> FeatureUnion:
    """Sublinear term frequencies, so that a word that is said ten times does not weigh ten words."""
    words = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, max_features=MAX_FEATURES, token_pattern=r"(?u)\b\w+\b"
    )
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=MAX_FEATURES)
    return FeatureUnion([("words", words)] + ([("letters", letters)] if characters else []))
