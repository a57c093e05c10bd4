"""Every error that labelloop raises on purpose, grouped by the party that must act.

LabelloopError
├── UsageError            the request itself is wrong: change it (exit status 2)
│   ├── SettingsError     a setting is missing or wrong
│   ├── Unstorable        Postgres cannot store a value, such as a text with NUL
│   └── SpecError         edit loop.yaml or labels.xml: carries the line and the column
├── Retriable             wait and retry: nothing is wrong with the record
│   ├── Unreachable       Postgres, Label Studio or our own service does not answer
│   ├── Busy              the service is overloaded
│   └── Ambiguous         a write was sent and its reply was lost: it may or may not have happened
├── Skippable             only this record is affected: go on with the next one
│   ├── InvalidOutput     an output breaks the rules of the intake: carries the field's path
│   ├── Unreadable        a learner cannot read the data of some items: names each
│   ├── Conflict          the same key with another body, or a state that somebody else has changed
│   │   └── ChampionChanged   the champion is no longer the version that was judged or reviewed
│   ├── Undecided         nobody decided on a held output in time, and it has no fallback
│   └── Refused           Label Studio refuses a request for good: carries its message
└── Failed                the work was tried and did not succeed (exit status 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class LabelloopError(Exception):
    """Base class. The message says which value was given and which values are allowed."""


class UsageError(LabelloopError):
    """The request itself is wrong: the caller must change it."""


class UnknownValue(UsageError):
    """An option, or its value, does not exist; the loop or run that it is about does."""


class SettingsError(UsageError):
    """A setting is missing or wrong; the message names its variable."""


class Unstorable(UsageError):
    """Postgres cannot store or look up a value: a text with NUL or half a surrogate pair, or a number that is too
    large.
    """


class SpecError(UsageError):
    """A loop's files are wrong.

    `line` and `column` count from 1; they are None if no place is known. `loop` is the loop's name, or None if the
    message does not name it.
    """

    def __init__(
        self, message: str, *, line: int | None = None, column: int | None = None, loop: str | None = None
    ) -> None:
        place = "" if line is None else f"line {line}, column {column or 1}: "
        super().__init__(("" if loop is None else f"loop {loop!r}: ") + place + message)
        self.reason = message
        self.line = line
        self.column = column
        self.loop = loop


class Retriable(LabelloopError):
    """Wait and retry: nothing is wrong with the record."""


class Unreachable(Retriable):
    """A service that labelloop depends on does not answer; the message names it."""


class Busy(Retriable):
    """The service is overloaded at the moment."""


class Ambiguous(Retriable):
    """A write was sent and its reply was lost. Never repeat it: check first whether it took effect."""


class Skippable(LabelloopError):
    """Only this record is affected."""


class InvalidOutput(Skippable):
    """An output breaks the rules of the intake. `path` is the field, such as `probabilities.cat`; "" for the whole
    output. `line` is its number in the request, from 1, or None. `others` has the other wrong lines of the
    request, each with its number and reason.
    """

    def __init__(
        self,
        path: str,
        message: str,
        *,
        status: int = 422,
        line: int | None = None,
        others: Sequence[tuple[int, str]] = (),
    ) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.status = status
        self.line = line
        self.others = list(others)


class Unreadable(Skippable):
    """A learner cannot read some of the items. `faults` maps an item's position among the given items to its fault.

    `names` are the names of the given items for the message, in their order.
    """

    def __init__(self, faults: Mapping[int, str], names: Sequence[str] | None = None) -> None:
        self.faults = dict(faults)
        first = min(self.faults)
        name = f"item {first}" if names is None else f"item {names[first]!r}"
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        super().__init__(f"{name}: {self.faults[first]}{more}")


class Conflict(Skippable):
    """The same key was given with another body, or somebody else changed the state first."""


class ChampionChanged(Conflict):
    """The champion is no longer the version that a verdict or a person referred to."""


class Undecided(Skippable):
    """Nobody decided on a held output before its deadline, and no fallback was declared: do not continue with it."""


class Refused(Skippable):
    """Label Studio refuses a request for good (a 4xx): a retry cannot help."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Failed(LabelloopError):
    """The work was tried and did not succeed."""
