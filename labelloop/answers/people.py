"""Person: a user of Label Studio, with the name that pages and tables show. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.reading.ids import UserId

LONGEST_NAME = 100


class Person(NamedTuple):
    """Facts about a user of Label Studio."""

    email: str
    name: str
    """Name to show; never empty."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A row of reviewers: a person who answered. Name and address are kept when Label Studio forgets them."""

    id: UUID
    label_studio_user_id: UserId
    email: str | None
    name: str | None
    """None until a pull has read it."""


def person(user_id: UserId, email: str, first_name: str | None = None, last_name: str | None = None) -> Person:
    """Return a person with first and last name; without either, the part before the @ of the address; else `user 7`.

    Users write their names themselves. Invisible characters, which can reverse or break a line, are left out. Names are
    cut at LONGEST_NAME.
    """
    parts = [_visible(part) for part in (first_name, last_name)]
    name = " ".join(filter(None, parts)) or _visible(email.partition("@")[0]) or f"user {user_id}"
    return Person(email, name[:LONGEST_NAME].strip())


def distinct_names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the name of each of these people, followed by the address if others have the same name.

    Each row has label_studio_user_id, email and name; email and name may be null.
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
