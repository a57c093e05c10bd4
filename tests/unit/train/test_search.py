"""The search inside the training cut: on real texts and pictures, deterministic, and never split from its groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from backend.learners import make
from backend.learners.images import Images
from backend.learners.text import Text
from backend.train.groups import related
from backend.train.search import FOLDS, MIN_ANSWERS, search
from backend.train.weights import weights_of
from labelloop.threads import one_thread
from labelloop.versions.items import TrainingItem
from tests.support.backend_factory import scans


@pytest.fixture(autouse=True)
def _as_in_a_run() -> Iterator[None]:
    with one_thread:
        yield


def item(data: dict[str, Any], label: str = "", group_key: str = "", weight: float = 1.0) -> TrainingItem:
    return TrainingItem("key", group_key, data, 1, label, weight)


def rows_of(n: int) -> list[TrainingItem]:
    images, truths = scans()
    return [
        item({"image": image}, truth, str(i))
        for i, (image, truth) in enumerate(zip(images[:n], truths[:n], strict=True))
    ]


@pytest.mark.slow
def test_the_chosen_value_has_the_best_accuracy_and_is_chosen_again() -> None:
    rows, learner = rows_of(MIN_ANSWERS), make("images", {"field": "image", "gamma": 0.01})
    told: list[int] = []
    chosen, tried = search(learner, {}, rows, 0, 1e9, lambda done, of: told.append(done * 100 + of))
    assert tried is not None
    assert {name: chosen.params[name] for name in Images.grid} == tried["chosen"]
    right = {str(one["params"]): one["right"] for one in tried["tried"]}
    assert right[str(tried["chosen"])] == max(right.values())
    assert tried["tried"][0]["params"]["gamma"] == 0.01, "the learner as it is comes first"
    assert tried["chosen"] != tried["tried"][0]["params"], "and is far too smooth"
    assert told == [100 * i + len(right) for i in range(len(right))]
    assert (tried["answers"], tried["folds"]) == (MIN_ANSWERS, FOLDS)
    assert search(learner, {}, rows, 0, 1e9, lambda *_: None)[1] == tried


def test_it_does_not_search_where_it_does_not_pay_or_may_not() -> None:
    rows = rows_of(MIN_ANSWERS)
    learner = make("images", {"field": "image"})
    assert search(learner, {}, rows[1:], 0, 1e9, lambda *_: None) == (learner, None), "too few answers"
    said = {"C": 1.0, "gamma": 2.0}
    assert search(learner, said, rows, 0, 1e9, lambda *_: None) == (learner, None), "loop.yaml has the last word"
    given_up = {"answers": MIN_ANSWERS, "given_up": "the search would have taken too much of the run's time"}
    assert search(learner, {}, rows, 0, 0, lambda *_: None) == (learner, given_up)


def test_equals_do_not_change_the_learner() -> None:
    """Every setting is right equally often: the learner stays as it was."""
    rows = [item({"text": f"{t} {i * 7919}"}, t, str(i))
            for i, t in enumerate(["good", "bad"] * (MIN_ANSWERS // 2))]  # fmt: skip
    chosen, tried = search(make("text", {"field": "text", "characters": False}), {"characters": False}, rows, 0, 1e9,
                           lambda *_: None)  # fmt: skip
    assert tried is not None
    assert (chosen.params["C"], len(tried["tried"])) == (10.0, len(Text.grid[0]["C"]) + 1)


def test_groups_and_near_duplicates_are_never_parted() -> None:
    text = "please send the invoice for last month to my new address"
    rows = [
        item({"text": said}, group_key=group)
        for said, group in [
            (text, "a"),
            ("something else entirely, about parcels", "a"),
            (text + "!", "b"),
            ("a third matter", "b"),
            ("alone", "c"),
        ]
    ]
    groups = related(rows, "text").tolist()
    assert len(set(groups[:4])) == 1, "a and b hang together by their near-duplicates"
    assert groups[4] not in groups[:4]


def test_answers_of_too_few_groups_for_the_folds_are_taught_without_a_search() -> None:
    rows = [replace(row, group_key=str(i % 2)) for i, row in enumerate(rows_of(MIN_ANSWERS))]
    learner = make("images", {"field": "image"})
    given_up = {
        "answers": MIN_ANSWERS,
        "given_up": "the answers form only 2 groups of related items; at least 3 are needed",
    }
    assert search(learner, {}, rows, 0, 1e9, lambda *_: None) == (learner, given_up)


def test_weights_are_none_where_all_count_alike() -> None:
    assert weights_of([item({}, weight=0.75), item({}, weight=0.75)]) is None
    assert weights_of([item({}, weight=1.0), item({}, weight=0.5)]) == [1.0, 0.5]
