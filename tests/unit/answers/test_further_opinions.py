"""Further opinions on a planted crowd: fewer answers for the same accuracy, and never more than the budget."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest

from benchmarks.promises.crowd import Crowd, arranged, asked, coverage, differing, half_width, majority, weighed
from labelloop.answers.consensus import adjudicated, needed, unsettles, wants_more
from labelloop.answers.feedback import Answer


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    """12 people, half of them careless, who answer five times each of 400 items with one of three labels."""
    rng = np.random.default_rng(7)
    accuracy = np.array([0.95] * 6 + [0.5] * 6)
    truth = rng.integers(0, 3, 400)
    item = np.repeat(np.arange(400), 5)
    person = np.concatenate([rng.choice(12, 5, replace=False) for _ in range(400)])
    wrong = (truth[item] + rng.integers(1, 3, len(item))) % 3
    label = np.where(rng.random(len(item)) < accuracy[person], truth[item], wrong)
    return arranged(item, person, label, truth, 12, 3, rng)


def test_a_third_person_where_two_differ_gives_the_majority_of_three(crowd: Crowd) -> None:
    three, fewer = majority(crowd, np.full(400, 3)), differing(crowd)
    assert (fewer.right == three.right).all()
    assert fewer.answers < 0.95 * three.answers


def test_few_answers_where_they_are_needed_are_as_good_as_three_each(crowd: Crowd) -> None:
    votes, weights = (of(crowd, np.full(400, 3)).right.mean() for of in (majority, weighed))
    assert weights > votes + 0.04
    few, more = asked(crowd, 1, 1.8), asked(crowd, 1, 2.4)
    assert few.answers <= 0.6 * 1200
    assert few.right.mean() >= votes
    assert more.answers <= 0.8 * 1200
    assert more.right.mean() > weights - 0.005


def test_nobody_is_asked_about_what_is_sure_or_beyond_the_most(crowd: Crowd) -> None:
    assert asked(crowd, 1, 5.0, most=1).answers == 400
    all_ = asked(crowd, 1, 5.0, most=5, sure=0.95)
    assert 400 < all_.answers < 1500
    assert all_.right.mean() > 0.95


def test_items_that_the_same_people_answered_count_as_one() -> None:
    item, person = np.repeat(np.arange(4), 2), np.array([0, 1, 1, 0, 2, 1, 2, 0])
    label, truth = np.zeros(8, dtype=int), np.array([0, 0, -1, 0])
    crowd = arranged(item, person, label, truth, 3, 2, np.random.default_rng(3))
    assert crowd.team.tolist() == [0, 0, 1], "the third item has no known truth"
    values = np.random.default_rng(3).normal(size=50)
    alone = half_width(values, np.arange(50))
    assert alone == pytest.approx(1.96 * values.std(ddof=1) / 50**0.5)
    twice = half_width(np.repeat(values, 2), np.repeat(np.arange(50), 2))
    assert twice == pytest.approx(alone), "a repeated item says nothing new"


def test_the_interval_of_a_persons_accuracy_holds_for_most_planted_people() -> None:
    shares = [share for _, share in coverage(runs=3)]
    assert min(shares) > 0.8
    assert np.mean(shares) > 0.92


def test_the_rule_asks_on_a_tie_and_below_the_certainty_only() -> None:
    tie, two = Answer(None, None, 2), Answer("cat", 1.0, 2)
    assert wants_more(tie, 3, 0.95)
    assert not wants_more(tie, 2, 0.95), "the most have answered"
    assert not wants_more(two, 3, 0.95), "by majority nobody else is asked"
    assert not wants_more(None, 3, 0.95)
    assert wants_more(Answer("cat", 1.0, 2, 0.9), 3, 0.95)
    assert not wants_more(Answer("cat", 1.0, 2, 0.96), 3, 0.95)


def test_an_estimate_replaces_a_label_by_a_certain_one_only() -> None:
    before = Answer("cat", 0.5, 2, 0.8)
    assert not unsettles(before, Answer("dog", 0.5, 2, 0.9), 0.95)
    assert unsettles(before, Answer("dog", 0.5, 2, 0.96), 0.95)
    assert not unsettles(before, Answer("cat", 0.5, 2, 0.85), 0.95)
    assert unsettles(before, Answer("cat", 0.5, 2, 0.95), 0.95)
    assert not unsettles(before, Answer(None, None, 2, 0.5), 0.95), "a label is not taken away"
    assert unsettles(Answer(None, None, 2), Answer("dog", 0.5, 2, 0.6), 0.95)
    assert not unsettles(Answer(None, None, 2), Answer("dog", 0.5, 3, 0.6), 0.95), "a new opinion is the pull's"


def test_an_adjudicators_answer_wants_no_more_and_a_change_of_adjudicators_unsettles() -> None:
    mira = UUID(int=1)
    final = adjudicated(mira, "eel", ["cat", "dog", "eel"])
    assert final == Answer("eel", 1 / 3, 3, 1.0, adjudicator=mira)
    assert not wants_more(final, 10, 0.95)
    tie = Answer(None, None, 3)
    assert (unsettles(tie, final, 0.95), unsettles(final, tie, 0.95), unsettles(final, final, 0.95)) == (
        True,
        True,
        False,
    )


def test_a_larger_overlap_takes_no_answer_back() -> None:
    assert [needed(2, before) for before in (0, 1, 2, 3)] == [2, 1, 2, 2]
    assert needed(1, 3) == 1
