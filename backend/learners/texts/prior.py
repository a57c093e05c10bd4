"""Prior: how frequent each label is, as far as some answers tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

CONCENTRATIONS = np.geomspace(0.05, 1000.0, 40)
"""Strengths of the pull towards equal shares, of which the most likely is taken."""


def prior(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the logarithm of each label's share, shape (k,), the largest 0.

    `counts`: the answers of each label, all positive. The shares are pulled towards equal ones by as many invented
    answers as make the counts most likely (Dirichlet-multinomial: Minka 2000, Estimating a Dirichlet distribution). Few
    answers to many labels tell nothing about how frequent a label is, and then all shares are about equal.
    """
    n, k = counts.sum(), len(counts)
    a = CONCENTRATIONS[:, None]
    likely = gammaln(k * a[:, 0]) - gammaln(n + k * a[:, 0]) + (gammaln(counts + a) - gammaln(a)).sum(axis=1)
    shares = np.log(counts + CONCENTRATIONS[likely.argmax()])
    found: npt.NDArray[np.float64] = shares - shares.max()
    return found
