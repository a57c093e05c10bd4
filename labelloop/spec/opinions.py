"""Opinions: the rule by which more people are asked about an item than the loop's `overlap`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field

from labelloop.spec.sections import Strict

MAJORITY: Final[Literal["majority"]] = "majority"
CROWDLAB: Final[Literal["crowdlab"]] = "crowdlab"
SURE = 0.95


class Opinions(Strict):
    """Rule for asking one more person about an item, once `overlap` people have answered and are not sure."""

    most: int = Field(ge=2, le=10)
    """Largest number of people for one item, the first ones among them."""
    sure: float | None = Field(default=None, gt=0.5, lt=1)
    """Certainty at which nobody else is asked; None means SURE. Only where people's quality is estimated: by majority,
    one more person is asked while no label is ahead.
    """
    budget: float | None = Field(default=None, gt=1, le=10)
    """Largest mean number of answers an item. Where it does not suffice, the least certain items get the next opinion.
    None means no limit.
    """

    def faults(self, consensus: str, overlap: int) -> Iterator[tuple[str, str]]:
        """Yield each key by which this rule can never ask, or never be kept, and why."""
        if self.most <= overlap:
            words = (
                f"at most {self.most} people would be asked about an item, but overlap already asks {overlap} about "
                f"every item: take at least {overlap + 1}, or leave opinions out"
            )
            yield "most", words
        elif self.budget is not None and not overlap < self.budget <= self.most:
            words = (
                f"the mean number of answers an item is above {overlap} (overlap) and at most {self.most} (most); it "
                f"is {self.budget:g}"
            )
            yield "budget", words
        if self.sure is not None and consensus == MAJORITY:
            words = (
                "by majority nobody's certainty is estimated, and one more person is asked while no label is ahead: "
                "leave it out, or take `consensus: dawid-skene`"
            )
            yield "sure", words

    @property
    def enough(self) -> float:
        """Certainty at which nobody else is asked."""
        return SURE if self.sure is None else self.sure
