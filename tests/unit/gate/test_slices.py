"""Slices: which got worse, how far the worst may be off, and what a watched one gains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.promises.slices import planted
from labelloop.gate import Gate, Judged
from labelloop.gate.joint import joint, tango
from labelloop.gate.paired import Gain
from labelloop.gate.parts import Fact
from labelloop.gate.power import by_test, chance_to_see, detectable_loss
from labelloop.gate.slices import Slice, cut, sentences, worst

FLOOR = 0.02


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def refusals(loss: float, gain: float = 0.0, watch: tuple[str, ...] = (), n: int = 60) -> float:
    """Share of verdicts on 400 answers with 10 labels that a slice refuses."""
    found, drawing = 0, rng(1)
    for _ in range(n):
        drawn = planted(400, 10, loss, gain, 0.1, drawing)
        slices = cut(drawn.facts, drawn.incumbent, drawn.challenger, floor=FLOOR, rng=drawing, watch=watch)
        found += any(one.fell for one in slices)
    return found / n


def test_slices_are_words_quartiles_and_several_words_an_item() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    facts = [
        {"length": float(i), "time": start + timedelta(hours=i), "label": ("x", "y") if i % 2 else ("x",),
         "data.id": str(i), "data.flag": "true" if i < 20 else "false", "data.one": "same", "data.none": None}
        for i in range(40)
    ]  # fmt: skip
    found = cut(facts, np.ones(40), np.ones(40), floor=0.0, rng=np.random.default_rng(0))
    sizes = {f"{s.by} {s.value}": s.n for s in found}
    assert sizes == {
        "length 0 to 9": 10, "length 10 to 19": 10, "length 20 to 29": 10, "length 30 to 39": 10,
        "time 2026-01-01 00:00 to 2026-01-01 09:00": 10, "time 2026-01-01 10:00 to 2026-01-01 19:00": 10,
        "time 2026-01-01 20:00 to 2026-01-02 05:00": 10, "time 2026-01-02 06:00 to 2026-01-02 15:00": 10,
        "label x": 40, "label y": 20, "data.flag false": 20, "data.flag true": 20,
    }  # fmt: skip


@pytest.mark.slow
def test_equal_models_are_rarely_refused_and_a_planted_loss_often() -> None:
    """The bounds leave room for chance in 60 verdicts."""
    assert refusals(0.0) <= 0.12
    assert refusals(0.0, gain=0.03) <= 0.12
    assert refusals(0.4) >= 0.7


@pytest.mark.slow
def test_a_watched_label_that_lost_is_found_more_often() -> None:
    assert refusals(0.25, watch=("label=0",)) >= refusals(0.25) + 0.1


def test_the_order_of_the_items_does_not_matter() -> None:
    drawn = planted(200, 10, 0.2, 0.0, 0.1, rng())
    there = cut(drawn.facts, drawn.incumbent, drawn.challenger, floor=FLOOR, rng=rng(2))
    order = rng(3).permutation(200)
    facts = [drawn.facts[i] for i in order]
    assert there == cut(facts, drawn.incumbent[order], drawn.challenger[order], floor=FLOOR, rng=rng(2))


def test_one_slice_of_all_items_gets_the_exact_p_value() -> None:
    """9 items lost of 9 that differ: 1 of 512."""
    differences = np.array([-1.0] * 9 + [0.0] * 11)
    found = joint(differences, np.ones((1, 20), dtype=bool), np.ones(1), 0.05, rng())
    assert found.p_worse[0] == pytest.approx(1 / 512, abs=0.0015)
    assert found.z[0] == pytest.approx(1.96, abs=0.5)


def test_slices_that_cannot_show_a_loss_cost_nothing() -> None:
    """Forty slices in which the models agree everywhere leave the p-value of the other one as it is."""
    differences = np.concatenate([np.full(6, -1.0), np.zeros(410)])
    alone = np.zeros((1, 416), dtype=bool)
    alone[0, :16] = True
    others = np.repeat(np.eye(40, dtype=bool), 10, axis=1)
    many = np.vstack([alone, np.hstack([np.zeros((40, 16), dtype=bool), others])])
    one = joint(differences, alone, np.ones(1), 0.05, rng()).p_worse[0]
    assert joint(differences, many, np.full(41, 1 / 41), 0.05, rng()).p_worse[0] == pytest.approx(one, abs=0.003)


def test_no_difference_at_all_is_no_loss_and_not_an_empty_interval() -> None:
    facts = [{"label": "ab"[i % 2]} for i in range(40)]
    one = cut(facts, np.ones(40), np.ones(40), floor=0.0, rng=rng())[0]
    assert (one.p_worse, one.fell) == (1.0, False)
    assert one.among is not None
    assert one.among.low < -0.1 < 0.1 < one.among.high


def test_the_interval_is_tangos() -> None:
    """At 95 % it equals the interval of the gain on the whole hold-out set."""
    differences = np.array([1.0] * 5 + [-1.0] * 12 + [0.0] * 40)
    z = np.array([1.959964])
    low, high = tango(np.array([57.0]), np.array([5.0]), np.array([12.0]), z)
    whole = Gain.of(differences, rng())
    assert (low[0], high[0]) == pytest.approx((whole.low, whole.high), abs=1e-4)


def test_scores_that_are_correct_in_part_are_judged_too() -> None:
    drawing = rng(4)
    facts = [{"label": "ab"[i % 2]} for i in range(200)]
    champion = drawing.uniform(0.5, 1.0, 200)
    challenger = np.where(np.arange(200) % 2, champion, champion - drawing.uniform(0, 0.3, 200))
    found = {s.value: s for s in cut(facts, champion, challenger, floor=FLOOR, rng=rng())}
    assert (found["a"].fell, found["b"].fell) == (True, False)


def test_a_detectable_loss_is_detected_in_four_of_five_cases() -> None:
    loss = detectable_loss(100, 0.005, 0.1)
    assert loss is not None
    assert chance_to_see(100, by_test(0.005), 0.1 + loss, loss) >= 0.8
    assert chance_to_see(100, by_test(0.005), 0.1 + loss - 0.01, loss - 0.01) < 0.8
    assert detectable_loss(5, 0.001, 0.1) is None
    assert detectable_loss(100_000, 0.05, 0.1, floor=0.02) == pytest.approx(0.025), "a smaller loss is allowed"


def test_a_watched_value_is_cut_even_from_a_field_of_many_values() -> None:
    facts: list[dict[str, Fact]] = [{"data.customer": f"c{i % 50}", "data.age": float(i % 90)} for i in range(1000)]
    watch = ("data.customer=c7", "data.age=30", "data.customer=gone")
    slices = cut(facts, np.ones(1000), np.ones(1000), floor=FLOOR, rng=rng(), watch=watch)
    assert {(s.name, s.n) for s in slices if s.watched} == {("data.customer c7", 20), ("data.age 30", 11)}
    said = sentences(slices, FLOOR, watch)
    assert "watched slice data.customer=gone: no held-out answer belongs to it, so it was not judged" in said


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ([{"label": "a"}] * 30, "all held-out answers have the same label, so no slice was judged"),
        ([{"label": ("a",)}] * 30, "all held-out answers have the same label, so no slice was judged"),
        (
            [{"label": "a"}] * 20 + [{"label": None}] * 10,
            "all held-out answers with a value have the same label, so no slice was judged",
        ),
        ([{"label": None}] * 30, "no held-out answer belongs to it, so it was not judged"),
    ],
    ids=["one label", "one of several labels", "some have none", "none has one"],
)
def test_a_watched_fact_without_slices_says_why(facts: list[dict[str, Fact]], why: str) -> None:
    items = [Judged("a", "a" if i % 3 else "b", "a", facts=item) for i, item in enumerate(facts)]
    assert f"watched slice label: {why}" in Gate(min_holdout=20, watch=("label",)).judge(items).reasons


def test_a_watched_field_of_too_many_values_names_another_way_to_watch_it() -> None:
    items = [Judged("a", "a", "a", facts={"data.customer": f"c{i}"}) for i in range(30)]
    assert (
        "watched slice data.customer: its 30 values are too many for slices, so no slice was judged; "
        "data.customer=VALUE watches one"
    ) in Gate(min_holdout=20, watch=("data.customer",)).judge(items).reasons


def test_the_verdict_names_the_worst_slice_and_what_could_have_been_seen() -> None:
    drawn = planted(300, 5, 0.15, 0.0, 0.1, rng(5))
    slices = cut(drawn.facts, drawn.incumbent, drawn.challenger, floor=FLOOR, rng=rng(), watch=("label=3",))
    named = worst(slices)
    assert named is not None
    first, second, watched = sentences(slices, FLOOR, ("label=3",))
    assert first.startswith(f"worst slice: {named.name}, {100 * named.gain.value:+.1f} points (95 % CI ")
    assert "of 19 slices got worse by more than 2 points and beyond chance; a loss of " in second
    assert "would have been seen in four of five cases in the largest (" in second
    assert watched.startswith("watched slice label 3, ")


def test_slices_that_are_too_small_are_reported() -> None:
    slices = cut([{"label": "abc"[i % 3]} for i in range(12)], np.ones(12), np.zeros(12), floor=0.0, rng=rng())
    assert worst(slices) is None
    first, watched = sentences(slices, 0.0, ("label=a",))
    assert first == "no slice has 10 held-out answers, so no slice was judged"
    assert watched == "watched slice label a: 4 held-out answers, it is judged from 10"
    assert cut([], np.ones(0), np.ones(0), floor=0.0, rng=rng(), watch=("label",)) == []
    assert all(isinstance(s, Slice) and s.as_json()["detectable"] is None for s in slices)
