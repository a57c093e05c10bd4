"""Ten recipes for texts with few answers that an expert would try, and plain TF-IDF with logistic regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

Codes = npt.NDArray[np.int64]
PLAIN = "TF-IDF of words, logistic regression C 1"
NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Split:
    """Answered texts and test texts, in the numbers that the recipes read."""

    words: tuple[Any, Any]
    """TF-IDF of words and pairs of words, sparse: of the answered texts and of the test texts."""
    letters: tuple[Any, Any]
    """The same with runs of 2 to 4 letters within words."""
    plain: tuple[Any, Any]
    """TF-IDF of single words, with scikit-learn's defaults."""
    vectors: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
    """Sentence vectors of the default encoder, of unit length."""


def split_of(texts: list[str], test: list[str], vectors: Any, test_vectors: Any) -> Split:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    plain = TfidfVectorizer()
    one = words.fit_transform(texts), words.transform(test)
    more = letters.fit_transform(texts), letters.transform(test)
    both = sparse.hstack([one[0], more[0]], "csr"), sparse.hstack([one[1], more[1]], "csr")
    return Split(one, both, (plain.fit_transform(texts), plain.transform(test)), (vectors, test_vectors))


def _logistic(C: float, **more: Any) -> Any:
    return LogisticRegression(C=C, max_iter=1000, **more)


def _concatenated(split: Split) -> tuple[Any, Any]:
    first, second = (
        sparse.hstack([words, sparse.csr_array(vectors)], "csr")
        for words, vectors in zip(split.letters, split.vectors, strict=True)
    )
    return first, second


RECIPES: Mapping[str, tuple[Callable[[Split], tuple[Any, Any]], Callable[[int], Any]]] = {
    "TF-IDF of words and letters, logistic regression C 10": (lambda s: s.letters, lambda n: _logistic(10)),
    "TF-IDF of words and letters, linear SVM C 1": (lambda s: s.letters, lambda n: LinearSVC(C=1)),
    "TF-IDF of words, complement naive Bayes": (lambda s: s.words, lambda n: ComplementNB(alpha=0.3)),
    "vectors, logistic regression C 1": (lambda s: s.vectors, lambda n: _logistic(1)),
    "vectors, logistic regression C 10": (lambda s: s.vectors, lambda n: _logistic(10)),
    "vectors, logistic regression C 100": (lambda s: s.vectors, lambda n: _logistic(100)),
    "vectors, logistic regression C 10, labels balanced": (
        lambda s: s.vectors,
        lambda n: _logistic(10, class_weight="balanced"),
    ),
    "vectors, 10 nearest neighbours": (
        lambda s: s.vectors,
        lambda n: KNeighborsClassifier(min(NEIGHBOURS, n), weights="distance", metric="cosine"),
    ),
    "vectors, linear discriminant with shrinkage": (
        lambda s: s.vectors,
        lambda n: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    ),
    "words, letters and vectors, logistic regression C 10": (_concatenated, lambda n: _logistic(10)),
}
"""The ten, each with the numbers that it reads and the model for n answers."""


def predicted(split: Split, answers: Codes) -> dict[str, Codes]:
    """Return the labels that each recipe predicts for the test texts; `answers` are codes of at least two labels."""
    every = {**RECIPES, PLAIN: (lambda s: s.plain, lambda n: _logistic(1))}
    found = {}
    for name, (numbers, model) in every.items():
        training, test = numbers(split)
        found[name] = model(len(answers)).fit(training, answers).predict(test)
    return found
