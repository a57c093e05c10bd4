"""What the form shows before a person answers."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.queue.prelabel import prelabel_result
from labelloop.spec.folder import parse

SPEC = parse("pets", 'feedback_loop: {trigger: "model_confidence < 0.8", labels: [cat, dog, eel]}')


@pytest.mark.parametrize(
    ("shares", "filled_in"),
    [({"cat": 0.55, "dog": 0.45}, True), ({"cat": 0.54, "dog": 0.46}, False), ({"cat": 1.0}, True), (None, True)],
)
def test_a_pipelines_coin_toss_is_not_filled_in(shares: dict[str, float] | None, filled_in: bool) -> None:
    row = {"label": "cat", "output_label": "cat", "result": None, "probabilities": shares, "margin": None}
    assert bool(prelabel_result(SPEC, {**row, "version": "pipeline+abcdef01"})) is filled_in


def test_of_a_champions_label_the_champions_own_margin_counts() -> None:
    row: dict[str, Any] = {"label": "dog", "output_label": "cat", "result": None, "version": "abcdef012345"}
    row["probabilities"] = {"cat": 0.51, "dog": 0.49}
    assert prelabel_result(SPEC, row | {"margin": 0.6 - 0.5}), "0.1, a rounding error less"
    assert prelabel_result(SPEC, row | {"margin": 0.09}) == []
    assert prelabel_result(SPEC, row | {"margin": None}), "a model that gives no probabilities"
