"""Fast repeated training on a growing set of answers: features that do not depend on answers are computed once."""

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
    """A learner with the features of a labelled set."""

    features: Any
    """One row per item of the set: a sparse matrix or an array."""

    def learn(self, rows: Codes, seed: int) -> tuple[Codes, Proba]:
        """Train on these rows. Return their classes, sorted, and the probabilities of these classes for all items."""
        ...


def study(labelled: Labelled) -> Study:
    """Return the study of this set's learner. Raises UsageError if the learner cannot read the items."""
    if labelled.embeddings is not None and labelled.learner == EMBEDDINGS:
        vectors = labelled.embeddings.astype(np.float64)
        # As if the variance were 1; otherwise the effect of the penalty depends on the scale of the embedding model.
        variance = max(float(vectors[labelled.pool].var(axis=0).mean()), 1e-12)
        return Linear(vectors, labelled.codes, LogisticRegression(C=1 / variance, max_iter=1000))
    if labelled.learner not in ("images", "text"):
        raise UsageError(
            f"simulate supports texts, pictures and --embeddings, but not the learner {labelled.learner!r}"
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
    """Logistic regression on features that were fitted to the whole pool, answered or not.

    The loop's text learner fits its word counts to the answered texts, for each version anew. Here they are fitted
    once, which changes the weights of words a little and makes a step about a hundred times faster.
    """

    def __init__(self, features: Any, codes: Codes, classifier: Any) -> None:
        self.features = features
        self._codes = codes
        self._classifier = classifier

    def learn(self, rows: Codes, seed: int) -> tuple[Codes, Proba]:
        """Train on these rows, in as many coordinates as there are rows, since the optimum lies in their span.

        The result is the same within the solver's tolerance: a rotation keeps inner products and lengths.
        """
        chosen = self.features[rows]
        model = clone(self._classifier)
        if len(rows) >= chosen.shape[1] or len(rows) > 3000:
            return _fit(model, chosen, self._codes[rows]).classes_, _proba(model.predict_proba(self.features))
        gram = chosen @ chosen.T
        gram = np.asarray(gram.toarray() if issparse(gram) else gram, dtype=np.float64)
        # Equal texts make the matrix singular; a diagonal term this small changes no prediction.
        gram[np.diag_indices(len(rows))] += 1e-9 * gram.diagonal().mean() + 1e-300
        root = cholesky(gram, lower=True)
        _fit(model, root, self._codes[rows])
        model.coef_ = np.asarray((chosen.T @ solve_triangular(root, model.coef_.T, lower=True, trans="T")).T)
        model.n_features_in_ = chosen.shape[1]
        return model.classes_, _proba(model.predict_proba(self.features))


class Whole:
    """The learner's whole pipeline, trained from scratch at each step as in the loop."""

    def __init__(self, features: npt.NDArray[np.float64], codes: Codes, learner: Any) -> None:
        self.features = features
        self._codes = codes
        self._learner = learner

    def learn(self, rows: Codes, seed: int) -> tuple[Codes, Proba]:
        model = _fit(self._learner.build(list(self.features[rows]), seed), self.features[rows], self._codes[rows])
        return model.classes_, _proba(model.predict_proba(self.features))


def _fit(model: Any, features: Any, codes: Codes) -> Any:
    with warnings.catch_warnings():
        # Expected here: with few answers of many classes, a class may have a single answer.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return model.fit(features, codes)


def _proba(proba: Any) -> Proba:
    found: Proba = np.asarray(proba, dtype=np.float64)
    found /= found.sum(axis=1, keepdims=True)
    return found
