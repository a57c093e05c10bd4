"""The items that scikit-activeml's query strategies would ask about next, at the same moment of the same replay."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from console.simulate.learning import Codes
from console.simulate.replay import Ask, Moment

Dense = npt.NDArray[np.float64]
MOST = 2_000
"""Rows that the slow strategies see: drawn at random anew for each batch."""
PREFIX = "scikit-activeml "


class Given:
    """A classifier whose probabilities are known already."""

    def __init__(self, proba: Dense) -> None:
        self.proba = proba

    def predict_proba(self, X: Any) -> Dense:
        if len(X) != len(self.proba):
            raise ValueError(f"{len(X)} rows are asked for, {len(self.proba)} are known")
        return self.proba


Choose = Callable[[Moment, Dense, Codes, dict[str, Any], int], Any]
"""Chooses from the rows of the array: the moment, all dense features, the rows seen, X, y and batch_size, a seed."""


def strategies(dense: Dense) -> Mapping[str, Ask]:
    """Return the strategies for classification by name. `dense`: of all rows of the set, few dimensions."""
    from skactiveml import pool

    def by_place(name: str) -> Choose:
        """Strategies that read features and which rows are answered."""
        return lambda moment, _, rows, given, seed: getattr(pool, name)(random_state=seed).query(**given)

    def by_probability(name: str, **options: Any) -> Choose:
        """Strategies that read the probabilities of the replay's own learner too."""

        def choose(moment: Moment, _: Dense, rows: Codes, given: dict[str, Any], seed: int) -> Any:
            known = _known(moment, rows[len(moment.answered) :])
            fits = {"fit_clf": False, "clf": known}
            if name == "Clue":
                fits = {"fit_estimator": False, "estimator": known}
            return getattr(pool, name)(random_state=seed, **options).query(**given, **fits)

        return choose

    few = {"method": "margin_sampling"}
    return {
        PREFIX + "margin": _ask(by_probability("UncertaintySampling", **few), dense, most=None),
        PREFIX + "CoreSet": _ask(by_place("CoreSet"), dense, most=None),
        PREFIX + "Badge": _ask(by_probability("Badge"), dense, most=MOST),
        PREFIX + "TypiClust": _ask(by_place("TypiClust"), dense, most=MOST),
        PREFIX + "ProbCover": _ask(by_place("ProbCover"), dense, most=MOST),
        PREFIX + "MaxHerding": _ask(by_place("MaxHerding"), dense, most=MOST),
        PREFIX + "Clue": _ask(by_probability("Clue", **few), dense, most=MOST),
        PREFIX + "Falcun": _ask(by_probability("Falcun"), dense, most=None),
        PREFIX + "DropQuery": _ask(_drop_query, dense, most=MOST),
    }


def _ask(choose: Choose, dense: Dense, most: int | None) -> Ask:
    def ask(moment: Moment, n: int) -> Codes:
        waiting = moment.waiting
        if most is not None and len(waiting) > most:
            waiting = np.sort(moment.rng.choice(waiting, most, replace=False))
        rows = np.concatenate([moment.answered, waiting])
        y = np.concatenate([moment.codes.astype(np.float64), np.full(len(waiting), np.nan)])
        seed = int(moment.rng.integers(2**31))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = choose(moment, dense, rows, {"X": dense[rows], "y": y, "batch_size": n}, seed)
        return rows[np.asarray(chosen, dtype=np.intp)]

    return ask


def _known(moment: Moment, waiting: Codes) -> Any:
    from skactiveml.base import SkactivemlClassifier

    proba = moment.proba[waiting]

    class Known(SkactivemlClassifier):  # type: ignore[misc]
        """Given, as scikit-activeml wants it."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            raise NotImplementedError("it was taught by the replay")

        def predict_proba(self, X: Any) -> Dense:
            return Given(proba).predict_proba(X)

    return Known(classes=moment.classes.tolist())


def _drop_query(moment: Moment, dense: Dense, rows: Codes, given: dict[str, Any], seed: int) -> Any:
    """DropQuery asks a model about features with numbers left out, so it gets a logistic regression on these features.

    Its penalty is that of the replay's learner for embeddings: as if the variance of the features were 1.
    """
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import DropQuery

    variance = max(float(dense.var(axis=0).mean()), 1e-12)
    model = SklearnClassifier(
        LogisticRegression(C=1 / variance, max_iter=1000), classes=moment.classes.tolist(), random_state=seed
    )
    return DropQuery(random_state=seed).query(**given, clf=model)
