"""The section gate of loop.yaml: when a challenger replaces the champion, and whether a person decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator

from labelloop.reading.nearest import did_you_mean
from labelloop.spec.faults import Contradiction, Fault
from labelloop.spec.sections import Strict

SLICES = ("label", "source", "reviewer", "length", "time")
"""Slices that every hold-out set can be cut by, besides the fields of the outputs' data."""
MAX_LOSS = 0.004
"""Default of the largest expected loss by a promotion, 0 to 1; chosen by `python -m benchmarks.promises.gate`."""
ALPHA = 0.05
"""Default of the significance level of the paired test."""


class Shadow(Strict):
    """The time that a challenger predicts beside the champion before the gate judges it on the answers given since."""

    answers: int = Field(default=50, ge=1)
    """Number of answers that it is judged on."""
    outputs: int = Field(default=1000, ge=1, le=100_000)
    """Largest number of outputs that it predicts."""
    days: float = Field(default=14, gt=0, le=365)
    """Time limit in days; with too few answers by then it is refused."""
    then: Literal["auto", "ask"] = "auto"
    """Next step if it passes: `auto` promotes it, `ask` waits for a person."""

    @model_validator(mode="after")
    def _can_end(self) -> Shadow:
        if self.answers > self.outputs:
            words = f"must be at least answers: {self.outputs} outputs, {self.answers} answers"
            raise Contradiction(Fault(("outputs" if "outputs" in self.model_fields_set else "answers",), words))
        return self


class GateSpec(Strict):
    """The gate: rules for replacing the champion by a challenger, and whether a person decides."""

    min_holdout: int = Field(default=20, ge=1)
    """Smallest number of held-out answers; with fewer there is no verdict and the champion stays."""
    rule: Literal["expected_loss", "exact", "joint"] | None = None
    """How a challenger shows that it is better. `exact` is a paired test at `alpha`. `joint` is the same test with
    `reuse: bound`. None means `exact` if alpha or reuse is given, else `expected_loss`.
    """
    max_loss: float | None = Field(default=None, gt=0, lt=1)
    """For expected_loss: largest expected loss of accuracy by a promotion, 0 to 1; None means MAX_LOSS."""
    alpha: float | None = Field(default=None, gt=0, lt=1)
    """For exact and joint: significance level of the paired one-sided test; None means ALPHA."""
    reuse: Literal["share", "bound", "ignore"] | None = None
    """For exact: how verdicts on the same answers share alpha; None means share.

    share: it is divided by their number. bound: all verdicts against one champion together stay within it. ignore: each
    verdict has all of it.
    """
    min_gain: float = Field(default=0.0, ge=0, lt=1)
    """Smallest gain that is worth a change, 0 to 1."""
    floor: float = Field(default=0.02, ge=0, le=1)
    """Largest loss of a slice, 0 to 1. The gate refuses a challenger if a slice lost more, and not by chance."""
    slices: tuple[str, ...] = (*SLICES, "data")
    """Slices of the hold-out set: label, source, reviewer, length, time; data.x is one field, data is all of them."""
    watch: tuple[str, ...] = ()
    """The slices that matter most, such as `label`, `label=8` or `data.country=DE`: together they get half of the
    slices' significance level.
    """
    max_ece: float | None = Field(default=None, gt=0, le=1)
    """Largest expected calibration error, 0 to 1."""
    max_slowdown: float | None = Field(default=None, gt=0)
    """Largest latency of the challenger, as a multiple of the champion's time for an item."""
    max_size_mb: float | None = Field(default=None, gt=0)
    """Largest size of the challenger's file, in millions of bytes."""
    promotion: Literal["auto", "ask", "shadow"] = "auto"
    """Next step if it passes: `auto` promotes it, `ask` waits for a person, `shadow` lets it predict beside the
    champion first.
    """
    shadow: Shadow = Shadow()

    @model_validator(mode="after")
    def _has_only_keys_of_its_rule(self) -> GateSpec:
        for key, rules in (("max_loss", ["expected_loss"]), ("alpha", ["exact", "joint"]), ("reuse", ["exact"])):
            if getattr(self, key) is not None and self.rule_in_force not in rules:
                words = f"belongs to rule: {' or '.join(rules)}; the rule is {self.rule_in_force}"
                raise Contradiction(Fault((key,), words, at_key=True))
        return self

    @property
    def rule_in_force(self) -> Literal["expected_loss", "exact", "joint"]:
        """Return the rule, or the one that follows from the other keys."""
        if self.rule is not None:
            return self.rule
        return "expected_loss" if self.alpha is None and self.reuse is None else "exact"

    @property
    def largest_loss(self) -> float:
        """Return `max_loss`, or its default."""
        return MAX_LOSS if self.max_loss is None else self.max_loss

    @property
    def level(self) -> float:
        """Return `alpha`, or its default."""
        return ALPHA if self.alpha is None else self.alpha

    @property
    def reuse_of_answers(self) -> str:
        """Return how verdicts share alpha: share, bound or ignore."""
        return "bound" if self.rule == "joint" else self.reuse or "share"

    @field_validator("slices")
    @classmethod
    def _can_be_cut(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(names):
            if name not in SLICES and name != "data" and not re.fullmatch(r"data\..+", name):
                near = did_you_mean(name, SLICES)
                words = f"no slice {name!r}{near}; there are: {', '.join(SLICES)}, data and data.<field>"
                raise Contradiction(Fault((place,), words))
        return names

    @model_validator(mode="after")
    def _watches_slices(self) -> GateSpec:
        found = [
            Fault(("watch", place), words)
            for place, entry in enumerate(self.watch)
            if (words := self._unwatched(entry, self.watch[:place]))
        ]
        if found:
            raise Contradiction(*found)
        return self

    def _unwatched(self, entry: str, before: Sequence[str]) -> str | None:
        """Return why this entry of `watch` cannot be watched after those before it; None if it can."""
        by, one, value = entry.partition("=")
        if by not in SLICES and not re.fullmatch(r"data\..+", by):
            return f"no slice {entry!r}; name one such as 'label', 'label=8' or 'data.country=DE'"
        if one and not value:
            return f"{entry!r} names no value; write '{by}=VALUE', or '{by}' for all its slices"
        if one and by in ("length", "time"):
            return f"the quarters of {by} change with the answers, so {entry!r} names none"
        if by not in self.slices and not (by.startswith("data.") and "data" in self.slices):
            return f"{entry!r} is no slice of this loop; add {by!r} to gate.slices"
        return f"{entry!r} is named twice" if entry in before else None
