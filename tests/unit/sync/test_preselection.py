"""The answer that the form shows before a person answers."""

from __future__ import annotations

import pytest

from labelloop.queue.prelabel import Prelabelled, prelabel_result
from labelloop.spec.folder import parse

SPEC = parse("pets", 'feedback_loop: {trigger: "model_confidence < 0.8", labels: [cat, dog, eel]}')


@pytest.mark.parametrize(
    ("shares", "filled_in"),
    [({"cat": 0.55, "dog": 0.45}, True), ({"cat": 0.54, "dog": 0.46}, False), ({"cat": 1.0}, True), (None, True)],
)
def test_a_pipelines_coin_toss_is_not_filled_in(shares: dict[str, float] | None, filled_in: bool) -> None:
    assert bool(prelabel_result(SPEC, Prelabelled("cat", "pipeline", None, "cat", None, shares))) is filled_in


def test_the_champions_margin_counts_for_the_champions_label() -> None:
    def shown(margin: float | None) -> Prelabelled:
        return Prelabelled("dog", "abcdef012345", margin, "cat", None, {"cat": 0.51, "dog": 0.49})

    assert prelabel_result(SPEC, shown(0.6 - 0.5)), "0.1, a rounding error less"
    assert prelabel_result(SPEC, shown(0.09)) == []
    assert prelabel_result(SPEC, shown(None)), "a model that gives no probabilities"


@pytest.mark.parametrize("shares", [{"cat": 1.0}, {"cat": 1.0, "dog": 0.0}, None])
def test_a_smallest_margin_of_1_fills_nothing_in_even_if_the_model_is_sure(shares: dict[str, float] | None) -> None:
    blind = parse(
        "pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], prelabel: {min_margin: 1}}"
    )
    assert prelabel_result(blind, Prelabelled("cat", "pipeline", None, "cat", None, shares)) == []
    assert prelabel_result(blind, Prelabelled("cat", "abcdef012345", 1.0, "cat", None, shares)) == []
