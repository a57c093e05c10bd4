"""The looks of a judge's certificate: the risk over all of them, what passes, and how many answers are needed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from labelloop.answers.judge import Compared, Outputs, at_looks
from labelloop.gate.judge_looks import GROWTH, RISK, SIZES, OfClass, Seen, examine, spent

NOTHING = Seen(0, 0.0, 0.0)


def looked(agrees: np.ndarray, floor: float, *, tells: float = 1.0) -> OfClass:
    """Examine answers in this order, True where the judge agrees; each tells as much as `tells` answers would."""
    right, n = np.cumsum(agrees), len(agrees)
    seen = [Seen(i, i * tells, right[i - 1] / i) for i in (*SIZES, n) if 0 < i <= n]
    return examine(seen[:-1], seen[-1], floor) if n else examine([], NOTHING, floor)


def mixed(answers: int, incorrect: int) -> np.ndarray:
    """Answers whose incorrect ones are spread evenly."""
    agrees = np.ones(answers, dtype=bool)
    if incorrect:
        agrees[np.linspace(0, answers - 1, incorrect).round().astype(int)] = False
    return agrees


def test_looks_grow_by_a_fifth_from_15_to_5127_answers() -> None:
    assert SIZES[:4] == (15, 18, 22, 26)
    assert SIZES[-1] == 5_127
    assert all(b / a == pytest.approx(GROWTH, abs=0.03) for a, b in pairwise(SIZES))


@pytest.mark.parametrize("floor", [0.5, 0.8, 0.9, 0.95])
def test_the_risk_is_spent_in_part_early_and_never_more_than_all(floor: float) -> None:
    shares = [spent(n, floor) for n in range(0, 6_000, 7)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] < 1
    assert spent(round(12 / (1 - floor)), floor) == pytest.approx(0.5)


@pytest.mark.parametrize(("floor", "tells"), [(0.8, 1.0), (0.9, 1.0), (0.8, 0.35)])
def test_a_class_at_the_floor_passes_any_of_its_looks_in_at_most_5_percent(floor: float, tells: float) -> None:
    """2,000 classes, each examined as in a report after its last of 2,500 answers; two standard errors are 1 %."""
    rng = np.random.default_rng(3)
    n = int(2_500 * tells)
    passed = 0
    for _ in range(2_000):
        right = np.cumsum(rng.random(n) < floor)
        reached = [size for size in SIZES if size <= 2_500]
        seen = [Seen(size, size * tells, right[int(size * tells) - 1] / int(size * tells)) for size in reached]
        passed += examine(seen, seen[-1], floor).passed_at is not None
    assert 0.03 < passed / 2_000 < RISK + 0.01


def test_the_first_look_that_can_be_passed_needs_only_correct_answers() -> None:
    found = examine([], NOTHING, 0.8)
    assert (found.last, found.passed_at, found.next) == (None, None, 26)
    good = looked(mixed(26, 0), 0.8)
    assert (good.certified, good.passed_at, good.needed) == (True, 26, 0)
    assert good.last is not None
    assert (good.last.incorrect, good.last.allowed) == (0, 0)
    one_wrong = looked(mixed(26, 1), 0.8)
    assert (one_wrong.certified, one_wrong.next) == (False, 31)


def test_answers_after_the_last_look_decide_nothing() -> None:
    at_the_look = mixed(77, 9)
    assert not looked(at_the_look, 0.8).certified
    found = looked(np.concatenate((at_the_look, np.ones(15, dtype=bool))), 0.8)
    assert (found.certified, found.answers, found.next, found.needed) == (False, 92, 93, 1)
    assert found.last == looked(at_the_look, 0.8).last


def test_a_class_that_passed_stays_certified_until_its_rate_falls_below_the_floor() -> None:
    agrees = mixed(31, 0)
    passed = looked(agrees, 0.8)
    assert passed.passed_at == 26
    weaker = np.concatenate((agrees, np.zeros(6, dtype=bool)))  # 31 of 37 at the next look
    found = looked(weaker, 0.8)
    assert found.last is not None
    assert not found.last.passed
    assert (found.certified, found.passed_at, found.needed) == (True, 26, 0)
    below = looked(np.concatenate((weaker, np.zeros(8, dtype=bool))), 0.8)  # 31 of 45
    assert (below.certified, below.passed_at) == (False, 26)
    back = looked(np.concatenate((weaker, np.zeros(8, dtype=bool), np.ones(60, dtype=bool))), 0.8)
    assert (back.certified, back.passed_at) == (True, 26)


def test_answers_that_are_alike_count_as_fewer() -> None:
    alone, alike = looked(mixed(54, 2), 0.8), looked(mixed(54, 2), 0.8, tells=0.4)
    assert (alone.certified, alike.certified) == (True, False)
    assert alike.last is not None
    assert (alike.last.answers, alike.last.effective, alike.last.incorrect) == (54, 21, 1)
    assert alike.needed is not None
    assert alike.needed > 10


def test_an_effective_number_that_falls_takes_no_look_back() -> None:
    seen = [Seen(15, 15.0, 1.0), Seen(18, 18.0, 1.0), Seen(22, 9.0, 1.0), Seen(26, 12.0, 1.0)]
    found = examine(seen, seen[-1], 0.8)
    assert found.last is not None
    assert found.last.effective == 18


def test_a_large_group_does_not_dilute_the_incorrect_answers_before_it() -> None:
    alone = [Seen(size, float(size), 1 - round(0.2 * size) / size) for size in SIZES if size <= 93]
    wrong = round(0.2 * 93)
    group = [Seen(size, 40.0, 1 - wrong / size) for size in SIZES if 93 < size <= 193]
    found = examine([*alone, *group], group[-1], 0.8)
    assert found.last is not None
    assert (found.last.effective, found.last.incorrect, found.passed_at) == (93, wrong, None)


@pytest.mark.parametrize("size", [20, 100])
def test_a_class_at_the_floor_passes_as_rarely_if_large_groups_come_late(size: int) -> None:
    """93 answers that stand alone, then groups of `size`, each all correct or all incorrect."""
    rng, passed = np.random.default_rng(11), 0
    for _ in range(200):
        right = [*(rng.random(93) < 0.8), *np.repeat(rng.random(100 // size) < 0.8, size)]
        rows = [
            Compared(True, str(i) if i < 93 else f"group {(i - 93) // size}", not ok, False)
            for i, ok in enumerate(right)
        ]
        shares = at_looks(rows, {True: Outputs(4_000, 2_000)}, SIZES)["tnr"]
        *seen, now = [Seen(one.answers, one.cautious, one.value or 0.0) for one in shares]
        passed += examine(seen, now, 0.8).passed_at is not None
    assert passed / 200 < RISK + 0.03, "two standard errors are 3 %"


def test_the_next_look_is_one_that_was_not_made_yet_if_answers_were_taken_back() -> None:
    seen = [Seen(size, float(size), 0.9) for size in SIZES if size <= 54]
    found = examine(seen, Seen(50, 50.0, 0.9), 0.8)
    assert (found.answers, found.next) == (50, 64)


def test_answers_must_tell_as_much_at_six_looks_in_a_row() -> None:
    tells = [(15, 15.0), (18, 9.0), *((n, float(n)) for n in SIZES[2:8])]
    effective = []
    for upto in range(1, 9):
        seen = [Seen(n, by, 1.0) for n, by in tells[:upto]]
        last = examine(seen, seen[-1], 0.8).last
        assert last is not None
        effective.append(last.effective)
    assert effective == [15, 15, 15, 15, 15, 18, 22, 54], "a number that was counted stays counted"


def test_the_plan_is_kept_in_four_of_five_cases() -> None:
    needed = examine([], NOTHING, 0.8).needed
    assert needed in SIZES
    assert 80 < needed < 150
    rng = np.random.default_rng(5)
    passed = [looked(rng.random(needed) < 0.9, 0.8).passed_at is not None for _ in range(1_000)]
    assert 0.77 <= np.mean(passed) <= 0.9


def test_the_plan_goes_on_from_the_answers_that_are_there() -> None:
    seen = looked(mixed(50, 7), 0.8)
    assert seen.needed is not None
    assert seen.needed > (looked(mixed(50, 4), 0.8).needed or 0), "0.86 is nearer to the floor than 0.92"
    assert seen.answers + seen.needed in SIZES
    assert looked(mixed(50, 10), 0.85).needed is None, "0.8 is below the floor"
    assert looked(mixed(400, 80), 0.8).needed is None, "at the floor"


def test_a_floor_that_no_look_can_show_has_no_look_and_no_plan() -> None:
    found = examine([], NOTHING, 0.9999)
    assert (found.next, found.needed) == (None, None)
