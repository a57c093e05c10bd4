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
    """Both TPR and TNR must be shown to be above it for a certificate, 0 to 1: see labelloop/gate/judge_looks.py."""
