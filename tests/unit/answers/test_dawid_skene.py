"""Dawid-Skene against published and stored results, and against people whose quality is planted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labelloop.answers.dawid_skene import PRIOR_ACCURACY, Estimate, Quality, estimate, newcomers

STORED = json.loads((Path(__file__).parent / "crowd_oracles.json").read_text())


def of(votes: list[list[int]], labels: int) -> Estimate:
    """Estimate from rows of items, with the label of each person; -1 where a person did not answer."""
    table = np.array(votes)
    item, person = np.nonzero(table >= 0)
    return estimate(item, person, table[item, person], items=len(table), people=table.shape[1], labels=labels)


def stored_answers(name: str) -> Estimate:
    stored = STORED[name]
    answers = [np.array(stored[column]) for column in ("item", "person", "label")]
    return estimate(*answers, items=stored["items"], people=stored["people"], labels=stored["labels"])


def planted(
    rng: np.random.Generator, accuracy: np.ndarray, items: int, each: int, labels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    truth = rng.integers(0, labels, items)
    item = np.repeat(np.arange(items), each)
    person = np.concatenate([rng.choice(len(accuracy), each, replace=False) for _ in range(items)])
    right = rng.random(len(item)) < accuracy[person]
    wrong = (truth[item] + rng.integers(1, labels, len(item))) % labels
    return item, person, np.where(right, truth[item], wrong), truth


def test_the_patients_of_dawid_and_skene_have_the_shares_of_their_paper() -> None:
    """Their table 2 has 0.40, 0.42, 0.11 and 0.07; our smoothing moves them by a few patients of 45."""
    found = stored_answers("dawid_skene_1979")
    assert np.abs(np.array(STORED["dawid_skene_1979"]["shares"]) - [0.40, 0.42, 0.11, 0.07]).max() < 0.005
    assert np.abs(found.shares - [0.40, 0.42, 0.11, 0.07]).max() < 0.05


@pytest.mark.parametrize("name", ["dawid_skene_1979", "planted_two_labels", "planted_four_labels"])
def test_the_labels_are_those_of_crowd_kit_where_it_is_certain(name: str) -> None:
    stored, found = STORED[name], stored_answers(name)
    theirs = np.array(stored["crowd_kit"])
    clear = theirs.max(axis=1) > 0.9
    assert clear.mean() > 0.7
    assert (found.posterior.argmax(axis=1) == theirs.argmax(axis=1))[clear].mean() >= 0.98
    assert np.abs(found.posterior - theirs)[clear].mean() < 0.02


def test_people_of_different_quality_are_told_apart_and_beat_the_majority() -> None:
    rng = np.random.default_rng(0)
    accuracy = np.array([0.95, 0.95, 0.9, 0.55, 0.55, 0.5, 0.5])
    item, person, label, truth = planted(rng, accuracy, 600, 3, 3)
    found = estimate(item, person, label, items=600, people=7, labels=3)
    votes = np.zeros((600, 3))
    np.add.at(votes, (item, label), 1)
    by_majority = (votes + 1e-3 * rng.random(votes.shape)).argmax(axis=1)
    assert (found.posterior.argmax(axis=1) == truth).mean() > (by_majority == truth).mean() + 0.05
    values = [one.value for one in found.accuracy]
    assert np.abs(np.array(values, dtype=float) - accuracy).max() < 0.1
    for one, planted_ in zip(found.accuracy, accuracy, strict=True):
        assert one.low is not None
        assert one.high is not None
        assert one.low < planted_ < one.high


def test_three_answers_of_two_people_do_not_explode() -> None:
    found = of([[0, 0], [0, 1], [1, -1]], 2)
    assert np.isfinite(found.posterior).all()
    assert found.posterior.max() < 0.97, "three answers make nothing certain"
    assert found.confusion.min() > 0.01
    assert all(one.value is None or one.high - one.low > 0.4 for one in found.accuracy)  # type: ignore[operator]
    assert [one.shared for one in found.accuracy] == [2, 2]


def test_a_person_who_works_alone_has_no_accuracy() -> None:
    found = of([[0], [1], [1], [0]], 2)
    assert [(one.value, one.answers, one.shared) for one in found.accuracy] == [(None, 4, 0)]
    assert (found.posterior.argmax(axis=1) == [0, 1, 1, 0]).all()


def test_people_who_all_disagree_are_certain_of_nothing() -> None:
    found = of([[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2], [2, 1, 0]], 3)
    assert found.posterior.max() < 0.6


def test_the_order_of_answers_people_and_labels_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    item, person, label, _ = planted(rng, np.array([0.9, 0.8, 0.7, 0.6]), 80, 2, 3)
    one = estimate(item, person, label, items=80, people=4, labels=3)
    order = rng.permutation(len(item))
    other = estimate(item[order], 3 - person[order], 2 - label[order], items=80, people=4, labels=3)
    assert np.allclose(one.posterior, other.posterior[:, ::-1], atol=1e-6)
    assert np.allclose(one.confusion, other.confusion[::-1, ::-1, ::-1], atol=1e-6)


def test_a_person_who_always_says_the_same_weighs_nothing() -> None:
    rng = np.random.default_rng(5)
    item, person, label, _truth = planted(rng, np.array([0.9, 0.9, 0.9, 0.9]), 300, 3, 2)
    label = np.where(person == 3, 1, label)
    found = estimate(item, person, label, items=300, people=4, labels=2)
    said_of_zero, said_of_one = found.confusion[3, :, 1]
    assert min(said_of_zero, said_of_one) > 0.95, "the answer is the same whatever is correct"


def test_the_posterior_before_any_answer_counts_everybody_the_same() -> None:
    quality: Quality[str] = newcomers(["cat", "dog", "eel"])
    found = quality.posterior([("anne", "cat"), ("ben", "cat"), ("carla", None), ("dan", "gone")])
    rest = (1 - PRIOR_ACCURACY) / 2
    assert found[0] == pytest.approx(PRIOR_ACCURACY**2 / (PRIOR_ACCURACY**2 + 2 * rest**2))
    assert quality.posterior([]) == pytest.approx([1 / 3] * 3)


def test_one_label_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two labels; there are 1"):
        estimate(np.array([0]), np.array([0]), np.array([0]), items=1, people=1, labels=1)
