"""Drift of incoming outputs told from chance: planted shifts are found, unchanged streams raise no alarm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from labelloop.versions.bursts import Part
from labelloop.versions.drift import MIN_OUTPUTS, Shift, shift, words

LEVEL = 0.25
MONDAY = 4
"""A Monday, in days since 1970-01-01."""


def part(labels: Sequence[int], cells: int, days: Sequence[int] | None = None, pieces: int = 60) -> Part:
    """Outputs in the order in which they came, each its own group; all of one day unless `days` has theirs."""
    codes, day = np.asarray(labels), np.zeros(len(labels), dtype=np.intp) if days is None else np.asarray(days)
    piece = np.arange(len(codes)) * pieces // len(codes)
    _, piece = np.unique(day * pieces + piece, return_inverse=True)
    by_piece, by_group = np.zeros((piece.max() + 1, cells)), np.zeros((64, cells))
    np.add.at(by_piece, (piece, codes), 1)
    np.add.at(by_group, (np.arange(len(codes)) % 64, codes), 1)
    first = np.flatnonzero(np.diff(piece, prepend=-1))
    return Part(by_piece, day[first], by_group)


def mixed(counts: Mapping[str, int], cells: Sequence[str]) -> Part:
    """Outputs with these counts by cell, in a random order."""
    codes = np.repeat(np.arange(len(cells)), [counts.get(cell, 0) for cell in cells])
    return part(np.random.default_rng(0).permutation(codes).tolist(), len(cells))


def shifted(before: Mapping[str, int], recent: Mapping[str, int]) -> Shift | None:
    cells = sorted({*before, *recent})
    return shift(cells, mixed(before, cells), mixed(recent, cells))


def bursts(rng: np.random.Generator, shares: Sequence[float], n: int, length: int) -> npt.NDArray[np.intp]:
    """Outputs in bursts of one label."""
    return np.repeat(rng.choice(len(shares), -(-n // length), p=shares), length)[:n]


def test_the_index_is_that_of_counting_by_hand() -> None:
    found = shifted({"a": 8_000, "b": 2_000}, {"a": 5_000, "b": 5_000})
    assert found is not None
    assert found.index == pytest.approx((0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5), rel=1e-3)
    assert (found.most, found.beyond_chance, found.outputs) == ("b", True, 10_000)


@pytest.mark.parametrize("length", [1, 10, 50])
def test_an_unchanged_stream_raises_no_alarm_however_often_it_is_looked_at(length: int) -> None:
    """The same outputs again and again, and some more: 15 streams, 6 looks each, at any level."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(15):
        labels = bursts(rng, rng.dirichlet([2.0] * 6).tolist(), 5_000, length)
        before = part(labels[:2_000].tolist(), 6)
        for end in range(2_500, 5_001, 500):
            found = shift(list("abcdef"), before, part(labels[2_000:end].tolist(), 6))
            alarms += found is not None and found.beyond_chance
    assert alarms == 0


def test_a_planted_shift_is_found_by_its_most_changed_label() -> None:
    rng, seen = np.random.default_rng(0), 0
    for _ in range(40):
        before = part(rng.choice(3, 1_000, p=[0.6, 0.3, 0.1]).tolist(), 3)
        recent = part(rng.choice(3, 300, p=[0.3, 0.2, 0.5]).tolist(), 3)
        said = words("the labels", shift("abc", before, recent), LEVEL)
        seen += said is not None and "c: " in said
    assert seen == 40
    assert words("the labels", shift("abc", before, recent), 2.0) is None, "the level is the loop's"


def test_a_planted_shift_is_found_in_bursts_too_once_there_are_enough_of_them() -> None:
    rng = np.random.default_rng(1)
    before = bursts(rng, [0.6, 0.3, 0.1], 4_000, 10)
    recent = bursts(rng, [0.2, 0.2, 0.6], 3_000, 10)
    found = shift("abc", part(before.tolist(), 3), part(recent.tolist(), 3))
    assert found is not None
    assert found.beyond_chance
    assert 5 < found.effect < 25
    long = bursts(rng, [0.6, 0.3, 0.1], 250, 50), bursts(rng, [0.2, 0.2, 0.6], 250, 50)
    few = shift("abc", part(long[0].tolist(), 3), part(long[1].tolist(), 3))
    assert few is None or not few.beyond_chance, "5 batches on each side are too few to tell"


def test_days_that_differ_from_each_other_are_no_drift() -> None:
    rng, alarms, n = np.random.default_rng(2), 0, 200
    for _ in range(20):
        shares = rng.dirichlet([4.0, 4.0], 20)[:, 0]
        labels = np.concatenate([rng.random(n) < share for share in shares]).astype(int)
        days = MONDAY + np.repeat(np.arange(20), n)
        before = part(labels[: 10 * n].tolist(), 2, days[: 10 * n].tolist())
        for end in range(11, 21):
            found = shift("ab", before, part(labels[10 * n : end * n].tolist(), 2, days[10 * n : end * n].tolist()))
            alarms += found is not None and found.beyond_chance
    assert alarms == 0


def test_the_first_weekend_is_no_drift_and_the_monday_after_it_tells() -> None:
    rng = np.random.default_rng(3)
    days = MONDAY + np.repeat(np.arange(8), 500)
    week = (rng.random(2_500) < 0.2).astype(int).tolist()
    before = part(week, 2, days[:2_500].tolist())
    weekend = (rng.random(1_000) < 0.8).astype(int).tolist()
    assert shift("ab", before, part(weekend, 2, days[2_500:3_500].tolist())) is None
    monday = (rng.random(500) < 0.8).astype(int).tolist()
    found = shift("ab", before, part(weekend + monday, 2, days[2_500:].tolist()))
    assert found is not None
    assert found.outputs == 500, "the weekend does not count"
    assert found.beyond_chance


def test_two_days_cannot_tell_a_day_from_a_drift() -> None:
    labels = [0] * 500
    assert shift("ab", part([1, *labels], 2, [MONDAY] * 501), part([1] * 500, 2, [MONDAY + 7] * 500)) is None


def test_a_handful_of_outputs_says_nothing() -> None:
    assert shifted({"a": MIN_OUTPUTS - 1}, {"b": 10_000}) is None
    assert shifted({"a": 10_000}, {"b": MIN_OUTPUTS - 1}) is None
    assert shifted({"a": 500}, {"a": 500}) is None, "one cell cannot move"


def test_labels_that_are_rare_are_looked_at_together_and_a_new_common_one_alone() -> None:
    rare = {f"rare {i}": 3 for i in range(50)}
    same = shifted({"a": 850, **rare}, {"a": 850, **{f"other {i}": 3 for i in range(50)}})
    assert same is not None
    assert not same.beyond_chance
    new = shifted({"a": 1_000}, {"a": 500, "new": 500})
    assert new is not None
    assert new.most == "new"
    assert new.before < 0.001
    assert math.isfinite(new.index)
    assert new.beyond_chance
