"""The section `judge` of loop.yaml: the outputs are the verdicts of a judge, such as a language model."""

from __future__ import annotations

from pydantic import Field

from labelloop.spec.sections import Strict

FLOOR = 0.8


class JudgeSpec(Strict):
    """What `labelloop report judge` certifies."""

    positive: str
    """The label that counts as positive, such as `pass`; all other labels together are negative."""
    floor: float = Field(default=FLOOR, gt=0, lt=1)
    """What the lower bounds of TPR and TNR must reach for a certificate, 0 to 1."""
