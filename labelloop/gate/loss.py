"""Expected loss: what a promotion costs on average, and what waiting costs, by the held-out answers so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.gate.paired import NUMBERS_PER_DRAW, Floats, is_whole
from labelloop.gate.rounding import in_order

Counts = float | npt.NDArray[np.int64]
PRIOR_DISCORDANT = 1.0
"""Held-out answers that the prior adds for each way to differ: one model correct, the other incorrect."""
PRIOR_SAME = 2.0
"""Held-out answers that the prior adds on which the two models do equally well."""
HARM = 0.01
"""A challenger that is truly worse by more than this does harm, 0 to 1."""
DRAWN = 4_000
"""Samples of the posterior for structured answers; fewer if there are very many answers."""
NUMBERS = 40_000_000
"""Largest number of random numbers for them, unless FEWEST_DRAWN needs more: about a second of work."""
FEWEST_DRAWN = 500


@dataclass(frozen=True, slots=True)
class Loss:
    """Expected losses of accuracy under the posterior of the gain, each 0 to 1.

    The posterior is the Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338) of the differences of the item
    scores, with a few prior items: PRIOR_DISCORDANT of +1 and of -1, and PRIOR_SAME of 0. If each item is correct or
    incorrect, it is the Dirichlet posterior of the three shares better, worse and same.
    """

    promoting: float
    """Mean of the loss if the challenger is promoted: its accuracy below the incumbent's, 0 where it is above."""
    waiting: float
    """Mean of the loss if it is not: the incumbent's accuracy below the challenger's, 0 where it is above."""
    harm: float
    """Probability that the challenger is worse by more than HARM."""

    @classmethod
    def of(cls, differences: Floats, rng: np.random.Generator) -> Loss:
        """Measure both losses from the differences of the item scores, challenger - incumbent; shape (n,), n >= 0."""
        if is_whole(differences):
            better, worse = int((differences > 0).sum()), int((differences < 0).sum())
            return _of_counts(better, worse, len(differences))
        values = np.concatenate([np.sort(differences), [1.0, -1.0, 0.0]])
        shape = np.concatenate([np.ones(len(differences)), [PRIOR_DISCORDANT, PRIOR_DISCORDANT, PRIOR_SAME]])
        draws = max(FEWEST_DRAWN, min(DRAWN, NUMBERS // len(values)))
        piece = max(1, NUMBERS_PER_DRAW // len(values))
        gains = []
        for start in range(0, draws, piece):
            weights = rng.standard_gamma(shape, size=(min(piece, draws - start), len(values)))
            gains.append(weights @ values / weights.sum(axis=1))
        gain = np.concatenate(gains)
        return cls(float(np.maximum(-gain, 0).mean()), float(np.maximum(gain, 0).mean()), float((gain < -HARM).mean()))

    def of_promoting(self, limit: float) -> str:
        """Return the words that compare the loss by a promotion with its limit, 0 to 1."""
        lost, most = in_order(100 * self.promoting, 100 * limit, ".2f")
        return f"promoting it would lose {lost} points on average, the limit is {most}"

    def __str__(self) -> str:
        return (
            f"{_points(self.promoting)} by promoting it, {_points(self.waiting)} by waiting; it is worse by more than "
            f"{100 * HARM:g} point with a probability of {100 * self.harm:.0f} %"
        )

    def as_json(self) -> dict[str, Any]:
        return {"promoting": self.promoting, "waiting": self.waiting, "harm": self.harm}


def _points(loss: float) -> str:
    return f"{100 * loss:.2f} points"


def expected_loss(better: Counts, worse: Counts, n: int) -> Floats:
    """Return the mean loss by a promotion, 0 to 1, for numbers of items on which only one of the two is correct.

    It is the Dirichlet posterior's, exactly. The share of items on which the models differ, and the share of those on
    which the challenger is the worse one, are independent beta variables.
    """
    from scipy.special import betainc  # 70 MB, which the services do not need

    lost, won = worse + PRIOR_DISCORDANT, better + PRIOR_DISCORDANT
    differ = lost + won
    all_items = n + 2 * PRIOR_DISCORDANT + PRIOR_SAME
    # E[max(0, 2 t - 1)] for t ~ Beta(lost, won)
    mean = 2 * lost / differ * betainc(won, lost + 1, 0.5) - betainc(won, lost, 0.5)
    return np.asarray(differ / all_items * mean, dtype=np.float64)


@lru_cache(maxsize=100_000)
def _of_counts(better: int, worse: int, n: int) -> Loss:
    from scipy.special import betainc, betaincinv

    lost, won = worse + PRIOR_DISCORDANT, better + PRIOR_DISCORDANT
    differ, same = lost + won, n - better - worse + PRIOR_SAME
    shares = betaincinv(differ, same, (np.arange(200) + 0.5) / 200)  # items on which they differ
    limit = np.minimum(1.0, 0.5 + HARM / (2 * np.maximum(shares, HARM)))
    harm = float(np.where(shares > HARM, betainc(won, lost, 1 - limit), 0.0).mean())
    return Loss(float(expected_loss(better, worse, n)), float(expected_loss(worse, better, n)), harm)
