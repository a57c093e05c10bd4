"""The items that peers (modAL, scikit-activeml, a paper) would ask about next, at the same moment of the replay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from modAL.uncertainty import entropy_sampling, margin_sampling, uncertainty_sampling
from scipy.sparse import issparse
from sklearn.decomposition import TruncatedSVD

from benchmarks.support.activeml import Given, strategies
from benchmarks.support.herding import uncertainty_herding
from console.simulate.learning import Codes
from console.simulate.replay import Ask, Moment

DIMENSIONS = 64
UNCERTAINTY_HERDING = "Uncertainty Herding (paper)"


def peers(features: Any) -> Mapping[str, Ask]:
    """Their query strategies for classification, by name. `features`: of all rows of the set."""
    dense = reduced(features)
    return {
        "modAL uncertainty": _modal(uncertainty_sampling),
        "modAL margin": _modal(margin_sampling),
        "modAL entropy": _modal(entropy_sampling),
        "modAL ranked batch": ranked_batch,
        **strategies(dense),
        UNCERTAINTY_HERDING: uncertainty_herding(dense),
    }


def reduced(features: Any) -> npt.NDArray[np.float64]:
    """As few dimensions as scikit-activeml's distances can bear."""
    if features.shape[1] <= DIMENSIONS:
        return np.asarray(features, dtype=np.float64)
    found: npt.NDArray[np.float64] = TruncatedSVD(DIMENSIONS, random_state=0).fit_transform(features)
    return found


def _modal(query: Callable[..., Any]) -> Ask:
    def ask(moment: Moment, n: int) -> Codes:
        proba = moment.proba[moment.waiting]
        chosen = query(Given(proba), np.empty((len(proba), 1)), n_instances=n)[0]
        return moment.waiting[np.asarray(chosen, dtype=np.intp)]

    return ask


def ranked_batch(moment: Moment, n: int) -> Codes:
    """modAL's uncertainty_batch_sampling, pick for pick, with distances carried along instead of worked out anew.

    Cardoso et al. 2017, "Ranked batch-mode active learning". A test holds it to modAL's own picks.
    """
    pool, taught = moment.study.features[moment.waiting], moment.study.features[moment.answered]
    unsure = 1 - moment.proba[moment.waiting].max(axis=1)
    squares, taught_squares = _squares(pool), _squares(taught)
    cross = pool @ taught.T
    cross = cross.toarray() if issparse(cross) else np.asarray(cross)
    nearest = (squares[:, None] + taught_squares[None] - 2 * cross).min(axis=1)
    left = np.ones(len(squares), dtype=bool)
    chosen = []
    for i in range(n):
        alpha = left.sum() / (left.sum() + len(moment.answered) + i)
        similar = 1 / (1 + np.sqrt(np.maximum(nearest, 0)))
        scores = np.where(left, alpha * (1 - similar) + (1 - alpha) * unsure, -np.inf)
        best = int(scores.argmax())
        chosen.append(best)
        left[best] = False
        row = pool[[best]]
        inner = pool @ row.T
        inner = inner.toarray() if issparse(inner) else np.asarray(inner)
        nearest = np.minimum(nearest, squares + squares[best] - 2 * inner.ravel())
    return moment.waiting[chosen]


def _squares(features: Any) -> npt.NDArray[np.float64]:
    total = features.multiply(features).sum(axis=1) if issparse(features) else (np.asarray(features) ** 2).sum(axis=1)
    return np.asarray(total, dtype=np.float64).ravel()
