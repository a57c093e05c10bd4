"""People of a loop: who is to answer, what each of them can do, and how tasks are shared out among them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, field_validator

from labelloop.spec.faults import Contradiction, Fault
from labelloop.spec.sections import Strict, check_duration, seconds

Tag = Annotated[str, Field(min_length=1, max_length=60)]


class People(Strict):
    """Rule by which open tasks are shared out: loads of people with the same tags differ by at most one."""

    assign: Literal["fair"] = "fair"
    """The only rule that there is."""
    who: dict[str, tuple[Tag, ...]] = Field(min_length=1, max_length=500)
    """Tags by the address of the person in Label Studio: languages, skills, whatever the data may need."""
    needs: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Fields of an output's data. Each of their values must be among the tags of a person who gets the task. A field
    that is missing or empty needs nothing.
    """
    period: Literal["day", "week"] = "day"
    """Time over which loads are compared, in UTC. A week begins on Monday."""
    rotate_after: int | None = Field(default=None, ge=1, le=100_000)
    """Number of answers in a period after which a person gets no new tasks until the others with the same tags have
    given as many. None means that nobody is left out.
    """
    hand_on_after: str = "3d"
    """Time after which an unanswered task goes to another person: `30m`, `6h`, `2d`."""
    pause_after: int = Field(default=90, ge=5, le=24 * 60)
    """Minutes of work after which a pause is suggested. Nobody is ever blocked."""

    @field_validator("needs", mode="before")
    @classmethod
    def _may_be_one_field(cls, needs: object) -> object:
        return (needs,) if isinstance(needs, str) else tuple(needs) if isinstance(needs, list) else needs

    @field_validator("who", mode="before")
    @classmethod
    def _may_be_without_tags(cls, who: object) -> object:
        """Take a list of addresses too, and one tag or none behind an address."""
        if isinstance(who, list | tuple):
            return dict.fromkeys(who, ()) if all(isinstance(one, str) for one in who) else who
        if not isinstance(who, dict):
            return who
        return {
            address: (tags,) if isinstance(tags, str) else tuple(tags or ()) if isinstance(tags, list | None) else tags
            for address, tags in who.items()
        }

    @field_validator("who")
    @classmethod
    def _are_addresses(cls, who: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if found := [*_faults(who)]:
            raise Contradiction(*found)
        return who

    @field_validator("hand_on_after")
    @classmethod
    def _is_a_duration(cls, value: str) -> str:
        return check_duration(value)

    @property
    def hand_on(self) -> timedelta:
        """`hand_on_after` as a length of time."""
        return timedelta(seconds=seconds(self.hand_on_after))

    def begin(self, now: datetime) -> datetime:
        """Return the begin of the period in which `now` is."""
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return day - timedelta(days=day.weekday() if self.period == "week" else 0)


def _faults(who: dict[str, tuple[str, ...]]) -> Iterator[Fault]:
    known: dict[str, str] = {}
    for address in who:
        if "@" not in address or len(address) > 320:
            words = f"{address!r} is no address: name people by the address of their login in Label Studio"
            yield Fault((address,), words, at_key=True)
        elif (other := known.setdefault(address.lower(), address)) != address:
            yield Fault((address,), f"is the same person as {other!r}", at_key=True)
