"""Betting: tests that may be looked at after each answer, for ever. Pure.

Somebody bets against the claim that a person is honest, starting with a capital of 1, and never loses more than that.
If the claim is true, the capital reaches 1 / alpha with a probability of at most alpha, however often one looks (Ville
1939; Waudby-Smith and Ramdas 2024, doi:10.1093/jrsssb/qkad009). A test of two shares bets in pairs of answers (Turner,
Ly and Grünwald 2024, doi:10.1016/j.jspi.2023.106116).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
BETS = np.arange(0.1, 1.0, 0.1)
"""Shares of the capital that are bet. The capital is the mean over them, so none needs to be chosen."""

MOST = 700.0
"""Largest logarithm of a capital, so that it stays a number."""


def share_above(happened: Sequence[bool], claimed: Sequence[float]) -> Floats:
    """Return the capital after each event, bet against "it happens with a probability of at most `claimed`".

    Each event may have its own claim, above 0 and below 1.
    """
    if not len(happened):
        return np.zeros(0)
    events, claims = np.asarray(happened, dtype=np.float64), np.asarray(claimed, dtype=np.float64)
    gains = np.log1p(BETS[:, None] * (events / claims - 1.0)[None, :])
    return np.asarray(np.exp(np.minimum(np.cumsum(gains, axis=1), MOST)).mean(axis=0))


def more_often(one: Sequence[bool], other: Sequence[bool]) -> Floats:
    """Return the capital after each pair, bet against "it happens in `one` at most as often as in `other`".

    Pairs are in the order of their times; each bet rests on the pairs before it.
    """
    capital, found = 1.0, []
    yes = np.array([1.0, 1.0])  # one event of each kind is added, so that no share is 0 or 1
    for n, pair in enumerate(zip(one, other, strict=True)):
        a, b = (yes / (n + 2.0)).tolist()
        if a > b:
            middle = (a + b) / 2
            for happened, share in zip(pair, (a, b), strict=True):
                capital *= share / middle if happened else (1.0 - share) / (1.0 - middle)
        found.append(capital)
        yes += pair
    return np.array(found)


def first_above(capital: Floats, limit: float) -> int | None:
    """Return the place of the first event after which the capital is at least `limit`; None if it never is."""
    above = np.flatnonzero(capital >= limit)
    return int(above[0]) if len(above) else None
