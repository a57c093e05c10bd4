"""The consensus of several reviewers' structured answers; single labels are in test_feedback."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.answers.consensus import certainty, consensus
from labelloop.answers.feedback import Answer
from labelloop.labeling.kinds import canonical
from labelloop.labeling.kinds.labels import write_labels
from tests.support.data.answers import LABELS, SPANS, config

AB, A, B, C, NONE = '["a","b"]', '["a"]', '["b"]', '["c"]', "[]"
X, Y, Z = '[[0,2,"a"],[3,5,"b"]]', '[[0,2,"a"]]', '[[0,3,"a"]]'


@pytest.mark.parametrize(
    ("tag", "said", "answer", "agreement"),
    [
        ("labels", [AB], AB, 1),
        ("labels", [AB, A, A], A, (1 / 2 + 1 + 1) / 3),
        ("labels", [AB, A], None, None),  # exactly half say b
        ("labels", [NONE, NONE, A], NONE, 2 / 3),
        ("labels", [A, B, C], None, None),  # all say something, and nobody the same
        ("labels", [A, A, None], A, 2 / 3),
        ("labels", [None, None], None, None),
        ("spans", [X, Y, Y], Y, (2 / 3 + 1 + 1) / 3),
        ("spans", [Y, Z], None, None),
        ("spans", [NONE, NONE], NONE, 1),
        ("rating", ["5", "4", "4"], "4", 2 / 3),
        ("rating", ["5", "3"], None, None),
        ("rating", ["1", "3", "5"], None, None),
        ("number", ["100", "104", "96"], "100", 1),
        ("number", ["100", "104", "200"], "104", 2 / 3),
    ],
)
def test_structured_answers_are_agreed_on(
    tag: str, said: list[str | None], answer: str | None, agreement: float | None
) -> None:
    found = consensus(said, 1, config(tag).answer)
    assert found is not None
    assert (found.label, found.agreement) == (answer, agreement if agreement is None else pytest.approx(agreement))
    assert found.reviewers == len(said)


def test_a_tolerance_says_which_numbers_are_the_same() -> None:
    rating = config("rating").answer
    assert consensus(["5", "3", "4"], 1, rating, 1.0) == Answer("4", 1.0, 3)
    assert consensus(["5", "4"], 1, rating, 1.0) == Answer("4", 1.0, 2)
    assert consensus(["5", "4"], 1, rating, 0.0) == Answer(None, None, 2)


@given(st.lists(LABELS | st.none(), max_size=6), st.randoms())
def test_the_order_of_the_reviewers_makes_no_difference(sets: list[list[str] | None], random: object) -> None:
    said = [None if one is None else write_labels(one) for one in sets]
    control = config("labels").answer
    found = consensus(said, 1, control)
    random.shuffle(said)  # type: ignore[attr-defined]
    again = consensus(said, 1, control)
    assert (found and found.label) == (again and again.label)
    assert found is None or found.agreement is None or 0 < found.agreement <= 1


@given(SPANS, st.integers(1, 5))
def test_equal_answers_agree_wholly(spans: list[object], n: int) -> None:
    control = config("spans").answer
    answer = canonical(control, spans)
    assert consensus([answer] * n, 1, control) == Answer(answer, 1.0, n)


@pytest.mark.parametrize(
    ("agree", "reviewers", "sure"), [(1, 1, 3 / 4), (2, 2, 7 / 8), (3, 3, 15 / 16), (2, 3, 11 / 16), (1, 3, 5 / 16)]
)
def test_an_answer_is_surer_the_more_people_give_it_and_the_fewer_do_not(
    agree: int, reviewers: int, sure: float
) -> None:
    assert certainty(agree / reviewers, reviewers) == sure


@given(st.integers(1, 50), st.integers(0, 50))
def test_certainty_is_a_weight(reviewers: int, agree: int) -> None:
    assert 0 < certainty(min(agree, reviewers) / reviewers, reviewers) <= 1
