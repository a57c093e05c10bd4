"""Planted loops: learning curves with some worse challengers, and what each version answers as people did."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

LABELS = 10
Scores = npt.NDArray[np.float64]
"""Item scores, shape (versions, held-out items); the pipeline is the first version."""


@dataclass(frozen=True, slots=True)
class Curve:
    """True accuracy of the version of round t, before planted losses: top - span / t ** exponent, plus noise."""

    name: str
    top: float
    span: float
    exponent: float
    noise: float
    """Standard deviation."""


CURVES = (Curve("levels off", 0.88, 0.08, 3.0, 0.0), Curve("grows", 0.90, 0.10, 0.5, 0.002))
PIPELINE = 0.80


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    begin: int = 20
    """Held-out answers at the first verdict."""
    more: int = 13
    """Held-out answers that each further round adds."""
    rho: float = 0.0
    bad: float = 0.15
    """Share of challengers that are planted worse."""
    people: float = 1.0
    """Share of the answers that are correct."""
    curve: Curve = CURVES[0]

    def held_out(self, verdict: int) -> int:
        return self.begin + self.more * verdict


SIZES = {"20 + 10": (20, 10), "20 + 13": (20, 13), "200 + 20": (200, 20), "1,000": (1_000, 0)}
SCENARIOS = tuple(
    replace(varied, name=f"{size}{varied.name}", begin=begin, more=more)
    for size, (begin, more) in SIZES.items()
    for varied in (
        Scenario(""),
        Scenario(", rho 0.5", rho=0.5),
        Scenario(", rho 0.9", rho=0.9),
        Scenario(", 40 % bad", bad=0.4),
        Scenario(", answers 90 % correct", people=0.9),
    )
)


def planted(scenario: Scenario, verdicts: int, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Return the true accuracy of each version and its item scores on the hold-out set; the pipeline first."""
    curve, rounds = scenario.curve, np.arange(1, verdicts + 1)
    accuracy = curve.top - curve.span * rounds**-curve.exponent + rng.normal(0, curve.noise, verdicts)
    worse = (rng.random(verdicts) < scenario.bad) * rng.uniform(0.005, 0.10, verdicts)
    accuracy = np.concatenate([[PIPELINE], accuracy - worse])
    return accuracy, item_scores(accuracy, scenario.held_out(verdicts - 1), scenario.rho, scenario.people, rng)


def item_scores(accuracy: Scores, n: int, rho: float, people: float, rng: np.random.Generator) -> Scores:
    """Draw which items each version answers as people did, by a Gaussian copula; shape (versions, n).

    With an incorrect answer of people, a correct model counts as incorrect, and another one may agree by chance.
    """
    hard, own = rng.normal(size=n), rng.normal(size=(len(accuracy), n))
    correct: npt.NDArray[np.bool_] = np.sqrt(rho) * hard + np.sqrt(1 - rho) * own < ndtri(accuracy)[:, None]
    misled = rng.random(n) >= people
    agrees = rng.random(correct.shape) < 1 / (LABELS - 1)
    return np.asarray(np.where(misled, ~correct & agrees, correct), dtype=np.float64)
