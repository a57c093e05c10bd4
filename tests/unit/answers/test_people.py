from __future__ import annotations

from typing import Any

import pytest

from labelloop.answers.people import Person, distinct_names, person
from labelloop.reading.ids import UserId


@pytest.mark.parametrize(
    ("email", "first", "last", "name"),
    [
        ("ann@example.org", "Ann", "Lee", "Ann Lee"),
        ("ann@example.org", "", "Lee", "Lee"),
        ("ann.lee@example.org", None, None, "ann.lee"),
        ("ann.lee@example.org", " ", "\u200b\n", "ann.lee"),
        ("ann@example.org", "Ann\u202e\nLee", "", "Ann Lee"),
        ("ann@example.org", "Zoë", "Müller-李", "Zoë Müller-李"),
        ("", "", "", "user 7"),
        ("ann@example.org", "x" * 300, "", "x" * 100),
    ],
)
def test_a_person_has_a_name_that_can_be_read(email: str, first: str | None, last: str | None, name: str) -> None:
    assert person(UserId(7), email, first, last) == Person(email, name)


def test_two_people_of_the_same_name_are_told_apart() -> None:
    rows: list[dict[str, Any]] = [
        {"label_studio_user_id": 1, "email": "a@example.org", "name": "Ann"},
        {"label_studio_user_id": 2, "email": "b@example.org", "name": "Ann"},
        {"label_studio_user_id": 3, "email": None, "name": "Ben"},
        {"label_studio_user_id": 4, "email": "c@example.org", "name": None},
        {"label_studio_user_id": 5, "email": None, "name": None},
        {"label_studio_user_id": 6, "email": None, "name": None},
    ]
    assert distinct_names(rows) == [
        "Ann (a@example.org)",
        "Ann (b@example.org)",
        "Ben",
        "c@example.org",
        "user 5",
        "user 6",
    ]
