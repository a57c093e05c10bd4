"""The reason that annotators read: a sentence without the terms of a strategy, and beside it the strategy's number."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop import strategies
from labelloop.queue.lanes import Lane
from labelloop.queue.tasks import task_reason
from labelloop.queue.why import of_confidence, of_evidence, split, why, whys

PETS = ("cat", "dog", "eel")
EVIDENCE: dict[str, dict[str, Any]] = {
    f"evidence.{name}": {name: value}
    for name, value in {
        "committee": [{"cat": 1.0}, {"dog": 1.0}],
        "labels": {"cat": 0.4, "dog": 0.9},
        "tokens": [{"O": 0.6, "PER": 0.4}],
        "boxes": [0.5],
        "log_probabilities": [-1.0],
        "samples": ["a", "b"],
    }.items()
}


@pytest.mark.parametrize(
    ("strategy", "row", "sentence", "statistic"),
    [
        ("margin", [0.48, 0.45, 0.07], "The model hesitates between cat (48 %) and dog (45 %)", "margin 0.97"),
        ("margin", [0.2, 0.3, 0.5], "The model hesitates between eel (50 %) and dog (30 %)", "margin 0.80"),
        ("least_confidence", [0.1, 0.15, 0.75], "The model says eel, but is only 75 % sure", "least_confidence 0.25"),
        ("ratio", [0.95, 0.03, 0.02], "The model says cat and is 95 % sure", "ratio 0.03"),
        ("entropy", [1 / 3, 1 / 3, 1 / 3], "The model hesitates between cat (33 %) and dog (33 %)", "entropy 1.00"),
        ("entropy", [0.999, 0.001, 0.0], "The model says cat and is over 99 % sure", "entropy 0.01"),
        ("random", [0.5, 0.4, 0.1], "Chosen at random", ""),
        ("vote_entropy", [0.5, 0.4, 0.1], "", ""),
    ],
)
def test_probabilities_become_a_sentence_and_a_statistic(
    strategy: str, row: list[float], sentence: str, statistic: str
) -> None:
    assert split(why(strategy, row, PETS)) == (sentence, statistic)


@pytest.mark.parametrize(
    ("strategy", "evidence", "sentence"),
    [
        ("labels_max", {"labels": {"cat": 0.52, "dog": 0.9}}, "The model is not sure whether cat applies (52 %)"),
        (
            "labels_max",
            {"labels": {"cat": 0.02, "dog": 0.97}},
            "The model is sure of each label; it is least sure of dog (97 %)",
        ),
        ("tokens_max", {"tokens": [0.9, {"O": 0.51, "PER": 0.49}]}, "The model is not sure what to mark: 51 % at"),
        ("tokens_max", {"tokens": []}, "The model found nothing to mark"),
        ("boxes_max", {"boxes": [0.9, 0.34, 0.8]}, "The model found 3 boxes and is least sure of one (34 %)"),
        ("boxes_max", {"boxes": [0.6]}, "The model found one box and is 60 % sure of it"),
        ("boxes_sum", {"boxes": []}, "The model found no box"),
        (
            "vote_entropy",
            {"committee": [{"cat": 1.0}, {"cat": 0.6, "dog": 0.4}, {"dog": 0.9, "eel": 0.1}, {"eel": 1.0}]},
            "The models disagree: 2 say cat, 1 say dog, 1 say something else",
        ),
        ("vote_entropy", {"committee": [{"cat": 0.6, "dog": 0.4}] * 2}, "All 2 models say cat, but some are less sure"),
        ("log_probability_min", {"log_probabilities": [-0.1, -3.0]}, "The model was unsure of its wording: 5 % at"),
        ("samples_disagree", {"samples": ["a", "b", "a"]}, "Asked 3 times, the model wrote 2 different texts"),
        ("samples_disagree", {"samples": ["a", "a"]}, "The model wrote the same text 2 times"),
    ],
)
def test_every_form_of_evidence_becomes_a_sentence(strategy: str, evidence: dict[str, Any], sentence: str) -> None:
    said, statistic = split(of_evidence(strategy, evidence, PETS))
    assert said.startswith(sentence)
    assert statistic.startswith(f"{strategy} ")


@pytest.mark.parametrize(
    ("confidence", "label", "sentence"),
    [
        (None, "cat", "The model did not say how sure it is"),
        (0.4, "cat", "The model says cat, but is only 40 % sure"),
        (0.93, "3.5", "The model says 3.5 and is 93 % sure"),
        (0.44, "4.15901", "The model says 4.16, but is only 44 % sure"),
        (0.4, '[[0,4,"person"]]', "The model is only 40 % sure of its answer"),
        (0.4, '[{"box":[1,2,3,4]}]', "The model is only 40 % sure of its answer"),
        (0.95, None, "The model is 95 % sure of its answer"),
    ],
)
def test_a_confidence_alone_becomes_a_sentence(confidence: float | None, label: str | None, sentence: str) -> None:
    assert split(of_confidence(confidence, label))[0] == sentence


LABELS = st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=6, unique=True)


@given(LABELS, st.data(), st.sampled_from(["margin", "entropy", "ratio", "least_confidence"]))
def test_a_sentence_is_one_line_of_about_a_hundred_characters_and_the_statistic_is_the_utility(
    labels: list[str], data: st.DataObject, strategy: str
) -> None:
    weights = np.array(data.draw(st.lists(st.floats(0.01, 1.0), min_size=len(labels), max_size=len(labels))))
    row = weights / weights.sum()
    sentence, statistic = split(why(strategy, row, labels))
    assert 0 < len(sentence) <= 110
    assert "\n" not in sentence + statistic
    assert float(statistic.split()[1]) == pytest.approx(strategies.utilities(strategy, row[None, :])[0], abs=0.0051)


def test_labels_from_right_to_left_are_isolated_from_the_sentence() -> None:
    """Else a reader sees the number that follows such a label before it."""
    sentence, _ = split(why("margin", [0.48, 0.45, 0.07], ("חתול", "dog", "قطة")))
    assert sentence == "The model hesitates between \u2068חתול\u2069 (48 %) and dog (45 %)"


def test_a_strategy_without_labels_and_a_wrong_table() -> None:
    for strategy in ("margin", "entropy", "ratio", "least_confidence"):
        assert split(why(strategy, [1.0], ["cat"]))[0] == "The model knows only one answer, cat"
        assert whys(strategy, np.empty((0, 3)), PETS) == []
    with pytest.raises(ValueError, match=r"shape \(1, 2\) for 3 labels"):
        whys("margin", [[0.5, 0.5]], PETS)


@pytest.mark.parametrize("name", strategies.names())
def test_no_sentence_uses_the_terms_of_statistics_nor_speaks_of_people(name: str) -> None:
    reason = why(name, [0.5, 0.4, 0.1], PETS) or of_evidence(name, EVIDENCE[strategies.get(name).reads], PETS)
    sentence, _ = split(reason)
    assert sentence
    assert not re.search("margin|entropy|utility|token|probabilit|confiden|modAL|points", sentence)
    assert not re.search("person|people|annotator|answered|reviewer", sentence)


def test_no_reason_of_any_lane_tells_what_another_person_answered() -> None:
    for lane in Lane:
        sentence, statistic = task_reason(lane, "The model says cat, but is only 40 % sure\nmargin 0.40", "unlike 3")
        assert not re.search("person|people|another|answered|differ", sentence + statistic)


def test_a_loop_without_guesses_names_none() -> None:
    reason = why("margin", [0.48, 0.45, 0.07], PETS)
    assert task_reason(Lane.RULE, reason, guesses=False) == (
        "Your answer helps most here",
        "margin 0.97",
    )
    assert split("a reason of an earlier version") == ("a reason of an earlier version", "")


def test_a_whole_text_is_not_kept_in_memory() -> None:
    text = "word " * 100
    before = sys.getrefcount(text)
    assert of_confidence(0.4, text).startswith("The model says word word word word wor…, but")
    assert sys.getrefcount(text) == before
