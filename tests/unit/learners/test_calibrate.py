"""Calibration: what a learner is sure of is as often right; nothing else about it changes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.learners import Learner, make
from backend.learners.calibrate import FOLDS, MIN_ANSWERS, _folds, calibrate, tempered
from labelloop.labeling.kinds.labels import write_labels
from tests.support.backend_factory import scans

TAUGHT, ALL = 200, 1200


def digits(start: int, end: int) -> tuple[list[dict[str, str]], list[str]]:
    """In an order of chance: the set's own has one writer after the other."""
    images, truths = scans()
    order = np.random.default_rng(0).permutation(len(truths))[start:end]
    return [{"image": images[i]} for i in order], [truths[i] for i in order]


@cache
def fitted(n: int = TAUGHT) -> tuple[Learner, Learner]:
    """A learner of digits as it is, and calibrated."""
    data, truths = digits(0, n)
    plain = make("images", {"field": "image"}).fit(data, truths, np.random.default_rng(0))
    return plain, calibrate(plain, data, truths, np.random.default_rng(0))


def ece(said: Any, truths: list[str]) -> float:
    """Expected calibration error in ten bins."""
    right = np.array([label == truth for label, truth in zip(said.labels, truths, strict=True)])
    bins = np.minimum((said.confidences * 10).astype(int), 9)
    gaps = [abs(right[bins == b].mean() - said.confidences[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    return float(sum(gaps))


def test_calibrated_confidence_matches_accuracy_and_no_label_changes() -> None:
    plain, calibrated = fitted()
    data, truths = digits(TAUGHT, ALL)
    before, after = plain.predict(data), calibrated.predict(data)
    assert after.labels == before.labels
    assert ece(after, truths) < 0.5 * ece(before, truths)
    assert after.proba is not None
    assert after.proba.sum(axis=1) == pytest.approx(1)


def test_a_version_keeps_its_temperature_and_the_same_cut_gives_the_same_bytes(tmp_path: Path) -> None:
    data, _ = digits(TAUGHT, ALL)
    _, calibrated = fitted()
    stored = models.store(tmp_path, "digits", calibrated)
    again = models.load(tmp_path, stored.id)
    assert again.predict(data[:50]).confidences == pytest.approx(calibrated.predict(data[:50]).confidences, abs=1e-12)
    taught, labels = digits(0, TAUGHT)
    like = make("images", {"field": "image"}).fit(taught, labels, np.random.default_rng(0))
    twin = calibrate(like, taught, labels, np.random.default_rng(0))
    assert models.store(tmp_path, "digits", twin).id == stored.id


def test_too_few_answers_leave_it_as_it_is() -> None:
    plain, calibrated = fitted(MIN_ANSWERS - 1)
    assert calibrated is plain


def test_what_belongs_together_is_on_one_side_and_rare_labels_are_no_fault() -> None:
    labels = ["a"] * 70 + ["b"] * 28 + ["rare", "rarer"]
    groups = [str(i // 4) for i in range(100)]
    folds = list(_folds(labels, groups, 0))
    assert len(folds) == FOLDS
    for taught, held in folds:
        assert not {groups[i] for i in taught} & {groups[i] for i in held}
    assert sorted(i for _, held in folds for i in held) == list(range(100))
    assert not list(_folds(labels, ["one"] * 100, 0))
    assert list(_folds([str(i) for i in range(100)], range(100), 0))


def test_certainty_has_a_logarithm_too() -> None:
    sure = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    for temperature in (0.05, 1.0, 20.0):
        found = tempered(sure, temperature)
        assert np.isfinite(found).all()
        assert (found.argmax(axis=1) == [0, 0]).all()
    assert tempered(np.empty((0, 3)), 2.0).shape == (0, 3)
    assert tempered(np.array([[0.8, 0.2]]), 2.0) == pytest.approx(np.array([[2 / 3, 1 / 3]]))


def test_the_confidence_of_structured_answers_is_as_often_right_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    """Three labels, each by chance in one item of five where the text says nothing of it."""
    rng = np.random.default_rng(0)
    data, answers = [], []
    for i in range(600):
        given = rng.random(3) < 0.5
        seen = given ^ (rng.random(3) < 0.2)
        data.append(
            {"t": " ".join(word for word, there in zip(("ape", "bee", "cat"), seen, strict=True) if there) + f" {i}"}
        )
        answers.append(write_labels(label for label, there in zip("abc", given, strict=True) if there))
    plain = make("multilabel", {"field": "t"}).fit(data[:200], answers[:200], np.random.default_rng(0))
    calibrated = calibrate(plain, data[:200], answers[:200], np.random.default_rng(0))
    before, after = plain.predict(data[200:]), calibrated.predict(data[200:])
    assert (after.labels, after.evidence) == (before.labels, before.evidence)
    assert ece(after, answers[200:]) < 0.7 * ece(before, answers[200:])
    again = models.load(tmp_path, models.store(tmp_path, "x", calibrated).id)
    assert again.predict(data[:5]).confidences == pytest.approx(calibrated.predict(data[:5]).confidences)


def test_numbers_keep_the_confidence_that_they_have() -> None:
    data = [{"x": i} for i in range(100)]
    learner = make("numbers", {"field": "x"}).fit(data, [str(i) for i in range(100)], np.random.default_rng(0))
    assert calibrate(learner, data, [str(i) for i in range(100)], np.random.default_rng(0)) is learner


def test_an_item_that_only_the_whole_table_can_read_is_left_out_of_the_calibration() -> None:
    """Without the one list `size` is a column of numbers, and the list is none; in the whole table it is no column."""
    data = [{"age": i % 40, "size": i} for i in range(MIN_ANSWERS)]
    data[7]["size"] = [1, 2]  # type: ignore[assignment]
    labels = ["old" if item["age"] > 20 else "young" for item in data]
    learner = make("tabular", {"field": "age"}).fit(data, labels, np.random.default_rng(0))
    calibrated = calibrate(learner, data, labels, np.random.default_rng(0))
    assert len(calibrated.predict(data)) == MIN_ANSWERS
