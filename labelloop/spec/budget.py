"""The section `budget` of loop.yaml: how many tasks a day may become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from labelloop.spec.sections import Strict

EACH = "*"
"""The key for each source or label that has no number of its own."""
MOST = 1_000_000
Cap = Annotated[int, Field(ge=1, le=MOST)]


class Budget(Strict):
    """Largest numbers of tasks that are made on one day, in UTC.

    `per_day` limits all lanes and leaves their shares as they are. `per_source` and `per_label` count the tasks of all
    lanes and hold back only outputs of the rule lane: the other lanes stay a fair sample.
    """

    per_day: Cap | None = None
    """Tasks of the loop; None means no limit."""
    per_source: dict[str, Cap] = Field(default={})
    """Tasks of a source, by its name; outputs without a source count as one. A single number holds for each source."""
    per_label: dict[str, Cap] = Field(default={})
    """Tasks of a label of the pipeline, by its name; outputs without a label count as one. A single number holds for
    each label.
    """
    over: Literal["wait", "pass"] = "wait"
    """Fate of an output of the rule lane that the budget kept out on a day. With `wait` it competes again on the next
    day. With `pass` nobody sees it.
    """

    @field_validator("per_source", "per_label", mode="before")
    @classmethod
    def _one_number_is_for_each(cls, given: object) -> object:
        if isinstance(given, Mapping):
            return given
        if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MOST:
            return {EACH: given}
        raise ValueError(
            f"takes a whole number from 1 to {MOST:,}, which holds for each, or such a number by name; it is {given!r}"
        )

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if self.per_day is None and not self.per_source and not self.per_label:
            raise ValueError("names no limit; add per_day, per_source or per_label")
        return self

    @property
    def has_parts(self) -> bool:
        """Whether it limits sources or labels."""
        return bool(self.per_source or self.per_label)
