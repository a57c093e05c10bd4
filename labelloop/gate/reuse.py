"""Reuse: what a verdict costs on held-out answers that have judged before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reuse:
    """Of the held-out answers of one verdict.

    Judged again and again at the same level, luck passes any gate. So alpha is divided by the number of verdicts so far
    on the same answers against the same incumbent, this one included (Bonferroni; Dunn 1961,
    doi:10.1080/01621459.1961.10482090). An earlier one counts by the share of today's answers that it saw: new answers
    pay for new verdicts. With a new incumbent the count begins anew: it was chosen on these answers, which makes it
    look better than it is and the next promotion harder, and so errs on the safe side.
    """

    looks: int
    """Earlier verdicts on some of them, against the same incumbent."""
    counted: float
    """The same, each by the share of today's answers that it saw."""
    asked: float
    """Alpha of the spec."""
    alpha: float
    """At which this verdict is judged."""

    @classmethod
    def of(cls, asked: float, shares: Sequence[float] = (), *, ignored: bool = False) -> Reuse:
        """`shares`: of each earlier verdict, the share of today's answers that it saw, 0 to 1."""
        counted = math.fsum(shares)
        return cls(sum(share > 0 for share in shares), counted, asked, asked if ignored else asked / (1 + counted))

    def __str__(self) -> str:
        if not self.looks:
            return f"no earlier verdict on these answers: judged at alpha {self.asked:g}"
        seen = f"{self.looks} earlier verdict{'s' * (self.looks > 1)} on these answers"
        if self.alpha == self.asked:
            return f"{seen}, not counted (gate.reuse is ignore)"
        return (
            f"{seen}, which count {self.counted:.1f} by what they saw of today's: "
            f"judged at alpha {self.alpha:.2g} instead of {self.asked:g}"
        )

    def as_json(self) -> dict[str, Any]:
        return {"looks": self.looks, "counted": self.counted, "alpha": self.alpha, "asked": self.asked}
