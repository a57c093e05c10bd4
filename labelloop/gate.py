"""Gate: may the challenger replace the incumbent? Judged on the same held-out answers, with evidence or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest


@dataclass(frozen=True, slots=True)
class Judged:
    """A held-out item: what people said, and what each model says; None where a model said nothing."""

    answer: str
    incumbent: str | None
    challenger: str | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of right answers, with its Wilson 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""

    correct: int
    n: int
    accuracy: float | None
    """0 to 1; None where there is nothing to judge on."""
    low: float | None
    high: float | None

    @classmethod
    def of(cls, correct: int, n: int) -> Accuracy:
        if n == 0:
            return cls(0, 0, None, None, None)
        interval = binomtest(correct, n).proportion_ci(method="wilson")
        return cls(correct, n, correct / n, float(interval.low), float(interval.high))

    def __str__(self) -> str:
        if self.accuracy is None or self.low is None or self.high is None:
            return "0 of 0 right"
        bounds = f"{100 * self.low:.1f} to {100 * self.high:.1f}"
        return f"{self.correct} of {self.n} right ({100 * self.accuracy:.1f} %, {bounds})"

    def as_json(self) -> dict[str, Any]:
        return {"correct": self.correct, "accuracy": self.accuracy, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The verdict and what it rests on."""

    promote: bool
    reasons: tuple[str, ...]
    """In plain words, the deciding one first."""
    incumbent: Accuracy
    challenger: Accuracy
    better: int
    """Items that only the challenger has right."""
    worse: int
    """Items that only the incumbent has right."""
    p_value: float

    def scores(self, trained_on: int) -> dict[str, Any]:
        """As `retrain_runs.scores` keeps it."""
        return {
            "holdout": self.challenger.n,
            "trained_on": trained_on,
            "champion": self.incumbent.as_json(),
            "challenger": self.challenger.as_json(),
            "better": self.better,
            "worse": self.worse,
            "p": self.p_value,
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """The rule: enough held-out answers, and a challenger that is better beyond chance.

    The test is McNemar's, exact and one-sided (McNemar 1947, doi:10.1007/BF02295996): items on which both are right, or
    both wrong, say nothing about which is better; among the others, chance alone would favour each half of the time.
    """

    min_holdout: int
    alpha: float

    def judge(self, items: Sequence[Judged], incumbent_name: str = "champion") -> GateDecision:
        """Pure: the same items give the same verdict, in any order."""
        right = [(item.incumbent == item.answer, item.challenger == item.answer) for item in items]
        better = sum(challenger and not incumbent for incumbent, challenger in right)
        worse = sum(incumbent and not challenger for incumbent, challenger in right)
        p_value = float(binomtest(better, better + worse, 0.5, alternative="greater").pvalue) if better + worse else 1.0
        incumbent = Accuracy.of(sum(incumbent for incumbent, _ in right), len(items))
        challenger = Accuracy.of(sum(challenger for _, challenger in right), len(items))

        promote, why = True, f"p = {p_value:.2g} <= {self.alpha:g}: promoted"
        if len(items) < self.min_holdout:
            promote = False
            why = f"{len(items)} held-out answers, the gate wants {self.min_holdout}: no verdict, refused"
        elif better <= worse:
            promote, why = False, "not better: refused"
        elif p_value > self.alpha:
            promote, why = False, f"p = {p_value:.2g} > {self.alpha:g}, it may be chance: refused"
        evidence = f"challenger {challenger}, {incumbent_name} {incumbent}; {better} better, {worse} worse"
        return GateDecision(promote, (f"{evidence}, {why}",), incumbent, challenger, better, worse, p_value)
