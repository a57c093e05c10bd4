"""The section `accept` of loop.yaml: what may pass unseen, and with which promise."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from labelloop.spec.sections import Strict

LEAST_ERROR, MOST_ERROR = 0.001, 0.5
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.5, 0.999
ALL = "*"
"""The key of a threshold that holds for every label."""


class Accept(Strict):
    """A promise about the outputs that pass unseen: at most the share `error` of them is incorrect.

    Nothing passes unseen until the answers of people show that the promise holds; labelloop/gate/accept.py tests it.
    """

    error: float
    """Largest share of incorrect labels among the outputs that pass unseen, LEAST_ERROR to MOST_ERROR."""
    confidence: float = 0.95
    """Probability that the promise holds over the life of the loop, LEAST_CONFIDENCE to MOST_CONFIDENCE."""
    by: Literal["label"] | None = None
    """With `label` the promise holds for each label on its own; None means for all of them together."""
    teach: bool = False
    """Whether versions are also trained on what passed unseen with the pipeline's label (docs/engineers/accept.md)."""

    @field_validator("teach", mode="before")
    @classmethod
    def _is_yes_or_no(cls, teach: object) -> bool:
        if not isinstance(teach, bool):
            raise ValueError(f"takes true or false; it is {teach!r}")
        return teach

    @field_validator("error", mode="before")
    @classmethod
    def _can_be_shown(cls, error: object) -> float:
        if _is_number(error) and LEAST_ERROR <= float(error) <= MOST_ERROR:  # type: ignore[arg-type]
            return float(error)  # type: ignore[arg-type]
        hint = "answers never show that everything is correct; " if error == 0 else ""
        raise ValueError(
            f"{hint}takes a share from {LEAST_ERROR:g} to {MOST_ERROR:g}, such as 0.05 (5 of 100 may be incorrect); "
            f"it is {error!r}"
        )

    @field_validator("confidence", mode="before")
    @classmethod
    def _can_be_reached(cls, confidence: object) -> float:
        if _is_number(confidence) and LEAST_CONFIDENCE <= float(confidence) <= MOST_CONFIDENCE:  # type: ignore[arg-type]
            return float(confidence)  # type: ignore[arg-type]
        hint = "a sample never makes anything certain; " if confidence == 1 else ""
        raise ValueError(
            f"{hint}takes a probability from {LEAST_CONFIDENCE:g} to {MOST_CONFIDENCE:g}, such as 0.95; "
            f"it is {confidence!r}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
