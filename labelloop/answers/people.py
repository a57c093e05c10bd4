"""Person: a user of Label Studio as pages and tables name them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

LONGEST_NAME = 100


class Person(NamedTuple):
    """What Label Studio knows of a user."""

    email: str
    name: str
    """Never empty."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A row of reviewers: a person who answered. Name and address are kept when Label Studio forgets them."""

    id: UUID
    label_studio_user_id: int
    email: str | None
    name: str | None
    """None until a pull has read it."""


def person(user_id: int, email: str, first_name: str | None = None, last_name: str | None = None) -> Person:
    """The name is first and last name; without either, what stands before the @ of the address; else `user 7`.

    Users write their names themselves: characters that cannot be seen (they turn the rest of a line round, or break
    it) are left out, and so is what is longer than LONGEST_NAME.
    """
    parts = [_visible(part) for part in (first_name, last_name)]
    name = " ".join(filter(None, parts)) or _visible(email.partition("@")[0]) or f"user {user_id}"
    return Person(email, name[:LONGEST_NAME].strip())


def distinct_names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What each of these people is called: the name, with the address behind it where others have the same name.

    Each row has label_studio_user_id, email and name, of which both may be null.
    """
    rows = list(rows)
    count = Counter(row["name"] for row in rows)
    return [_called(row, alone=count[row["name"]] == 1) for row in rows]


def _called(row: Mapping[str, Any], *, alone: bool) -> str:
    number = f"user {row['label_studio_user_id']}"
    if row["name"] is None:
        return str(row["email"] or number)
    return str(row["name"]) if alone else f"{row['name']} ({row['email'] or number})"


def _visible(text: str | None) -> str:
    kept = "".join(character if character.isprintable() else " " for character in text or "")
    return " ".join(kept.split())
