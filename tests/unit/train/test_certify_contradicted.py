"""New answers end a certificate that they contradict: of all labels together, or of one that it holds for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from backend.train.certify import Look, Part, _contradicted
from labelloop.gate.accept import Answers, Found
from labelloop.spec.accept import Accept
from labelloop.store.promises.certificates import Certificate
from labelloop.store.promises.trials import Labeller

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(*labels: str) -> Certificate:
    return Certificate(
        id=uuid4(), test_id=uuid4(), loop="pets", labeller="pipeline", version="m1", basis=b"", error=0.05,
        confidence=0.95, thresholds=dict.fromkeys(labels, 0.9), answers=444, made_at=MADE, ended_at=None,
        ended_because=None, replaced=False, succeeded=False, revoked_at=None, revoked_by=None, revoked_because=None,
    )  # fmt: skip


def later(n: int, wrong: int) -> Part:
    """Answers to outputs that came after the certificate, all above its threshold."""
    answers = Answers(np.full(n, 0.95), (np.arange(n) < wrong).astype(np.float64), np.arange(n))
    return Part(answers, [MADE + timedelta(hours=1)] * n, np.empty(0), (0.9,), 0.05, Found(0.9, n))


def why(**parts: tuple[int, int]) -> str | None:
    look = Look(Labeller("pipeline", "m1"), None, parts={label: later(*each) for label, each in parts.items()})
    return _contradicted(Accept(error=0.05), look, certificate(*parts))


def test_one_label_that_turns_bad_ends_it_however_many_others_are_correct() -> None:
    said = why(cat=(40, 12), dog=(400, 2))
    assert said is not None
    assert said.startswith("12 of 40 answers to outputs with the label 'cat' that came since it was made say incorrect")


def test_all_labels_that_turn_bad_together_end_it_too() -> None:
    said = why(**dict.fromkeys(("ant", "bee", "cat", "dog", "eel"), (60, 6)))
    assert said is not None
    assert said.startswith("30 of 300 answers to outputs that came since")


@pytest.mark.parametrize("wrong", [(2, 20), (5, 20), (0, 0)])
def test_labels_that_keep_the_promise_leave_it_in_force(wrong: tuple[int, int]) -> None:
    assert why(cat=(40, wrong[0]), dog=(400, wrong[1])) is None
