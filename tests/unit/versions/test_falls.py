"""Falls of accuracy told from chance, looking again after each answer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from backend.report.loops import _findable
from backend.train.drifted import Watch
from labelloop.versions.falls import (
    CHANCE_OF_A_LOOP,
    FALLS,
    Fall,
    Scored,
    answers_to_find,
    chance_of,
    design_effect,
    fall,
    findable,
    held_out_needed,
)


def scored(item_scores: Iterable[float], stratum: str = "hold-out") -> list[Scored]:
    return [Scored(stratum, float(score)) for score in item_scores]


def first_found(
    before: list[Scored], recent: list[Scored], chance: float = CHANCE_OF_A_LOOP, every: int = 10
) -> int | None:
    """Return the answers after which the fall is found first, if it is looked for after every tenth."""
    looks = range(every, len(recent) + 1, every)
    return next((n for n in looks if fall(before, recent[:n], chance) is not None), None)


def test_a_champion_that_falls_is_found_and_one_that_does_not_is_not() -> None:
    before = scored([1] * 900 + [0] * 100)
    assert fall(before, scored([0] * 30), CHANCE_OF_A_LOOP) == Fall((900.0, 1000), (0.0, 30))
    assert fall(before, scored([1] * 60 + [0] * 6), CHANCE_OF_A_LOOP) is None
    assert fall(before, [], CHANCE_OF_A_LOOP) is None
    assert fall([], scored([0] * 50), CHANCE_OF_A_LOOP) is None, "nothing tells what it was"


def test_a_fall_from_90_to_80_percent_is_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    fallen = [first_found(scored(rng.random(1_000) < 0.9), scored(rng.random(400) < 0.8)) for _ in range(30)]
    assert sum(n is not None for n in fallen) >= 26
    steady = [first_found(scored(rng.random(200) < 0.9), scored(rng.random(400) < 0.9), every=40) for _ in range(60)]
    assert sum(n is not None for n in steady) <= 2


def test_a_fall_after_a_long_time_is_found_from_the_answers_since_then() -> None:
    rng = np.random.default_rng(1)
    recent = scored([*(rng.random(600) < 0.9), *(rng.random(250) < 0.7)])
    found = fall(scored(rng.random(200) < 0.9), recent, CHANCE_OF_A_LOOP)
    assert found is not None
    assert 200 <= found.recent[1] <= 300
    assert found.before[1] + found.recent[1] == 1_050


def test_a_small_loss_does_not_matter_however_sure_it_is() -> None:
    before = scored([1] * 9_900 + [0] * 100)
    assert fall(before, scored(([1] * 24 + [0]) * 80), CHANCE_OF_A_LOOP) is None, "99 % before, 96 % now"


def test_item_scores_between_0_and_1_work_as_well() -> None:
    rng = np.random.default_rng(2)
    before = scored(rng.beta(9, 1, 500))
    assert first_found(before, scored(rng.beta(6, 4, 300)), every=50) is not None
    assert first_found(before, scored(rng.beta(9, 1, 300)), every=50) is None


def test_each_stratum_is_compared_with_its_own_answers() -> None:
    """The share of the harder stratum grows, and neither has changed."""
    rng = np.random.default_rng(3)
    before = scored(rng.random(500) < 0.95, "not sent") + scored(rng.random(100) < 0.6, "sent")
    recent = scored(rng.random(300) < 0.6, "sent")
    assert fall(before, recent, CHANCE_OF_A_LOOP) is None
    unaware = [Scored("all", one.item_score) for one in before], [Scored("all", one.item_score) for one in recent]
    assert fall(*unaware, CHANCE_OF_A_LOOP) is not None, "mixed up it looks like a fall"
    assert fall(before, scored(rng.random(100) < 0.75, "not sent"), CHANCE_OF_A_LOOP) is not None


def test_a_single_bet_is_the_bayes_factor_by_hand() -> None:
    """One answer, incorrect: each fall is worth (1 - its accuracy) / (1 - accuracy), averaged over the posterior."""
    grid = np.linspace(0.0005, 0.9995, 1_000)
    posterior = grid ** (9 - 0.5) * (1 - grid) ** (2 - 0.5)
    odds = [(1 - np.maximum(grid - points, grid / 2)) / (1 - grid) for points, _ in FALLS]
    factors = [float((posterior * one).sum() / posterior.sum()) for one in odds]
    wealth = 0.6 * sum(share * one for (_, share), one in zip(FALLS, factors, strict=True))
    before, recent = scored([1] * 9 + [0]), scored([0])
    assert fall(before, recent, 1 / (0.99 * wealth)) is not None
    assert fall(before, recent, 1 / (1.01 * wealth)) is None


def test_the_chance_of_all_champions_is_that_of_a_loop() -> None:
    assert math.fsum(chance_of(epoch, 1) for epoch in range(100_000)) == pytest.approx(CHANCE_OF_A_LOOP, rel=1e-3)
    assert chance_of(3, 10) == pytest.approx(chance_of(3, 1) / 10), "the best of ten looks better than it is"


def test_it_says_how_many_answers_a_fall_would_need() -> None:
    with_1000, with_200 = answers_to_find(900, 1_000, CHANCE_OF_A_LOOP), answers_to_find(180, 200, CHANCE_OF_A_LOOP)
    assert with_1000 is not None
    assert with_200 is not None
    assert 150 < with_1000 < 300 < with_200
    assert answers_to_find(18, 20, CHANCE_OF_A_LOOP) is None
    assert answers_to_find(0, 0, CHANCE_OF_A_LOOP) is None
    assert answers_to_find(5, 100, CHANCE_OF_A_LOOP) is None, "it cannot fall by 10 points"
    found = findable(scored([1] * 90 + [0] * 10), CHANCE_OF_A_LOOP)
    assert found is not None
    assert found.points == 0.2, "100 answers are too few for a fall by 10 points"
    assert 20 < found.answers < 200


@pytest.mark.parametrize("accuracy", [0.15, 0.5, 0.9])
def test_it_says_how_many_held_out_answers_are_enough_to_notice_a_fall(accuracy: float) -> None:
    n = held_out_needed(accuracy, CHANCE_OF_A_LOOP)
    assert n is not None
    assert findable(scored([accuracy] * n), CHANCE_OF_A_LOOP) is not None
    assert findable(scored([accuracy] * (4 * n // 5)), CHANCE_OF_A_LOOP) is None
    assert held_out_needed(0.05, CHANCE_OF_A_LOOP) is None


def test_a_report_tells_too_few_answers_from_an_accuracy_that_can_hardly_fall() -> None:
    def words(before: list[Scored]) -> str:
        found = _findable(Watch("v1", 0, before, False, CHANCE_OF_A_LOOP))
        assert found is not None
        return str(found["words"])

    assert words(scored([1] * 50 + [0] * 950)) == (
        "Its accuracy on 1000 held-out answers was 5 %: "
        "it cannot fall by more than 10 points, and a smaller fall may not be noticed."
    )
    assert f"about {held_out_needed(0.9, CHANCE_OF_A_LOOP)} with the same accuracy" in words(scored([1] * 9 + [0]))
    assert words([]) == (
        "It was judged on 0 held-out answers, too few to notice a fall of its accuracy: "
        "a version that is judged on more can be watched."
    )


def test_answers_of_one_request_that_are_alike_count_as_fewer() -> None:
    rng = np.random.default_rng(4)
    alike = [
        Scored("all", float(right), f"request {i}") for i, right in enumerate(rng.random(40) < 0.8) for _ in range(5)
    ]
    assert design_effect(alike) == pytest.approx(5.0)
    alone = [Scored("all", float(right), f"request {i // 5}") for i, right in enumerate(rng.random(200) < 0.8)]
    assert design_effect(alone) < 1.5
    assert design_effect([Scored("all", float(i % 5 > 0), "a backfill") for i in range(500)]) == 1.0
    assert design_effect(scored([1] * 100)) == 1.0
