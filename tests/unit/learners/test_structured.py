"""The learners of structured answers: the laws of test_learners, for answers that are no single label."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import models
from backend.learners import LEARNER_CLASSES, Learner, make
from backend.learners.parts.tokens import tokens_of
from labelloop.answers.item_scores import item_score_of_control
from labelloop.errors import Failed, Unreadable
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.labels import read_labels
from labelloop.labeling.kinds.number import read_number, write_number
from labelloop.labeling.kinds.spans import read_spans
from labelloop.reading.evidence import read as read_evidence
from labelloop.spec.learners import LEARNERS
from tests.support.data.learner_data import Data
from tests.support.data.structured_data import complaints, letters, sizes, stars


@dataclass(frozen=True)
class Case:
    learner: str
    items: Callable[[], tuple[Data, list[str]]]
    bad: object
    control: ControlTag
    score: float
    """Mean item score that it should reach on items outside the training set."""


NUMBER = ControlTag("Number", "n", "t", low=0.0, high=160.0)
CASES = {
    "multilabel": Case("multilabel", complaints, ["a text"], ControlTag("Choices", "c", "t", choice="multiple"), 0.9),
    "spans": Case("spans", letters, ["a text"], ControlTag("Labels", "l", "t"), 0.9),
    "numbers of text": Case("numbers", stars, [], ControlTag("Rating", "r", "t", low=1.0, high=5.0), 0.85),
    "numbers of numbers": Case("numbers", sizes, "many", NUMBER, 0.9),
}


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def case(name: str) -> Case:
    return CASES[name]


def taught(case: Case, n: int = 120) -> Learner:
    data, answers = case.items()
    return make(case.learner, {"field": "item"}).fit(data[:n], answers[:n], np.random.default_rng(0))


@cache
def ready(name: str) -> Learner:
    """The case's learner, for tests that only ask it."""
    return taught(CASES[name])


def test_every_structured_learner_has_a_case_and_every_learner_a_kind() -> None:
    structured = {name for name, facts in LEARNERS.items() if facts.predicts not in (None, Kind.LABEL)}
    assert {case.learner for case in CASES.values()} == structured
    assert LEARNERS.keys() == LEARNER_CLASSES.keys()


def test_it_learns(case: Case) -> None:
    data, answers = case.items()
    said = taught(case, 80).predict(data[80:])
    assert (
        np.mean(
            [item_score_of_control(case.control, a, str(b)) for a, b in zip(answers[80:], said.labels, strict=True)]
        )
        > case.score
    )


def test_it_answers_as_tables_hold_answers_with_confidences_and_evidence(case: Case, name: str) -> None:
    data, answers = case.items()
    learner = ready(name)
    said = learner.predict(data)
    assert len(said) == len(data)
    assert [canonical(case.control, label) for label in said.labels] == said.labels
    assert said.confidences.shape == (len(data),)
    assert said.confidences.dtype == np.float64
    assert ((said.confidences >= 0) & (said.confidences <= 1)).all()
    assert said.proba is None
    for evidence in said.evidence or ():
        read_evidence(dict(evidence))
    assert learner.classes == tuple(sorted(learner.classes))
    assert len(learner.predict([])) == 0
    if name == "multilabel":
        assert learner.classes == tuple(sorted({label for answer in answers for label in read_labels(answer)}))
    if name == "spans":
        assert learner.classes == ("person", "place")


def test_an_item_is_judged_alike_alone_and_among_others(case: Case, name: str) -> None:
    data, _ = case.items()
    learner = ready(name)
    alone, among = learner.predict(data[3:4]), learner.predict(data)
    assert alone.labels[0] == among.labels[3]
    assert alone.confidences[0] == pytest.approx(among.confidences[3], abs=1e-9)


def test_the_same_seed_and_data_give_the_same_file_which_says_the_same(case: Case, name: str, tmp_path: Path) -> None:
    data, _ = case.items()
    one, other = ready(name), taught(case)
    stored = models.store(tmp_path, "a-loop", one)
    assert models.store(tmp_path, "a-loop", other) == stored
    read = models.load(tmp_path, stored.id)
    assert read.predict(data).labels == one.predict(data).labels
    np.testing.assert_array_equal(read.predict(data).confidences, one.predict(data).confidences)


def test_fitting_again_forgets_what_was_learned_before(case: Case) -> None:
    data, answers = case.items()
    learner = taught(case)
    learner.predict(data)
    learner.fit(data[:40], answers[:40], np.random.default_rng(0))
    assert learner.predict(data).labels == taught(case, 40).predict(data).labels


@pytest.mark.parametrize("n", [0, 1, 5])
def test_nothing_to_tell_apart_is_refused_in_words(case: Case, n: int) -> None:
    data, answers = case.items()
    with pytest.raises(Failed, match="at least 2 different labels"):
        make(case.learner, {"field": "item"}).fit(data[:n], answers[:1] * n, np.random.default_rng(0))


def test_two_answers_are_enough(case: Case) -> None:
    data, answers = case.items()
    learner = make(case.learner, {"field": "item"}).fit(data[1:3], answers[1:3], np.random.default_rng(0))
    assert len(learner.predict(data)) == len(data)


def test_answers_of_another_kind_are_refused_in_words(case: Case) -> None:
    data, answers = case.items()
    with pytest.raises(Failed, match="an answer is of another kind"):
        make(case.learner, {"field": "item"}).fit(data, [*answers[1:], "a plain label"], np.random.default_rng(0))


def test_items_that_cannot_be_read_are_named_all_at_once(case: Case) -> None:
    data, answers = case.items()
    data[4], data[7] = {"item": case.bad}, {"other": 1}
    learner = taught(case)
    for use in (
        lambda: learner.check(data),
        lambda: make(case.learner, {"field": "item"}).check(data),
        lambda: learner.predict(data),
        lambda: learner.fit(data, answers, np.random.default_rng(0)),
    ):
        with pytest.raises(Unreadable) as raised:
            use()
        assert set(raised.value.faults) <= {4, 7}
        assert raised.value.faults


def test_answers_that_weigh_little_are_outvoted_by_fewer_that_weigh_much(case: Case) -> None:
    """Each item once with its own answer, and twice with the next one's."""
    data, answers = case.items()
    wrong = [*answers[1:], answers[0]]

    def right(weights: list[float] | None) -> float:
        learner = make(case.learner, {"field": "item"})
        said = learner.fit(data * 3, answers + wrong * 2, np.random.default_rng(0), weights).predict(data).labels
        return float(
            np.mean([item_score_of_control(case.control, a, str(b)) for a, b in zip(answers, said, strict=True)])
        )

    assert right([1.0] * 120 + [0.01] * 240) > right(None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multilabel", "spans", "numbers of text"])
def test_a_text_of_a_megabyte_is_learned_from_and_judged(case: Case) -> None:
    data, answers = case.items()
    data[1] = {"item": str(data[1]["item"]) + " and so on" * 100_000}
    learner = make(case.learner, {"field": "item"}).fit(data[1:4], answers[1:4], np.random.default_rng(0))
    assert len(learner.predict(data[:2])) == 2


def test_no_file_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taught(CASES["spans"])
    assert list(tmp_path.iterdir()) == []


# -- what is particular to one -----------------------------------------------------------------------------------


def test_a_label_that_was_always_given_is_likely_and_one_that_never_was_unknown() -> None:
    data: Data = [{"t": "one"}, {"t": "two"}, {"t": "three"}]
    learner = make("multilabel", {"field": "t"}).fit(data, ['["a","b"]', '["a"]', '["a"]'], np.random.default_rng(0))
    said = learner.predict(data)
    assert learner.classes == ("a", "b")
    assert said.evidence is not None
    assert all(one["labels"]["a"] == pytest.approx(4 / 5) for one in said.evidence)


def test_a_confidence_of_several_labels_is_the_chance_of_them_all() -> None:
    data, _ = complaints()
    said = ready("multilabel").predict(data)
    shares = np.array([list(one["labels"].values()) for one in said.evidence or ()])
    np.testing.assert_allclose(said.confidences, np.maximum(shares, 1 - shares).prod(axis=1))


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=30))
def test_spans_lie_within_any_text_and_at_its_words(text: str) -> None:
    learner = ready("spans")
    (label,) = learner.predict([{"item": text}]).labels
    tokens = tokens_of(text)
    for span in read_spans(label):
        assert span.start in {token.start for token in tokens}
        assert span.end in {token.end for token in tokens}


def test_a_long_text_is_read_in_pieces_to_its_end() -> None:
    learner = ready("spans")
    text = "so it goes. " * 400 + "Anna wrote from Oslo."
    (label,) = learner.predict([{"item": text}]).labels
    assert {text[span.start : span.end] for span in read_spans(label)} >= {"Anna", "Oslo"}


def test_a_number_far_from_the_training_answers_is_predicted_with_less_confidence() -> None:
    rng = np.random.default_rng(0)
    near = [{"x": float(x)} for x in rng.uniform(0, 10, 200)]
    answers = [write_number(round(float(one["x"]) * 3 + rng.normal(0, 0.1), 3)) for one in near]
    noisy = [{"x": float(x)} for x in rng.uniform(10, 20, 200)]
    answers += [write_number(round(float(rng.uniform(0, 60)), 3)) for _ in noisy]
    learner = make("numbers", {"field": "x"}).fit([*near, *noisy], answers, np.random.default_rng(0))
    sure, unsure = learner.predict([{"x": 5.0}] * 2), learner.predict([{"x": float(x)} for x in range(11, 20)])
    assert sure.confidences[0] > unsure.confidences.mean()
    assert read_number(sure.labels[0]) == pytest.approx(15, abs=2)


def test_a_number_is_predicted_from_several_fields_and_within_the_answers_range() -> None:
    data: Data = [{"text": ["small", "large"][i % 2], "weight": i % 10} for i in range(100)]
    answers = [write_number(10 * (i % 2) + i % 10) for i in range(100)]
    learner: Any = make("numbers", {"field": "text", "fields": ["weight"]})
    said = learner.fit(data, answers, np.random.default_rng(0)).predict([{"text": "large", "weight": 1000}, data[3]])
    assert read_number(said.labels[0]) == 19
    assert read_number(said.labels[1]) == pytest.approx(13, abs=1)
    with pytest.raises(Unreadable, match="its field 'weight' is not a number, as in the other items"):
        learner.check([{"text": "small", "weight": "3"}])
    with pytest.raises(Unreadable, match="is not a finite number, or too large"):
        learner.check([{"text": "small", "weight": float("nan")}])
