"""Figures of a simulation: spreads of few seeds, paired differences, the cold start, and budgets that are too small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from console.cli import main as cli
from console.simulate.curves import Curve, Spread
from console.simulate.extrapolate import estimate
from console.simulate.labelled import EMBEDDINGS, Labelled, split_set
from console.simulate.learning import study
from console.simulate.picture import notes, spread_words
from console.simulate.replay import Moment, cold_start, replay

LABELS = tuple(range(50, 1001, 50))


def law(x: float, pool: int = 5000, full: float = 0.9, b: float = 2.0, c: float = 0.5) -> float:
    """An inverse power law that ends at `full` with the whole pool."""
    return float(full - b * (x**-c - pool**-c))


def skewed() -> Labelled:
    rng = np.random.default_rng(0)
    rows = [({"text": f"{i}"}, "rare" if i % 15 == 0 else "usual", None) for i in range(300)]
    return split_set("skewed", EMBEDDINGS, "text", rows, 0, rng.normal(size=(300, 4)))


def test_few_seeds_have_a_range_and_four_an_interval() -> None:
    assert Spread.of(np.array([0.5])) == Spread(0.5, None, None)
    two = Spread.of(np.array([0.6, 0.7]))
    assert (two.mean, two.low, two.high) == pytest.approx((0.65, 0.6, 0.7))
    four = Spread.of(np.array([0.6, 0.7, 0.6, 0.7]))
    assert (four.low, four.high) == pytest.approx((0.65 - 0.0919, 0.65 + 0.0919), abs=1e-3)
    apart = Spread.of(np.array([0.0, 0.1, 0.0, 1.0]))
    assert (apart.low, apart.high is not None and apart.high <= 1) == (0.0, True)
    assert spread_words({"mean": 0.5, "low": None, "high": None}) == "0.500"
    assert spread_words({"mean": 0.02, "low": -0.01, "high": 0.05}, "+") == "+0.020 (-0.010 to +0.050)"


def test_differences_are_those_of_the_same_seed() -> None:
    """Seeds differ by far more than the strategies do, and that cancels."""
    ease = np.array([0.1, 0.3, 0.5, 0.7])[:, None]
    random = Curve((10, 20, 30), ease + np.array([[0.0, 0.1, 0.2]]))
    ours = Curve((10, 20, 30), ease + np.array([[0.0, 0.12, 0.26]]))
    end, average = ours.differences(random)
    assert (end.mean, end.low, end.high) == pytest.approx((0.06, 0.06, 0.06))
    assert average.mean == pytest.approx(0.04), "the common first batch does not count"


@pytest.mark.parametrize("seed", range(4))
def test_the_cold_start_ends_when_the_strategy_chooses_first(seed: int) -> None:
    labelled, asked = skewed(), []

    def ask(moment: Moment, n: int) -> Any:
        asked.append(len(moment.answered))
        return moment.waiting[:n]

    replay(labelled, study(labelled), ask, seed, 5, 100)
    assert cold_start(labelled, seed, 5, 100) == asked[0]


def test_a_curve_that_follows_the_law_is_continued_to_its_goal() -> None:
    metrics = np.array([[law(x) for x in LABELS]] * 2)
    found = estimate(LABELS, metrics, law(3000), 5000, 0.9)
    assert found is not None
    assert found.labels == pytest.approx(3000, rel=0.05)
    noisy = metrics + np.random.default_rng(0).normal(0, 0.005, metrics.shape)
    rough = estimate(LABELS, noisy, law(2000), 5000, 0.9)
    assert rough is not None
    assert rough.low is not None
    assert rough.high is not None
    assert 1000 <= rough.low <= rough.labels <= rough.high <= 4500


def test_a_curve_that_cannot_be_continued_gives_no_number() -> None:
    falling = np.array([[0.95 + 0.0001 * i for i in range(len(LABELS))]])
    assert estimate(LABELS, falling, 0.9, 5000, 0.9) is None
    assert estimate(LABELS, falling, 0.85, 5000, 0.9) is None
    assert estimate((50, 100), np.array([[0.1, 0.2]]), 0.8, 5000, 0.9) is None, "two points are no curve"


def test_a_budget_that_is_too_small_is_reported_with_a_guess() -> None:
    need = {"median": None, "about": {"labels": 300, "low": 250, "high": 400}}
    nothing = {"median": None, "about": None}
    report = {
        "data": {"left_out": {}, "score": "accuracy"},
        "settings": {"batch": 10, "budget": 100},
        "cold_start": {"median": 10, "low": 10, "high": 30, "score": {"mean": 0.5, "low": None, "high": None}},
        "strategies": {"margin:0": {"labels_for": {"0.90": need, "0.95": nothing}}},
    }
    said = notes(report)
    assert said[0].startswith(
        "cold start: the first 10 (10 to 30) labels are random and the same for every strategy; a"
    )
    assert said[1] == (
        "margin:0: the budget of 100 labels is too small for 90 %: about 300 would do, 250 to 400 by single seeds "
        "(a rough guess)"
    )
    assert said[2].endswith("too small for 95 %, and the curve does not tell how many would do")


def test_two_seeds_print_a_range_and_the_paired_difference(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{'apple pear' if i % 2 else 'hammer saw'} number {i},{'ab'[i % 2]}" for i in range(120)]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    options = ["--seeds", "2", "--batch", "5", "--budget", "20"]
    done = CliRunner().invoke(cli, ["simulate", "--data", str(path), *options])
    assert done.exit_code == 0, done.output
    assert "±" not in done.output
    assert "accuracy minus that of random: same first batches, same test set of 30 items" in done.output
