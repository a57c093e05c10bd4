"""Out-of-fold predictions: what a model that was not trained on an answer says about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend import models
from backend.learners import make
from backend.learners.calibrate import Fold
from backend.learners.predictions import Predictions, from_proba
from backend.score.doubts import Support, doubt, doubts, supports
from backend.train.fitting import fit_and_calibrate
from backend.train.groups import related
from backend.train.out_of_fold import _supports, end_of_folds, further_folds, out_of_fold
from labelloop.labeling.form import generate_form
from labelloop.versions.items import TrainingItem
from tests.support.backend_factory import scans
from tests.support.data.structured_data import complaints, letters

FOREVER = math.inf


def rows_of(data: Sequence[Any], labels: Sequence[str], groups: Sequence[str] | None = None) -> list[TrainingItem]:
    keys = [str(i) for i in range(len(labels))]
    return [
        TrainingItem(key, group, item, i, label, 1.0)
        for i, (key, group, item, label) in enumerate(zip(keys, groups or keys, data, labels, strict=True))
    ]


def digits(n: int) -> list[TrainingItem]:
    """In a random order, because the set's own has one writer after the other."""
    images, truths = scans()
    order = np.random.default_rng(0).permutation(len(truths))[:n]
    return rows_of([{"image": images[i]} for i in order], [truths[i] for i in order])


def planted(rows: Sequence[TrainingItem], wrong: dict[int, str]) -> list[TrainingItem]:
    return [replace(row, label=wrong.get(i, row.label)) for i, row in enumerate(rows)]


def ranked(found: Sequence[Support | None]) -> list[int]:
    """Positions, the most doubtful first."""
    return sorted(range(len(found)), key=lambda i: -1.0 if (one := found[i]) is None else doubt(one), reverse=True)


def test_doubt_is_the_share_of_the_other_answer_among_the_two() -> None:
    assert doubt(Support(0.2, "b", 0.6)) == pytest.approx(0.75)
    assert doubt(Support(0.3, "b", 0.3)) == 0.5
    assert doubt(Support(0.0, "b", 0.1)) == 1.0
    assert doubt(Support(1.0, None, 0.0)) == 0.0
    assert doubt(Support(0.0, None, 0.0)) == 0.0


def test_support_of_one_label_by_hand() -> None:
    proba = np.array([[0.5, 0.3, 0.2], [0.1, 0.9, 0.0], [0.2, 0.2, 0.6]])
    found = supports(["a", "b", "c"], from_proba(["a", "b", "c"], proba), ["a", "a", "new"])
    assert found == [Support(0.5, "b", 0.3), Support(0.1, "b", 0.9), None]


def test_support_of_several_labels_names_the_one_label_that_is_most_likely_incorrect() -> None:
    said = Predictions(['["a"]'], np.array([0.6]), evidence=[{"labels": {"a": 0.9, "b": 0.25}}])
    [given, missing] = [supports(["a", "b"], said, [answer])[0] for answer in ('["a","b"]', "[]")]
    assert given is not None
    assert missing is not None
    assert (given.other, missing.other) == ('["a"]', '["a"]')
    assert (given.given, given.of_other, missing.given, missing.of_other) == pytest.approx((0.25, 0.75, 0.1, 0.9))
    assert supports(["a", "b"], said, ["a plain label"]) == [None]


def test_a_number_is_doubted_by_its_distance_and_not_within_the_tolerance() -> None:
    said = Predictions(["10"] * 4, np.full(4, 0.6827), tolerance=2.0)  # a standard deviation of 2
    near, far, farther, text = supports([], said, ["12", "14", "16", "many"])
    assert near == text == Support(1.0, None, 0.0)
    assert far is not None
    assert farther is not None
    assert doubt(far) == pytest.approx(0.9545, abs=1e-3)
    assert doubt(farther) == pytest.approx(0.9973, abs=1e-3)


@pytest.mark.parametrize(("n", "enough"), [(40, 400), (200, 400), (200, 70)])
def test_planted_answers_are_doubted_first_by_models_that_were_not_trained_on_them(
    n: int, enough: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 40 answers nothing is calibrated; if 70 predictions are enough, calibration predicts fewer than all."""
    monkeypatch.setattr("backend.learners.calibrate.ENOUGH", enough)
    clean = digits(n)
    wrong = {i: str((int(clean[i].label) + 5) % 10) for i in range(3, n, n // 4)}
    rows = planted(clean, wrong)
    learner, folds = fit_and_calibrate(make("images", {"field": "image"}), rows, 0)
    found = out_of_fold(learner, rows, folds, 0, FOREVER)
    assert sum(one is None for one in found) < (10 if n == 40 else 1)
    first = ranked(found)[: 2 * len(wrong)]
    assert len({*wrong} & {*first}) >= (len(wrong) if n > 40 else len(wrong) - 2)
    taught = doubts(learner, [row.data for row in rows], [row.label for row in rows])
    assert sum((taught[i] or 0) >= 0.5 for i in wrong) <= 1, "the version learned them"


def test_accepted_outputs_train_every_fold_and_are_never_held_out() -> None:
    """One that shares a group with a held-out answer does not train its fold."""
    rows = digits(260)
    accepted = set(range(0, 260, 3))
    rows = [replace(row, answer_seq=None) if i in accepted else row for i, row in enumerate(rows)]
    rows[3] = replace(rows[3], group_key=rows[1].group_key)
    learner, folds = fit_and_calibrate(make("images", {"field": "image"}), rows, 0)
    held_out = [i for fold in folds for i in fold.held_out]
    assert sorted(held_out) == sorted(set(range(260)) - accepted)
    for fold in folds:
        assert accepted - {3} <= set(fold.training)
        assert (3 in fold.training) == (1 not in fold.held_out)
    found = out_of_fold(learner, rows, folds, 0, FOREVER)
    assert {i for i, one in enumerate(found) if one is None} == accepted


def test_the_version_stays_the_same_byte_for_byte(tmp_path: Path) -> None:
    rows = digits(100)
    learner, folds = fit_and_calibrate(make("images", {"field": "image"}), rows, 7)
    before = models.store(tmp_path, "digits", learner).id
    first, again = (out_of_fold(learner, rows, folds, 7, FOREVER) for _ in range(2))
    assert first == again
    assert models.store(tmp_path, "digits", learner).id == before


def test_without_time_or_wish_only_calibrations_folds_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.learners.calibrate.ENOUGH", 70)
    rows = digits(200)
    learner, folds = fit_and_calibrate(make("images", {"field": "image"}), rows, 0)
    predicted = sum(len(fold.held_out) for fold in folds)
    assert 0 < predicted < 200
    for ends in (None, 0.0):
        found = out_of_fold(learner, rows, folds, 0, ends)
        assert sum(one is not None for one in found) == predicted
    assert end_of_folds(0.0, 100.0, 600.0) == 280.0
    assert end_of_folds(0.0, 400.0, 600.0) == 480.0, "time for the verdict is left"


def test_copies_of_an_incorrect_answer_do_not_confirm_each_other() -> None:
    """The same text in two groups with the same incorrect answer: the models without one are without both."""
    rng = np.random.default_rng(0)
    words = {"good": "fine great lovely nice superb".split(), "bad": "awful poor broken late ugly".split()}
    texts = [(" ".join([*rng.choice(words[label], 4), str(i * 7919)]), label) for i in range(60) for label in words]
    copy = "great lovely nice fine superb parcel"
    rows = rows_of([{"text": text} for text, _ in [*texts, (copy, ""), (copy + "!", "")]],
                   [*(label for _, label in texts), "bad", "bad"])  # fmt: skip
    learner, folds = fit_and_calibrate(make("text", {"field": "text", "characters": False}), rows, 0)
    found = out_of_fold(learner, rows, folds, 0, FOREVER)
    assert {*ranked(found)[:2]} == {120, 121}


def test_further_folds_hold_out_each_wanted_answer_once_and_whole_groups() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(4, 80))
        groups = np.unique(rng.integers(0, int(rng.integers(2, n)), n), return_inverse=True)[1]
        wanted = rng.random(n) < rng.choice([0.1, 0.5, 1.0])
        labels = [str(label) for label in rng.integers(0, 3, n)]
        folds = further_folds(labels, groups, wanted, 5, rng)
        if not wanted.any() or groups.max() == 0:
            assert folds == []
            continue
        assert sorted(i for _, held_out in folds for i in held_out) == np.flatnonzero(wanted).tolist()
        for training, held_out in folds:
            assert training
            assert not {*groups[training]} & {*groups[held_out]}


def test_a_fold_is_not_calibrated_by_its_own_answers() -> None:
    """Its own answers, all changed, leave the other answers' probabilities in their order and at their temperature."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.3, 0.3], 80)
    halves = [list(range(40)), list(range(40, 80))]
    folds = [
        Fold(halves[1 - i], half, ("a", "b"), from_proba(("a", "b"), proba[half])) for i, half in enumerate(halves)
    ]
    labels = ["a" if p > rng.random() else "b" for p in proba[:, 0]]
    changed = [*("b" if label == "a" else "a" for label in labels[:40]), *labels[40:]]
    before, after = _supports(folds, labels), _supports(folds, changed)
    for one, other in zip(before[:40], after[:40], strict=True):
        assert one is not None
        assert other is not None
        assert (one.given, one.of_other) == pytest.approx((other.of_other, other.given))
    assert before[40:] != after[40:], "the other fold is calibrated by them"


@pytest.mark.parametrize(("name", "items"), [("multilabel", complaints), ("spans", letters)])
def test_structured_answers_are_doubted_out_of_fold_too(name: str, items: Any) -> None:
    data, answers = items()
    position = next(i for i, answer in enumerate(answers) if answer != "[]")
    rows = planted(rows_of(data, answers), {position: "[]"})
    learner, folds = fit_and_calibrate(make(name, {"field": "item"}), rows, 0)
    found = out_of_fold(learner, rows, folds, 0, FOREVER)
    assert position in ranked(found)[: max(3, len(rows) // 10)]


def test_numbers_are_doubted_out_of_fold_though_they_are_not_calibrated() -> None:
    values = np.linspace(0, 10, 90)
    answers = [f"{3 * value:.6g}" for value in values]
    answers[30] = "29"
    rows = rows_of([{"x": float(value)} for value in values], answers)
    learner, folds = fit_and_calibrate(make("numbers", {"field": "x"}), rows, 0)
    assert folds == []
    assert ranked(out_of_fold(learner, rows, folds, 0, FOREVER))[0] == 30


def test_models_of_others_are_not_asked_or_trained_again() -> None:
    form = generate_form(["ham", "spam"], ("approval", "correction"), {"text": "$text"})
    learner = make("remote", {"field": "text", "label_config": form, "url": "http://127.0.0.1:9", "model": "m"})
    rows = rows_of([{"text": str(i)} for i in range(60)], ["ham", "spam"] * 30)
    assert out_of_fold(learner, rows, [], 0, FOREVER) == [None] * 60


def test_many_texts_are_compared_for_equality_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.train.groups.MAX_COMPARED", 3)
    text = "please send the invoice for last month to my new address"
    rows = rows_of([{"text": said} for said in (text, text + "!", text + " now", "another")], ["a"] * 4)
    assert np.unique(related(rows, "text"), return_inverse=True)[1].tolist() in (
        [0, 0, 1, 2],
        [1, 1, 0, 2],
        [1, 1, 2, 0],
    )
