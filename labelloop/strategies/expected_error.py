"""Expected error reduction: the answer that would leave the fewest errors on the rest, for a few candidates only.

Roy and McCallum 2001, "Toward optimal active learning through sampling estimation of error reduction", section 2. It
fits a model for each class of each candidate, so it is for scripts and simulations. For the ten thousand rows of a
queue it would take a hundred thousand fits. Choose the candidates by margin first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from labelloop.errors import UsageError
from labelloop.strategies import proba as by_row
from labelloop.strategies.arrays import Array, Block, as_floats, check_sums

MOST_FITS = 2_000
Refit = Callable[[int, int], npt.ArrayLike]
"""Maps (candidate, class) to the probabilities of the rest if the candidate had that class, shape
(n_rest, n_classes).
"""


def expected_error(
    proba: npt.ArrayLike,
    posteriors: npt.ArrayLike | Refit,
    *,
    loss: Literal["log", "binary"] = "log",
    most_fits: int = MOST_FITS,
) -> Array:
    """Return 1 - the expected loss on the rest divided by the largest possible loss: in [0, 1], shape (n_candidates,).

    `proba` are the learner's predictions for the candidates, shape (n_candidates, n_classes). `posteriors` is a Refit,
    or its results for all of them: shape (n_candidates, n_classes, n_rest, n_classes).

    The loss is the mean entropy ("log") or 1 - p of the most probable class ("binary"). These are the two losses of
    modAL's expected_error_reduction, which sums over the rest and picks the smallest. The cost is n_candidates *
    n_classes fits; above `most_fits` it raises UsageError.
    """
    now = as_floats(proba)
    if now.ndim != 2:
        raise ValueError(f"proba must have the shape (n_candidates, n_classes); it has {now.shape}")
    check_sums(now)
    n, classes = now.shape
    refit = posteriors if callable(posteriors) else _looked_up(as_floats(posteriors), n, classes)
    if callable(posteriors) and n * classes > most_fits:
        raise UsageError(
            f"the expected error of {n} candidates and {classes} classes takes {n * classes} fits; at most {most_fits} "
            f"are allowed: pass only the {most_fits // classes} best by margin"
        )
    if classes == 1:
        return np.zeros(n)
    found: Array = np.zeros(n)
    for i in range(n):
        for y in np.flatnonzero(now[i]):
            found[i] += now[i, y] * _mean_loss(as_floats(refit(i, int(y))), classes, loss)
    return np.asarray(np.clip(1.0 - found / now.sum(axis=1), 0.0, 1.0))


def _looked_up(posteriors: Block, n: int, classes: int) -> Refit:
    if posteriors.ndim != 4 or posteriors.shape[:2] != (n, classes):
        raise ValueError(
            f"posteriors must have the shape ({n}, {classes}, n_rest, {classes}); it is {posteriors.shape}"
        )
    return lambda i, y: posteriors[i, y]


def _mean_loss(rest: Block, classes: int, loss: str) -> float:
    """Return the mean loss of the rest's rows, divided by the largest possible loss of a row; 0 if there
    are no rows.
    """
    if rest.ndim != 2 or rest.shape[1] != classes:
        raise ValueError(f"a fit must give the shape (n_rest, {classes}); it gave {rest.shape}")
    if not len(rest):
        return 0.0
    check_sums(rest)
    if loss == "log":
        return float(by_row.entropy(rest).mean())
    return float(by_row.least_confidence(rest).mean() / (1 - 1 / classes))
