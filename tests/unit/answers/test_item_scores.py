"""Item scores of answers of each kind, and the texts of structured answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.item_scores import item_score
from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.number import read_number, write_number
from tests.support.data.answers import LABELS, NUMBERS, SPANS, TAGS, config


@pytest.mark.parametrize(
    ("tag", "answer", "said", "score"),
    [
        ("label", "a", "a", 1),
        ("label", "a", "b", 0),
        ("label", "a", None, 0),
        ("labels", '["a","b"]', '["b","a"]', 1),
        ("labels", '["a","b"]', '["b","c"]', 1 / 3),
        ("labels", "[]", "[]", 1),
        ("labels", "[]", '["a"]', 0),
        ("labels", '["a"]', "a", 0),
        ("spans", '[[0,2,"a"],[3,5,"b"]]', '[[0,2,"a"],[3,6,"b"]]', 1 / 2),
        ("spans", '[[0,2,"a"]]', '[[0,2,"b"]]', 0),
        ("spans", "[]", "[]", 1),
        ("spans", '[[0,2,"a"]]', "[[0]]", 0),
        ("rating", "5", "4", 0.75),
        ("rating", "1", "5", 0),
        ("rating", "3", "3.5", 0.875),
        ("number", "10", "5", 0.5),
        ("number", "0", "0.0", 1),
        ("number", "-1", "1", 0),
        ("number", "1", "many", 0),
    ],
)
def test_an_answer_is_scored_by_its_kind(tag: str, answer: str, said: str | None, score: float) -> None:
    assert item_score(config(tag), answer, said) == pytest.approx(score)


@given(st.data(), st.sampled_from(sorted(TAGS)))
def test_a_score_lies_between_0_and_1_and_is_1_for_the_same(data: st.DataObject, tag: str) -> None:
    control = config(tag).answer
    values = {
        Kind.LABEL: st.sampled_from("ab"),
        Kind.LABELS: LABELS,
        Kind.SPANS: SPANS,
        Kind.NUMBER: st.integers(1, 5) if tag == "rating" else NUMBERS,
    }[control.kind]
    one, other = (canonical(control, data.draw(values)) for _ in range(2))
    assert item_score(config(tag), one, one) == 1
    assert 0 <= item_score(config(tag), one, other) == item_score(config(tag), other, one) <= 1
    assert (item_score(config(tag), one, other) == 1) == (one == other) or tag == "number"


@given(NUMBERS)
def test_a_number_is_written_shortly_and_read_back(number: float) -> None:
    assert read_number(write_number(number)) == number
    assert write_number(float(write_number(number))) == write_number(number)


@pytest.mark.parametrize(
    ("number", "text"), [(4.0, "4"), (0.1, "0.1"), (-0.0, "0"), (1e-7, "0.0000001"), (100.0, "100")]
)
def test_a_number_is_its_shortest_decimal(number: float, text: str) -> None:
    assert write_number(number) == text


@pytest.mark.parametrize(
    ("tag", "answer", "words"),
    [
        ("label", "c", "no such label 'c'; there are: a, b"),
        ("label", 3, "must be a text"),
        ("labels", '["d"]', "no such label 'd'; there are: a, b, c"),
        ("labels", "a", r"must be a list of labels, such as .*; it is the text 'a'"),
        ("labels", [1], "must be a list of labels"),
        ("labels", "[" * 10_000, "is not JSON"),
        ("spans", "{}", "must be a list of spans"),
        ("spans", [[3, 3, "a"]], "0 <= start < end"),
        ("spans", [[False, True, "a"]], "0 <= start < end"),
        ("spans", [[0, 2, "person"]], "no such label 'person'"),
        ("rating", "6", "must lie between 1 and 5; it is 6"),
        ("rating", True, "must be a number up to"),
        ("number", "nan", "must be a number up to"),
        ("number", "1e16", "must be a number up to"),
        ("number", "ten", "it is 'ten'"),
    ],
)
def test_what_the_control_cannot_give_is_refused_with_the_reason(tag: str, answer: object, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        canonical(config(tag).answer, answer)


def test_equal_answers_are_equal_texts() -> None:
    labels, spans = config("labels").answer, config("spans").answer
    assert canonical(labels, ["b", "a", "b"]) == canonical(labels, ' ["a", "b"]') == '["a","b"]'
    assert canonical(spans, [[5, 9, "b"], [0, 2, "a"]]) == '[[0,2,"a"],[5,9,"b"]]'
    assert canonical(config("number").answer, 4) == canonical(config("number").answer, "4.0") == "4"
