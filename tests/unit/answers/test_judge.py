"""The rates of a judge: against independent libraries, by hand, and that bounds hold the truth."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
import truescore
from sklearn.metrics import cohen_kappa_score

from backend.report.estimates.judge import of_classes
from benchmarks.promises import judge as benchmark
from benchmarks.promises import judge_groups as in_groups
from labelloop.answers import judge as judging
from labelloop.answers.anchoring import Arms, anchoring
from labelloop.answers.judge import RISK, Compared, Judged, Outputs, Share, at_looks, judged


def judge_of(cells: tuple[int, int, int, int], outputs: int = 1_000, said: float | None = None) -> Judged:
    """A judge whose answers are: both positive, the judge alone, people alone, both negative."""
    pairs = [(True, True)] * cells[0] + [(True, False)] * cells[1] + [(False, True)] * cells[2]
    pairs += [(False, False)] * cells[3]
    rows = [Compared(False, str(i), judge, people) for i, (judge, people) in enumerate(pairs)]
    share = (cells[0] + cells[1]) / max(1, sum(cells)) if said is None else said
    return judged(rows, {False: Outputs(outputs, round(outputs * share))}, np.random.default_rng(0))


def test_kappa_and_the_corrected_prevalence_are_those_of_independent_libraries() -> None:
    found = judge_of((80, 10, 15, 45), said=0.6)
    judge, people = [1] * 90 + [0] * 60, [1] * 80 + [0] * 10 + [1] * 15 + [0] * 45
    assert found.kappa.value == pytest.approx(cohen_kappa_score(judge, people))
    assert found.kappa.value == pytest.approx(truescore.cohen_kappa(judge, people))
    assert [found.tpr.value, found.tnr.value] == pytest.approx([80 / 95, 45 / 55])
    assert found.corrected.value == pytest.approx((0.6 + 45 / 55 - 1) / (80 / 95 + 45 / 55 - 1))
    all_judge = np.array(judge + [1] * 510 + [0] * 340)
    theirs = truescore.rogan_gladen_estimate(all_judge, np.array(people), np.arange(150))
    assert found.corrected.value == pytest.approx(theirs.point)
    assert found.corrected.low == pytest.approx(theirs.low, abs=0.02)
    assert found.corrected.high == pytest.approx(theirs.high, abs=0.02)
    assert found.agreement.value == pytest.approx(125 / 150)
    assert found.base_rate.value == pytest.approx(95 / 150)


def test_the_kappa_of_cohen_s_own_example() -> None:
    """Cohen 1960 has three categories; the two-by-two example of Fleiss 1981 is 0.4: 20, 5, 10 and 15 of 50."""
    assert judge_of((20, 5, 10, 15)).kappa.value == pytest.approx(0.4)


def test_a_constant_judge_has_kappa_0_whatever_the_base_rate() -> None:
    found = judge_of((67, 33, 0, 0))
    assert found.kappa.value == 0.0
    assert found.kappa.low is not None
    assert found.kappa.low <= 0.0
    assert found.agreement.value == pytest.approx(0.67)
    assert (found.corrected.value, found.corrected.low, found.corrected.high) == (None, 0.0, 1.0)
    assert (found.tpr.value, found.tnr.value) == (1.0, 0.0)


@pytest.mark.parametrize("cells", [(0, 0, 0, 0), (1, 0, 0, 0), (50, 0, 0, 0), (0, 0, 0, 1)])
def test_without_answers_of_a_class_nothing_is_known_of_it(cells: tuple[int, int, int, int]) -> None:
    found = judge_of(cells)
    assert (found.tpr.value is None) == (not cells[0])
    assert (found.tnr.value is None) == (not cells[3])
    assert found.corrected == judging.Number()


def test_the_rates_at_a_look_are_those_of_the_answers_up_to_it() -> None:
    rng = np.random.default_rng(4)
    rows = [
        Compared(i % 3 == 0, str(i // 4), bool(right), bool(people))
        for i, (right, people) in enumerate(zip(rng.random(200) < 0.8, rng.random(200) < 0.6, strict=True))
    ]
    outputs = {True: Outputs(300, 200), False: Outputs(900, 700)}
    found = at_looks(rows, outputs, (15, 40, 70, 500))
    whole = judged(rows, outputs, rng)
    for name, truth, now in (("tpr", True, whole.tpr), ("tnr", False, whole.tnr)):
        ends = [i for i, row in enumerate(rows) if row.people == truth]
        *looks, last = found[name]
        assert last == now
        assert [look.answers for look in looks] == [n for n in (15, 40, 70) if n <= len(ends)]
        for look in looks:
            cut = ends[look.answers - 1] + 1
            there = judged(rows[:cut], outputs, rng)
            assert look == (there.tpr if truth else there.tnr)
            assert look in at_looks(rows[: cut + 3], outputs, (look.answers,))[name], "later answers change nothing"


def edited(rng: np.random.Generator) -> list[Compared]:
    """Answers to 150 outputs, some of which are changed or taken back later."""
    rows = list[Compared]()
    for i in range(220):
        output = i if i < 60 or rng.random() < 0.6 else int(rng.integers(60))
        people = None if output < i and rng.random() < 0.3 else bool(rng.random() < 0.5)
        rows.append(Compared(output % 3 == 0, str(output // 4), output % 5 > 0, people, output))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_answers_that_replace_others_change_no_earlier_look(seed: int) -> None:
    rows, outputs = edited(np.random.default_rng(seed)), {True: Outputs(300, 200), False: Outputs(900, 700)}
    sizes = (5, 10, 20, 30, 40, 60)
    last: dict[str, list[Share]] = {"tpr": [], "tnr": []}
    for cut in range(len(rows) + 1):
        now = at_looks(rows[:cut], outputs, sizes)
        for name, (*looks, share) in now.items():
            for look, then in zip(looks, last[name], strict=False):
                assert astuple(look) == pytest.approx(astuple(then)), "what was seen at a look stays"
            assert share == getattr(judged(rows[:cut], outputs, np.random.default_rng(0)), name)
            assert all(look == share for look in looks[len(last[name]) :]), "it is made when its number is reached"
            last[name] = looks
    assert len(last["tpr"]) > 4


def test_the_newest_answer_of_an_output_counts_and_one_that_was_taken_back_does_not() -> None:
    rows = [Compared(False, str(i), True, True, i) for i in range(4)]
    rows += [Compared(False, "0", True, False, 0), Compared(False, "1", True, None, 1)]
    rows += [Compared(False, "0", True, True, 0), Compared(False, "2", True, False, 2)]
    found = at_looks(rows, {False: Outputs(10, 10)}, (1, 3, 4))
    assert [(share.answers, share.value) for share in found["tpr"]] == [(1, 1.0), (3, 1.0), (4, 1.0), (2, 1.0)]
    assert [(share.answers, share.value) for share in found["tnr"]] == [(1, 0.0), (1, 0.0)]


def test_without_answers_there_is_no_look() -> None:
    assert at_looks([], {False: Outputs(10, 5)}, (15,)) == {"tpr": [Share(0, 0.0, 0.0)], "tnr": [Share(0, 0.0, 0.0)]}


def test_strata_count_with_their_outputs() -> None:
    rows = [Compared(True, f"s{i}", i < 30, True) for i in range(60)]
    rows += [Compared(False, f"n{i}", i < 19, True) for i in range(20)]
    found = judged(rows, {True: Outputs(100, 50), False: Outputs(900, 850)}, np.random.default_rng(0))
    assert found.tpr.value == pytest.approx(0.1 * 0.5 + 0.9 * 0.95)
    assert found.tpr.effective < 80
    assert found.apparent == pytest.approx(0.9)


def test_answers_of_one_group_tell_less() -> None:
    alone = [Compared(False, str(i), i % 5 > 0, True) for i in range(100)]
    grouped = [row._replace(group=str(i % 5)) for i, row in enumerate(alone)]
    both = [judged(rows, {False: Outputs(1_000, 800)}, np.random.default_rng(0)).tpr for rows in (alone, grouped)]
    assert both[1].effective < 15 < 90 < both[0].effective


@pytest.mark.parametrize(
    ("size", "correlation"),
    [("5", 1.0), ("10", 0.5), ("10", 1.0), ("1 to 20", 1.0), ("1 to 20, few all incorrect", 0.0)],
)
def test_a_judge_at_the_floor_is_certified_as_rarely_if_answers_come_in_groups(size: str, correlation: float) -> None:
    """300 of the benchmark's 2,000 runs, as the report counts them; two standard errors are 2.5 %."""
    [kind] = [one for one in in_groups.AT_THE_FLOOR if (one.name, one.correlation) == (size, correlation)]
    rng, passed = np.random.default_rng(8), 0
    for _ in range(300):
        right, groups = in_groups.planted(kind, 0.8, rng)
        rows = [Compared(False, str(group), not ok, False) for ok, group in zip(right, groups, strict=True)][:300]
        passed += of_classes(rows, {False: Outputs(4_000, 2_000)}, 0.8)["negative"].passed_at is not None
    assert passed / 300 <= RISK + 0.025


@pytest.mark.parametrize("name", ["good", "both at the floor", "hard outputs", "groups of 10"])
def test_the_bounds_hold_the_truth(name: str) -> None:
    """150 runs of the benchmark, which has 1,000 of each."""
    [judge] = [one for one in benchmark.JUDGES if one.name == name]
    cells = list(benchmark._cells(judge, 150, 150))
    certified, *shares = map(float, cells[5:])
    assert min(shares) >= 90
    if "floor" in name:
        assert certified <= 5


def test_what_a_shown_answer_does() -> None:
    found = anchoring([Arms("holdout", 200, 140, 200, 180), Arms("rule", 50, 30, 0, 0)])
    assert found is not None
    assert (found.blind, found.shown) == (0.7, 0.9), "a lane without both arms does not count"
    assert found.difference == pytest.approx(0.2)
    assert 0.11 < found.low < 0.14 < 0.26 < found.high < 0.29
    assert anchoring([Arms("rule", 5, 3, 0, 0)]) is None
    assert anchoring([]) is None
    two = anchoring([Arms("a", 100, 50, 100, 50), Arms("b", 10, 10, 290, 290)])
    assert two is not None
    assert two.blind == pytest.approx(two.shown) == pytest.approx(0.4 * 0.5 + 0.6)
    assert two.low < 0 < two.high


def test_the_interval_of_the_difference_holds_the_truth() -> None:
    rng = np.random.default_rng(6)
    inside = 0
    for _ in range(400):
        lanes = [
            Arms(lane, n, int(rng.binomial(n, p)), m, int(rng.binomial(m, p + 0.1)))
            for lane, n, m, p in (("holdout", 60, 90, 0.7), ("audit", 30, 30, 0.85))
        ]
        found = anchoring(lanes)
        assert found is not None
        inside += found.low <= 0.1 <= found.high
    assert 0.92 <= inside / 400 <= 0.98
