"""Text: classifies short texts by their words and characters (TF-IDF) and logistic regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import FeatureUnion

from backend.learners import embedding
from backend.learners.refit import Refit
from labelloop.errors import SpecError
from labelloop.selection.features import read_text

MAX_FEATURES = 50_000
SMOOTHING = 0.3
"""Added to each count of complement naive Bayes (Rennie et al. 2003, section 3)."""


class Text(Refit):
    """Reads a string: words and pairs of words, and with `characters` also runs of 2 to 4 letters within a word.

    Characters take about five times as long, and help with few answers, typing errors and inflection.

    `embeddings`: folder of a model2vec model, whose vector of the text is used beside the words. The folder is not
    copied: a version keeps the model's SHA-256 and refuses any other.

    `model`: `logistic` regression, or complement naive `bayes`, which has no `C` and reads no embedding.
    """

    name: ClassVar[str] = "text"
    featurizer_params = ("characters", "embeddings", "embeddings_sha256")
    grid: ClassVar[Sequence[Mapping[str, Sequence[Any]]]] = (
        {"characters": (True, False), "C": (1.0, 10.0, 100.0)},
        {"characters": (True, False), "model": ("bayes",)},
    )

    def __init__(
        self,
        field: str,
        characters: bool = True,
        embeddings: str = "",
        embeddings_sha256: str = "",
        C: Annotated[float, Field(gt=0)] = 10.0,
        model: Literal["logistic", "bayes"] = "logistic",
    ) -> None:
        super().__init__(field)
        if model == "bayes" and embeddings:
            raise SpecError(
                "learner.params.model: naive Bayes counts words and reads no embeddings: leave out one of them, or "
                "choose the learner `auto`"
            )
        self.model = model
        self.characters = characters
        self.C = C
        self.embeddings = embeddings
        self.embeddings_sha256 = embedding.digest(embeddings, embeddings_sha256) if embeddings else ""

    @property
    def params(self) -> Mapping[str, Any]:
        more = {"embeddings": self.embeddings, "embeddings_sha256": self.embeddings_sha256} if self.embeddings else {}
        # Left out if logistic, so that versions keep the bytes that they have had.
        model = {} if self.model == "logistic" else {"model": self.model}
        return {"field": self.field, "characters": self.characters, "C": self.C, **more, **model}

    def read(self, value: object) -> str:
        return read_text(value)

    def numbers(self, features: Sequence[Any]) -> list[tuple[str, Any]]:
        parts = bag(self.characters)
        if self.embeddings:
            parts.append(("embedding", embedding.Embedding(self.embeddings, self.embeddings_sha256)))
        return [("tfidf", FeatureUnion(parts))]

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        if self.model == "bayes":
            return ComplementNB(alpha=SMOOTHING)
        return LogisticRegression(C=self.C, max_iter=1000, class_weight="balanced")


def bag(characters: bool) -> list[tuple[str, Any]]:
    """Return parts of a FeatureUnion: words, word pairs, and with `characters` runs of 2 to 4 letters within a word."""
    words = Tfidf(ngram_range=(1, 2), sublinear_tf=True, max_features=MAX_FEATURES, token_pattern=r"(?u)\b\w+\b")
    letters = Tfidf(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=MAX_FEATURES)
    return [("words", words), ("letters", letters)] if characters else [("words", words)]


class Tfidf(TfidfVectorizer):  # type: ignore[misc]
    """TF-IDF with plain integers as column numbers.

    With more than MAX_FEATURES terms, scikit-learn numbers them with numpy integers. skops writes a file for each of
    those, so storing would take minutes instead of a second.
    """

    def fit_transform(self, raw_documents: Any, y: Any = None) -> Any:
        counted = super().fit_transform(raw_documents, y)
        self.vocabulary_: dict[str, int] = {term: int(column) for term, column in self.vocabulary_.items()}
        return counted
