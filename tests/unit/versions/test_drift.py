"""Drift told from chance: planted shifts are found, unchanged streams raise no alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labelloop.versions.drift import MIN_ANSWERS, MIN_OUTPUTS, accuracy_drop, shift, words

LEVEL = 0.25


def test_the_index_is_that_of_counting_by_hand() -> None:
    found = shift({"a": 8_000, "b": 2_000}, {"a": 5_000, "b": 5_000})
    assert found is not None
    assert found.index == pytest.approx((0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5), rel=1e-3)
    assert (found.most, found.beyond_chance) == ("b", True)


def test_an_unchanged_stream_raises_no_alarm_however_often_it_is_looked_at() -> None:
    """The same outputs again and again, and some more: 60 streams, 30 looks each, at any level."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(60):
        shares, recent = rng.dirichlet([2.0] * 6), np.zeros(6, dtype=np.int64)
        before = dict(enumerate(rng.multinomial(1_000, shares).tolist()))
        for _ in range(30):
            recent += rng.multinomial(MIN_OUTPUTS, shares)
            found = shift(before, dict(enumerate(recent.tolist())))
            alarms += found is not None and found.beyond_chance
    assert alarms == 0


def test_a_planted_shift_is_found_by_its_most_changed_label() -> None:
    rng, seen = np.random.default_rng(0), 0
    for _ in range(40):
        before = dict(zip("abc", rng.multinomial(1_000, [0.6, 0.3, 0.1]).tolist(), strict=True))
        recent = dict(zip("abc", rng.multinomial(300, [0.4, 0.2, 0.4]).tolist(), strict=True))
        said = words("the labels", shift(before, recent), LEVEL, 300)
        seen += said is not None and "c: " in said
    assert seen == 40
    assert words("the labels", shift(before, recent), 2.0, 300) is None, "the level is the loop's"


def test_a_handful_of_outputs_says_nothing() -> None:
    assert shift({"a": MIN_OUTPUTS - 1}, {"b": 10_000}) is None
    assert shift({"a": 10_000}, {"b": MIN_OUTPUTS - 1}) is None
    assert shift({"a": 500}, {"a": 500}) is None, "one cell cannot move"


def test_labels_that_are_rare_are_looked_at_together_and_a_new_common_one_alone() -> None:
    rare = {f"rare {i}": 3 for i in range(50)}
    same = shift({"a": 850, **rare}, {"a": 850, **{f"other {i}": 3 for i in range(50)}})
    assert same is not None
    assert not same.beyond_chance
    new = shift({"a": 1_000}, {"a": 500, "new": 500})
    assert new is not None
    assert new.most == "new"
    assert new.before < 0.001
    assert math.isfinite(new.index)


def test_a_champion_that_falls_is_found_and_one_that_does_not_is_not() -> None:
    assert accuracy_drop((180, 200), (60, 100)) is not None
    assert accuracy_drop((180, 200), (86, 100)) is None, "it may be chance"
    assert accuracy_drop((9_800, 10_000), (9_400, 10_000)) is None, "less than matters"
    assert accuracy_drop((180, 200), (0, MIN_ANSWERS - 1)) is None
    assert accuracy_drop((100, 200), (95, 100)) is None, "better is no drift"
    rng = np.random.default_rng(0)
    found = [accuracy_drop((180, 200), (int(rng.binomial(100, 0.9)), 100)) for _ in range(300)]
    assert not any(found)
