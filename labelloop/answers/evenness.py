"""Evenness: whether people answered some periods of arrival more than others, or chance made it look so. Pure.

A period counts with its number of outputs. If all outputs had the same chance of an answer, that only adds noise: five
answers can stand for 3 or for 8 % of the outputs by accident. So the weights are drawn towards equal answers, as far as
the periods differ by no more than chance explains. It is a preliminary test without a jump (Bancroft 1944,
doi:10.1214/aoms/1177731284).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CLEAR = 2.0
"""Standard deviations above its mean at which the difference of the periods counts in full."""


def unevenness(answers: Floats, outputs: Floats) -> float:
    """Return how far the answering rates of the periods differ beyond chance: 0 for not at all, 1 for clearly.

    `answers` and `outputs` of each period, shape (n_periods,). Periods without an answer are left out.
    """
    answers, outputs = answers[answers > 0], outputs[answers > 0]
    given, total, free = float(answers.sum()), float(outputs.sum()), len(answers) - 1
    if free < 1 or given >= total:
        return 1.0
    # The share of the outputs that arrive while a fixed share of the answers does, is a Dirichlet variable.
    even = answers / given
    distance = float(((outputs / total - even) ** 2 / even).sum()) * (given + 1.0) / (1.0 - given / total)
    return min(1.0, max(0.0, (distance - free) / (CLEAR * math.sqrt(2.0 * free))))
