"""Learning again and again from a few more answers, fast: what does not depend on the answers is computed once."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from backend.learners import make
from console.simulate.labelled import EMBEDDINGS, Labelled
from labelloop.errors import UsageError

Codes = npt.NDArray[np.intp]
Proba = npt.NDArray[np.float64]


class Study(Protocol):
    """The set as a learner sees it."""

    features: Any
    """A row for each item of the set: a sparse matrix, or an array."""

    def learn(self, rows: Codes, seed: int) -> tuple[Codes, Proba]:
        """Taught these rows' labels: the classes among them, sorted, and probabilities of them for all items."""
        ...


def study(labelled: Labelled) -> Study:
    """Raises UsageError where the learner cannot read the items."""
    if labelled.embeddings is not None and labelled.learner == EMBEDDINGS:
        vectors = labelled.embeddings.astype(np.float64)
        # As if they had variance 1: else what the penalty means depends on the scale of somebody's model.
        variance = max(float(vectors[labelled.pool].var(axis=0).mean()), 1e-12)
        return Linear(vectors, labelled.codes, LogisticRegression(C=1 / variance, max_iter=1000))
    if labelled.learner not in ("images", "text"):
        raise UsageError(
            f"simulate learns from texts, pictures or --embeddings, not as the learner {labelled.learner!r}"
        )
    learner: Any = make(labelled.learner, {"field": labelled.field})
    values = []
    for i, item in enumerate(labelled.data):
        try:
            values.append(learner.read(item[labelled.field]))
        except ValueError as exc:
            raise UsageError(f"the {labelled.learner} learner cannot read row {i} of {labelled.name}: {exc}") from None
    if labelled.learner == "text":
        pipeline = learner.build([], 0)
        words = pipeline[:-1].fit([values[i] for i in labelled.pool])
        return Linear(words.transform(values), labelled.codes, pipeline[-1])
    return Whole(np.asarray(values), labelled.codes, learner)


class Linear:
    """Logistic regression on features of all the pool's items, answered or not.

    The loop's text learner counts its words in the answered texts alone, anew for each version; here they are counted
    once. That changes the weights of words a little, and makes a step some hundred times faster.
    """

    def __init__(self, features: Any, codes: Codes, classifier: Any) -> None:
        self.features = features
        self._codes = codes
        self._classifier = classifier

    def learn(self, rows: Codes, seed: int) -> tuple[Codes, Proba]:
        """The optimum lies in the span of the answered rows, so few rows are turned into as many coordinates.

        The answer is the same, within the solver's tolerance: turning changes neither inner products nor lengths.
        """
        taught = self.features[rows]
        model = clone(self._classifier)
        if len(rows) >= taught.shape[1] or len(rows) > 3000:
            return _fit(model, taught, self._codes[rows]).classes_, _proba(model.predict_proba(self.features))
        gram = taught @ taught.T
        gram = np.asarray(gram.toarray() if issparse(gram) else gram, dtype=np.float64)
        # Equal texts make it singular; so little on the diagonal changes no answer.
        gram[np.diag_indices(len(rows))] += 1e-9 * gram.diagonal().mean() + 1e-300
        root = cholesky(gram, lower=True)
        _fit(model, root, self._codes[rows])
        model.coef_ = np.asarray((taught.T @ solve_triangular(root, model.coef_.T, lower=True, trans="T")).T)
        model.n_features_in_ = taught.shape[1]
        return model.classes_, _proba(model.predict_proba(self.features))


class Whole:
    """The learner's whole pipeline, fitted from scratch as the loop does."""

    def __init__(self, features: npt.NDArray[np.float64], codes: Codes, learner: Any) -> None:
        self.features = features
        self._codes = codes
        self._learner = learner

    def learn(self, rows: Codes, seed: int) -> tuple[Codes, Proba]:
        model = _fit(self._learner.build(list(self.features[rows]), seed), self.features[rows], self._codes[rows])
        return model.classes_, _proba(model.predict_proba(self.features))


def _fit(model: Any, features: Any, codes: Codes) -> Any:
    with warnings.catch_warnings():
        # With a few answers of many classes it is no accident that each class has one.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return model.fit(features, codes)


def _proba(proba: Any) -> Proba:
    found: Proba = np.asarray(proba, dtype=np.float64)
    found /= found.sum(axis=1, keepdims=True)
    return found
