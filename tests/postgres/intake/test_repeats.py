"""A loop with `reuse_answers`: unchanged content under a new key brings the answer along, and counts nowhere twice."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.store.database import Database
from tests.support.hops.answering_desk import exported
from tests.support.hops.repeating_desk import RepeatingDesk


@pytest.fixture
def desk(database: Database) -> RepeatingDesk:
    return RepeatingDesk(database)


def facts(status: Any, *names: str) -> tuple[Any, ...]:
    return tuple(status[name] for name in names)


def test_unchanged_content_under_a_new_key_has_the_answer_at_once(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna", False, correction="dog", comment="it barks")
    made = desk.send("b", "miaow")
    assert [(one["state"], one["new"]) for one in made] == [("answered", True)]
    status = desk.status("b")
    assert facts(status, "state", "settled", "label", "approval", "correction", "comments", "reviewers") == (
        "answered", True, "dog", False, "dog", ["it barks"], 1,
    )  # fmt: skip
    original = desk.status("a")
    assert status["repeats"] == {"key": "a", "id": original["id"], "answered_by": ["anna"]}
    assert (status["answered_at"], original["repeats"]) == (original["answered_at"], None)
    assert desk.counts() == {"answers": 1, "feedback": 1, "pool": 0, "repeats": 1}
