"""The section `judge` of loop.yaml: the outputs are the verdicts of a judge, such as a language model."""

from __future__ import annotations

from pydantic import Field

from labelloop.spec.sections import Strict

FLOOR = 0.8


class JudgeSpec(Strict):
    """Rules for the certificate of `labelloop report judge`."""

    positive: str
    """The label that counts as positive, such as `pass`; all other labels together are negative."""
    floor: float = Field(default=FLOOR, gt=0, lt=1)
    """Smallest lower bound of TPR and of TNR for a certificate, 0 to 1."""
