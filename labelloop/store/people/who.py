"""The people of a loop, and the one that a command names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.answers import given
from labelloop.answers.people import distinct_names
from labelloop.errors import UsageError
from labelloop.store.database import Conn

NAMED = 20
"""Largest number of people that an error lists."""


@dataclass(frozen=True, slots=True)
class Somebody:
    """A person: all rows of reviewers with the same login."""

    name: str
    """As in distinct_names."""
    login: str | None
    ids: Sequence[UUID]
    """Rows of reviewers; the first one stands for the person in decisions."""
    known_as: frozenset[str]
    """Everything by which a command can name the person, in lower case."""


def everybody(conn: Conn, loop: str) -> list[Somebody]:
    """Return the people who have answered in the loop or its project, by name."""
    rows = conn.execute(
        """
        select r.id, r.email, r.name, r.label_studio_user_id from reviewers r
        where r.instance = %(http)s or r.instance in (select instance from projects where loop = %(loop)s)
            or r.id in (select f.reviewer_id from feedback f join outputs o on o.id = f.model_output_id
                        where o.loop = %(loop)s)
            or r.id in (select u.reviewer_id from unreadable u where u.loop = %(loop)s and u.until is null)
        order by r.name, r.label_studio_user_id, r.id
        """,
        {"http": given.instance_of(loop), "loop": loop},
    ).fetchall()
    people: dict[object, list[dict[str, object]]] = {}
    for row in rows:
        people.setdefault(row["email"] or row["id"], []).append(row)
    names = distinct_names([group[0] for group in people.values()])
    return [
        Somebody(
            name=name,
            login=group[0]["email"],  # type: ignore[arg-type]
            ids=[row["id"] for row in group],  # type: ignore[misc]
            known_as=frozenset(
                str(word).lower()
                for row in group
                for word in (name, row["name"], row["email"], row["id"], f"user {row['label_studio_user_id']}")
                if word
            ),
        )
        for name, group in zip(names, people.values(), strict=True)
    ]


def named(conn: Conn, loop: str, words: str) -> Somebody:
    """Return the person whom these words name, in any case. Raises UsageError if that is nobody, or several."""
    everyone = everybody(conn, loop)
    wanted = words.strip().lower()
    found = [one for one in everyone if wanted in one.known_as]
    if len(found) == 1:
        return found[0]
    if found:
        who = ", ".join(one.login or one.name for one in found)
        raise UsageError(f"{words!r} names several people of {loop}: {who}. Give the address")
    there = ", ".join(one.name for one in everyone[:NAMED]) or "nobody yet"
    more = f" and {len(everyone) - NAMED} more" if len(everyone) > NAMED else ""
    raise UsageError(f"nobody in {loop} is called {words!r}; there are: {there}{more}")
