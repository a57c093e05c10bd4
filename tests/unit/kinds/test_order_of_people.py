"""Consensus does not depend on the order of the people, and is an answer that a person could give."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.labeling import kinds
from tests.support.data.drawn import KINDS, answers, form


@pytest.mark.parametrize("names", KINDS.values())
@settings(max_examples=60, deadline=None)
@given(data=st.data(), order=st.randoms())
def test_the_order_of_people_makes_no_difference_and_the_answer_can_be_given(
    names: tuple[str, ...], data: st.DataObject, order: random.Random
) -> None:
    name = data.draw(st.sampled_from(names))
    control = form(name).answer
    people = [kinds.canonical(control, data.draw(answers(name))) for _ in range(data.draw(st.integers(1, 3)))]
    found, agreement = kinds.of(control).agreed(control, people, None)
    order.shuffle(people)
    again, same = kinds.of(control).agreed(control, people, None)
    assert again == found
    assert same == pytest.approx(agreement)
    if found is not None:
        assert kinds.canonical(control, found) == found
    assert kinds.of(control).score(control, people[0], people[0]) == 1
    assert kinds.of(control).measures(control, people[0], people[0]) == {"mean_iou": 1}
