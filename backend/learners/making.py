"""Make a learner from the parameters in loop.yaml, checked against its constructor."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from labelloop.errors import SpecError
from labelloop.reading.nearest import did_you_mean

T = TypeVar("T")
INTERNAL = ("encoder_id",)
"""Parameters that only a version sets. A message about a mistake in loop.yaml does not list them."""


def construct(learner: type[T], params: Mapping[str, Any]) -> T:
    """Return the object. Raises SpecError with the parameter and its allowed values; other errors pass through."""
    made = learner.__new__(learner)
    checked = pydantic.validate_call(config={"strict": True, "arbitrary_types_allowed": True})(learner.__init__)
    try:
        checked(made, **params)
    except pydantic.ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function"))
        takes_any = inspect.Parameter.VAR_KEYWORD
        parameters = inspect.signature(learner).parameters.items()
        known = [p for p, value in parameters if value.kind is not takes_any and p not in INTERNAL]
        takes = ", ".join(known)
        if first["type"] == "unexpected_keyword_argument":
            raise SpecError(
                f"learner.params.{name}: no such parameter{did_you_mean(name, known)}; there are: {takes}"
            ) from None
        if first["type"] == "missing_argument":
            raise SpecError(f"learner.params: {name!r} is missing; there are: {takes}") from None
        message = str(first["msg"]).replace("Input should", "should")
        message = message.replace("should be '', ", "should be ")  # "" is the default, and means that it is left out
        raise SpecError(f"learner.params.{name}: {message}, not {first['input']!r}") from None
    return made
