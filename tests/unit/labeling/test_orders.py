"""Orders: Borda's consensus, Kendall's tau, and rankers whose items are not those of the data."""

from __future__ import annotations

import json
import random
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from labelloop.answers.measures import measured, score_words
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import canonical, order
from tests.support.data.written_by_the_editor import GROUP, ITEMS, PICK, RANKER

RANKED, PICKED, GROUPED = (LabelingConfig.parse(form).answer for form in (RANKER, PICK, GROUP))
DATA = {"items": ITEMS}
ORDERS = st.permutations("abcd").map(list)


def agreed(control: ControlTag, answers: list[str]) -> tuple[Any, ...]:
    return order.agreed(control, answers, None)


def written(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def stated(lists: dict[str, list[str]]) -> set[tuple[str, ...]]:
    """The statements of an answer with buckets: which of two items comes first, and which bucket each is in."""
    pairs = {(*pair, name) for name, ids in lists.items() for pair in combinations(ids, 2)}
    return pairs | {(one, name) for name, ids in lists.items() for one in ids}


@given(*[st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from(GROUPED.buckets), min_size=1) for _ in range(2)])
def test_the_item_score_of_buckets_is_f1_of_what_they_state(one: dict[str, str], other: dict[str, str]) -> None:
    lists = [{name: [i for i in given if given[i] == name] for name in given.values()} for given in (one, other)]
    first, second = map(stated, lists)
    expected = 2 * len(first & second) / (len(first) + len(second))
    assert order.score(GROUPED, *map(written, lists)) == pytest.approx(expected)


@given(ORDERS, ORDERS)
def test_the_item_score_is_kendalls_tau_from_0_to_1(one: list[str], other: list[str]) -> None:
    places = [[answer.index(item) for item in "abcd"] for answer in (one, other)]
    tau = kendalltau(*places).statistic
    assert order.score(RANKED, written(one), written(other)) == pytest.approx((tau + 1) / 2)
    assert order.measures(RANKED, written(one), written(other)) == {"tau": pytest.approx(tau)}


@given(st.lists(ORDERS, min_size=1, max_size=5), st.randoms())
def test_the_order_of_the_people_does_not_matter(people: list[list[str]], chance: random.Random) -> None:
    answers = [written(one) for one in people]
    found = agreed(RANKED, answers)
    assert found == pytest.approx(agreed(RANKED, chance.sample(answers, len(answers)))) or found[0] is None
    if found[0] is not None:
        assert sorted(json.loads(found[0])) == list("abcd")
        assert agreed(RANKED, answers * 3)[0] == found[0]


def test_people_agree_by_bordas_count() -> None:
    two, one = written(["a", "b", "c"]), written(["b", "c", "a"])
    assert agreed(RANKED, [two, two, one]) == ('["a","b","c"]', pytest.approx(2 + 1 / 3))
    assert agreed(RANKED, [two, one]) == ('["b","a","c"]', pytest.approx(2 / 3 + 2 / 3))
    assert agreed(RANKED, [two, written(["a", "c", "b"])]) == (None, 0.0)
    assert agreed(RANKED, [two, written(["c", "b", "a"])]) == (None, 0.0)


def test_orders_that_go_round_in_a_circle_are_a_tie() -> None:
    circle = [written(one) for one in (["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"])]
    assert agreed(RANKED, circle) == (None, 0.0)


def test_with_buckets_an_item_is_where_most_put_it() -> None:
    people = ['{"best":["a","b"]}', '{"best":["b","a"],"worst":["c"]}', '{"best":["a","b"],"worst":["c"]}']
    assert agreed(PICKED, people)[0] == '{"best":["a","b"],"worst":["c"]}'
    assert agreed(PICKED, people[:2]) == (None, 0.0)
    assert agreed(PICKED, ["{}", "{}", '{"best":["a"]}']) == ("{}", pytest.approx(2.0))


def test_with_buckets_place_and_order_are_scored() -> None:
    assert order.score(PICKED, '{"best":["a","b"]}', '{"best":["a","b"]}') == 1
    assert order.score(PICKED, "{}", "{}") == 1
    # a in best, b in best, a before b: two of three are the same
    assert order.score(PICKED, '{"best":["a","b"]}', '{"best":["b","a"]}') == pytest.approx(2 / 3)
    assert order.score(PICKED, '{"best":["a"]}', '{"worst":["a"]}') == 0
    assert order.measures(PICKED, '{"best":["a","b"]}', '{"best":["b"],"worst":["a"]}') == {"same_bucket": 0.5}
    assert order.measures(PICKED, '{"best":["a","b"]}', '{"best":["b","a"]}') == {"tau": -1.0, "same_bucket": 1.0}


@pytest.mark.parametrize(
    ("control", "answer", "why"),
    [
        (RANKED, ["a", "b"], "an order names every item; missing: 'c'"),
        (RANKED, ["a", "b", "c", "d"], "no item 'd' in data.items; there are: 'a', 'b', 'c'"),
        (GROUPED, {"best": ["a"]}, "every item is in a bucket; missing: 'b', 'c'"),
        (PICKED, {"best": ["z"]}, "no item 'z'"),
    ],
    ids=["a missing item", "an unknown item", "an item in no group", "an unknown item picked"],
)
def test_an_order_has_the_items_of_the_data(control: object, answer: object, why: str) -> None:
    assert isinstance(control, type(RANKED))
    with pytest.raises(ValueError, match=why):
        order.fits(control, canonical(control, answer), DATA)


def test_an_order_of_the_items_fits() -> None:
    order.fits(RANKED, '["c","a","b"]', DATA)
    order.fits(PICKED, '{"best":["a"]}', DATA)
    order.fits(GROUPED, '{"best":["c"],"rest":["a","b"]}', DATA)
    order.fits(RANKED, '["2","1"]', {"items": [{"id": 1}, {"id": 2.0}]})
    order.fits(RANKED, '["x"]', {"items": "not a list"})  # the data is checked elsewhere


@pytest.mark.parametrize(
    ("control", "answer", "why"),
    [
        (RANKED, "[]", "names no item"),
        (RANKED, '["a","a"]', "the item 'a' is there twice"),
        (RANKED, '{"best":["a"]}', "must be a list of ids"),
        (RANKED, "a,b", "must be a list of ids, such as"),
        (PICKED, '["a"]', "must be lists of ids"),
        (PICKED, '{"good":["a"]}', "no bucket 'good'; there are: best, worst"),
        (PICKED, '{"best":["a"],"worst":["a"]}', "the item 'a' is there twice"),
    ],
)
def test_another_value_is_refused_with_the_reason(control: object, answer: str, why: str) -> None:
    assert isinstance(control, type(RANKED))
    with pytest.raises(ValueError, match=why):
        canonical(control, answer)


def test_the_score_has_words_and_the_measures_count_their_items() -> None:
    config = LabelingConfig.parse(RANKER)
    assert "Kendall's tau" in score_words(config.answer)
    pairs = [('["a","b"]', '["b","a"]'), ('["a","b"]', '["a","b"]'), ('["a"]', '["a"]'), ('["a","b"]', "no order")]
    assert measured(config, pairs) == {"tau": {"value": 0.0, "items": 2}}
