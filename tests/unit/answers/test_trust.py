"""Flags and measures of people: tests that may be looked at for ever, exact intervals, sessions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.promises.people import BAD, BEGIN, HONEST, LOOPS, Loop, Planted, planted, play
from labelloop.answers.trust import flags, measures
from labelloop.answers.trust.betting import first_above, more_often, share_above
from labelloop.answers.trust.flags import LIMIT, Reason
from labelloop.answers.trust.said import Said, asked_together, on_gold, with_others


def said(person: str, output: int, label: str, minute: float = 0.0, *, seconds: float = 5.0, **more: object) -> Said:
    at = BEGIN + timedelta(minutes=minute)
    return Said(person, output, label, at, seconds, None, None, None)._replace(**more)  # type: ignore[arg-type]


def test_the_capital_against_a_true_claim_reaches_a_limit_as_rarely_as_promised() -> None:
    """At most one in 20 of 1,000 streams of 400 events, all exactly at the claim, ever reaches 20."""
    rng = np.random.default_rng(7)
    events = rng.random((1_000, 400)) < 0.15
    reached = sum(first_above(share_above(stream.tolist(), [0.15] * 400), 20.0) is not None for stream in events)
    assert 0 < reached <= 50
    pairs = rng.random((200, 2, 100)) < 0.3
    reached = sum(first_above(more_often(one.tolist(), other.tolist()), 20.0) is not None for one, other in pairs)
    assert reached <= 10


def test_the_capital_can_be_checked_by_hand() -> None:
    one = share_above([True], [0.5])[0]
    assert one == pytest.approx(np.mean([1 + bet for bet in np.arange(0.1, 1.0, 0.1)]))
    assert more_often([True, True], [False, False]).tolist() == pytest.approx([1.0, (2 / 3) / 0.5 * (2 / 3) / 0.5])


@pytest.mark.parametrize(
    ("person", "loop", "reason"),
    [
        (BAD[0], LOOPS[0], Reason.GOLD),
        (BAD[1], LOOPS[4], Reason.OTHERS),
        (BAD[3], LOOPS[1], Reason.COPIES),
        (BAD[4], LOOPS[2], Reason.HOLDOUT),
    ],
    ids=["random", "flips 30 %", "copies", "random on the hold-out set"],
)
def test_a_bad_person_is_flagged_with_the_reason_and_nobody_else_is(
    person: Planted, loop: Loop, reason: Reason
) -> None:
    rows = planted(loop, person, np.random.default_rng(3))
    watched = flags.watch(rows, loop.overlap)
    assert reason in {flag.reason for flag in watched[0].flags}
    assert [who for who, one in watched.items() if one.flags] == [0]
    assert watched[0].status == "look at"


def test_honest_people_of_all_accuracies_are_fine() -> None:
    for person in HONEST:
        for loop in (LOOPS[1], LOOPS[3]):
            assert play(loop, person, 1)[1:] == (None, False), (person, loop)


def test_nobody_is_flagged_where_everybody_finds_the_items_hard() -> None:
    rng = np.random.default_rng(5)
    rows = [
        said(f"p{p}", i, "cat" if rng.random() < 0.6 else "dog", i, gold="cat") for i in range(400) for p in (1, 2, 3)
    ]
    assert not any(one.flags for one in flags.watch(rows, 3).values())
    alone = flags.watch([row for row in rows if row.person == "p1"], 3)["p1"]
    assert [flag.reason for flag in alone.flags] == [Reason.GOLD], "without others the fixed claim holds"


def test_a_person_without_known_answers_is_neither_fine_nor_bad() -> None:
    rows = [said("anna", i, "cat", i) for i in range(200)]
    assert flags.watch(rows, 1)["anna"].status == "too few answers"


def test_somebody_much_faster_than_all_others_is_flagged() -> None:
    rng = np.random.default_rng(1)
    rows = [said("ben", i, "cat", i, seconds=float(rng.lognormal(1.5, 0.6))) for i in range(100)]
    fast = [said("rob", 1_000 + i, "cat", i, seconds=0.4) for i in range(20)]
    quick = [said("eve", 2_000 + i, "cat", i, seconds=float(rng.lognormal(1.1, 0.6))) for i in range(300)]
    watched = flags.watch([*rows, *fast, *quick], 1)
    assert [(who, [flag.reason for flag in one.flags]) for who, one in watched.items() if one.flags] == [
        ("rob", [Reason.FAST])
    ]


def test_only_the_first_answers_of_an_output_are_compared() -> None:
    """A third person is asked only where two differ: such outputs alone would make everybody look bad."""
    rows = [said("a", 1, "cat", 1), said("b", 1, "dog", 2), said("c", 1, "dog", 3), said("a", 2, "cat", 4)]
    found = with_others(asked_together(rows, 2))
    assert {person: [(one.truth, one.wrong) for one in compared] for person, compared in found.items()} == {
        "a": [("dog", True)],
        "b": [("cat", True)],
    }
    assert with_others(asked_together(rows, 2), frozenset("b")) == {"b": found["b"]}


def test_shares_have_the_exact_interval_and_few_answers_have_no_number() -> None:
    for n, of in ((0, 10), (7, 12), (40, 40), (3, 200)):
        exact, found = binomtest(n, of).proportion_ci(method="exact"), measures.part(n, of)
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert measures.part(9, 9) == measures.Part(9, 9, None, None, None)


def test_the_interval_of_a_median_holds_it_as_often_as_promised() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(500):
        found = measures.median(rng.lognormal(1.0, 1.0, 25).tolist())
        assert found.low is not None
        assert found.high is not None
        held += found.low <= math.e <= found.high
    assert held >= 465
    assert measures.median([1.0] * 9).value is None


def _session(day: int, seconds: Sequence[float]) -> list[Said]:
    start = 24 * 60 * day
    return [said("a", 1_000 * day + i, "cat", start + 4 * i, seconds=s, gold="cat") for i, s in enumerate(seconds)]


def test_fatigue_is_measured_within_sessions_and_only_with_enough_of_them() -> None:
    rng = np.random.default_rng(4)
    rows = [row for day in range(6) for row in _session(day, (4 * np.exp(0.5 * np.arange(30) * 4 / 60)).tolist())]
    noisy = [row._replace(seconds=(row.seconds or 0) * float(rng.lognormal(0, 0.1))) for row in rows]
    of = measures.sessions(noisy)
    assert [len(one) for one in of] == [30] * 6
    slower = measures.slower(of)
    assert slower.low is not None
    assert slower.high is not None
    assert 1.3 < slower.low < math.exp(0.5) < slower.high < 2.2
    assert measures.slower(of[:4]) == measures.Middle(None, None, None, 4, 5)
    assert measures.less_correct(of, on_gold(noisy)).value == pytest.approx(0.0, abs=1e-9)
    hours = measures.by_hour(of, on_gold(noisy))
    assert [(one.hour, one.answers, one.correct.value) for one in hours] == [(0, 90, 1.0), (1, 90, 1.0)]


def test_the_limit_is_that_of_five_claims_together() -> None:
    assert pytest.approx(500) == LIMIT
