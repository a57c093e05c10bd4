"""Errors of a request as a service answers them."""

from __future__ import annotations

import logging

import pytest

from backend.review import BY_CALLER
from labelloop.errors import Busy, Conflict, Failed, SettingsError, SpecError, Unreachable, Unstorable, UsageError
from labelloop.process.service import status_and_words

AWAY = "Postgres does not answer; try again"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Unstorable("a NUL"), 400, "a NUL"),
        (SettingsError("the database lacks labelloop's tables"), 500, "the database lacks labelloop's tables"),
        (SpecError("no such field"), 500, "no such field"),
        (Conflict("another body"), 500, "another body"),
        (Failed("no such file"), 500, "no such file"),
        (Busy("too many requests at once"), 503, "too many requests at once"),
        (Unreachable("10.1.2.3 does not answer"), 503, AWAY),
        (ValueError("a defect"), 500, "internal error; the service's log has the cause"),
    ],
)
def test_only_a_fault_of_the_caller_is_refused_and_every_other_may_be_tried_again(
    error: Exception, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert status_and_words(error) == (status, words)
    assert bool(caplog.records) == (status == 500)


def test_the_review_pages_refuse_what_a_person_can_mend() -> None:
    assert status_and_words(UsageError("no such version"), BY_CALLER) == (400, "no such version")
    assert status_and_words(Conflict("the champion has changed"), BY_CALLER) == (409, "the champion has changed")
