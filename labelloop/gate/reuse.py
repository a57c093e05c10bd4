"""Reuse: the correction of alpha for held-out answers that have judged models before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.gate.bound import HORIZON, joint_alphas


@dataclass(frozen=True, slots=True)
class Reuse:
    """Earlier use of the held-out answers of one verdict.

    After enough verdicts at the same level, luck passes any gate. So alpha is divided by the number of verdicts so far
    on the same answers against the same incumbent, this one included (Bonferroni; Dunn 1961,
    doi:10.1080/01621459.1961.10482090). An earlier verdict counts by the share of today's answers that it used, so new
    answers pay for new verdicts.

    With a new incumbent the count starts at zero. It was selected on these answers, so it looks better than it is. That
    makes the next promotion harder, which is the safe direction.
    """

    looks: int
    """Number of earlier verdicts on some of the answers, against the same incumbent."""
    counted: float
    """Sum of the same verdicts, each by the share of today's answers that it used."""
    asked: float
    """Alpha in the spec."""
    alpha: float
    """Alpha of this verdict."""
    bound: bool = False
    """Whether alpha comes from the joint test of all challengers of this champion."""

    @classmethod
    def of(cls, asked: float, shares: Sequence[float] = (), *, ignored: bool = False) -> Reuse:
        """Compute alpha. `shares` are, for each earlier verdict, the share of today's answers that it used, 0 to 1."""
        counted = math.fsum(shares)
        return cls(sum(share > 0 for share in shares), counted, asked, asked if ignored else asked / (1 + counted))

    @classmethod
    def bounded(cls, asked: float, differences: Sequence[Mapping[Any, float]], rng: np.random.Generator) -> Reuse:
        """Compute alpha so that all verdicts against this incumbent together stay within `asked`.

        `differences`: for each verdict, the oldest first and this one last, challenger - incumbent by item.
        """
        items = {item: i for i, item in enumerate(dict.fromkeys(item for one in differences for item in one))}
        matrix = np.zeros((len(differences), len(items)))
        for row, one in zip(matrix, differences, strict=True):
            row[[items[item] for item in one]] = list(one.values())
        earlier = len(differences) - 1
        return cls(earlier, earlier, asked, joint_alphas(matrix, asked, rng)[-1], bound=True)

    def __str__(self) -> str:
        if self.bound:
            seen = f"{self.looks} earlier verdict{'s' * (self.looks != 1)} against this champion"
            if not self.alpha and self.looks >= HORIZON:
                return f"{seen} have used up alpha {self.asked:g}: a person decides until there is another champion"
            if not self.alpha:
                left = (
                    f"leave{'s' * (self.looks == 1)} too little of alpha {self.asked:g} for any result on these answers"
                )
                return f"{seen} {left}: a person decides, or a verdict on more held-out answers"
            together = f"which keeps {HORIZON} verdicts together within {self.asked:g}"
            return f"{seen}: judged at alpha {self.alpha:.2g}, {together}"
        if not self.looks:
            return f"no earlier verdict on these answers: judged at alpha {self.asked:g}"
        seen = f"{self.looks} earlier verdict{'s' * (self.looks > 1)} on these answers"
        if self.alpha == self.asked:
            return f"{seen}, not counted (gate.reuse is ignore)"
        return (
            f"{seen}, which count {self.counted:.1f} by their share of today's answers: "
            f"judged at alpha {self.alpha:.2g} instead of {self.asked:g}"
        )

    def as_json(self) -> dict[str, Any]:
        return {"looks": self.looks, "counted": self.counted, "alpha": self.alpha, "asked": self.asked}
