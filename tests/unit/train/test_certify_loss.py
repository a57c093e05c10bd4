"""Answers that count as incorrect for the promise about what passes unseen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from backend.train.certify import loss_of
from labelloop.labeling.config import LabelingConfig
from labelloop.spec.folder import parse
from labelloop.store.promises.scored import Scored

SPANS = '<View><Labels name="label" toName="t"><Label value="a"/></Labels><Text name="t" value="$text"/></View>'
PETS = parse("pets", "feedback_loop: {trigger: model_confidence < 0.5, labels: [cat, dog]}")


def row(label: str, answer: str | None, opinions: list[str | None] | None = None) -> Scored:
    return Scored(uuid4(), "g", label, 0.9, answer, opinions, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("answer", "opinions", "loss"),
    [
        ("cat", None, 0.0),
        ("dog", None, 1.0),
        (None, ["cat", "dog"], 0.5),
        (None, ["cat", None, "dog"], pytest.approx(2 / 3)),
        (None, [None], 1.0),
        (None, None, None),
    ],
)
def test_a_label_is_wrong_for_the_share_of_reviewers_who_say_so(
    answer: str | None, opinions: list[str | None] | None, loss: float | None
) -> None:
    assert loss_of(PETS.config, row("cat", answer, opinions)) == loss


def test_spans_are_wrong_unless_all_of_them_are_right() -> None:
    config = LabelingConfig.parse(SPANS, ("label",))
    both = json.dumps([[0, 3, "a"], [5, 8, "a"]])
    assert loss_of(config, row(both, both)) == 0.0
    assert loss_of(config, row(both, json.dumps([[0, 3, "a"]]))) == 1.0, "half right is not right"
