"""Every error that labelloop raises on purpose, grouped by who must act.

LabelloopError
├── UsageError            you asked for something that cannot be (exit status 2)
│   ├── SettingsError     a setting is missing or wrong
│   ├── Unstorable        Postgres cannot keep what was given, a NUL in a text perhaps
│   └── SpecError         edit loop.yaml or labels.xml: carries the line and the column
├── Retriable             wait and try again: nothing is wrong with the record
│   ├── Unreachable       Postgres, Label Studio or our own service does not answer
│   ├── Busy              we have more to do than we can bear
│   └── Ambiguous         a write was sent and its answer is lost: it may or may not have happened
├── Skippable             this record only: the next one may well be fine
│   ├── InvalidOutput     an output breaks the rules of the intake: carries the field's path
│   ├── Unreadable        the data of some items cannot be read by a learner: names each
│   ├── Conflict          the same key with another body, or a state that somebody else has changed
│   │   └── ChampionChanged   another version serves than the one that was judged or looked at
│   └── Refused           Label Studio refuses a request for good: carries its words
└── Failed                the work was tried and did not succeed (exit status 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class LabelloopError(Exception):
    """Base of all; the message says what was given and what would do."""


class UsageError(LabelloopError):
    """What was asked for cannot be: change the question."""


class SettingsError(UsageError):
    """A setting is missing or wrong; the message names its variable."""


class Unstorable(UsageError):
    """Postgres cannot keep or look up what was given: a NUL or half a character in a text, too large a number."""


class SpecError(UsageError):
    """A loop's files are wrong. `line` and `column` count from 1, None where no place can be named.

    `loop`: the name of the loop, where the message is to name it.
    """

    def __init__(
        self, message: str, *, line: int | None = None, column: int | None = None, loop: str | None = None
    ) -> None:
        place = "" if line is None else f"line {line}, column {column or 1}: "
        super().__init__(("" if loop is None else f"loop {loop!r}: ") + place + message)
        self.reason = message
        self.line = line
        self.column = column


class Retriable(LabelloopError):
    """Nothing is wrong with the record; wait and try again."""


class Unreachable(Retriable):
    """A service that we depend on does not answer; the message names it."""


class Busy(Retriable):
    """More is asked of us than we can bear at the moment."""


class Ambiguous(Retriable):
    """A write was sent and its answer is lost. Never repeat it: look whether it took effect."""


class Skippable(LabelloopError):
    """Only this record is affected."""


class InvalidOutput(Skippable):
    """An output breaks the rules of the intake. `path` is the field, `probabilities.cat`, or "" for the whole."""

    def __init__(self, path: str, message: str, *, status: int = 422) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.status = status


class Unreadable(Skippable):
    """A learner cannot read some of the items. `faults`: position among the items given -> what is wrong there.

    `names` says what to call the items in the message, in the order in which they were given.
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
    """Another version serves now than the one that a verdict or a person went by."""


class Refused(Skippable):
    """Label Studio refuses a request for good (a 4xx): sending it again cannot help."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Failed(LabelloopError):
    """The work was tried and did not succeed."""
