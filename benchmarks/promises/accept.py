"""`accept`: how often the promise about what passes unseen is broken over a loop's life, and how much may pass.

`python -m benchmarks.promises.accept [--quick] [--seed N] [--only WORD]`. Planted loops, whose error rates are known.
Every loop uses the functions that the product uses: labelloop/gate/accept.py and looks.py. Goals, over 2,000 loops at a
promise of 5 % with a confidence of 95 %:

- the promise is broken at any look of a loop's life in at most 5 % of the loops, in every scenario;
- at 1,000 answers at least 70 % of what an oracle could let pass;
- an over-confident model, which no threshold makes good enough, gets a certificate in at most 5 % of the loops.

The control is a threshold chosen by the observed error rate, looked at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import click
import numpy as np
import numpy.typing as npt

from labelloop.gate import looks
from labelloop.gate.accept import Answers, begin, examine
from labelloop.gate.looks import Floats
from labelloop.threads import one_thread

ERROR, CONFIDENCE = 0.05, 0.95
UNLABELLED = 5000
"""Confidences of outputs with and without an answer, from which the thresholds are chosen."""
REFERENCE = 1_000_000
"""Outputs by which the true error rate above a threshold is known."""
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Scenario:
    """A model: draws of confidences, each with the true probability that the label is incorrect."""

    name: str
    draw: Draw
    group: int = 1
    """Answers of one group."""
    alike: float = 0.5
    """Share of the groups whose answers are incorrect together."""


def _beta(a: float, b: float, change: Callable[[Floats], Floats]) -> Draw:
    def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        confidence = rng.beta(a, b, n)
        return confidence, np.clip(change(confidence), 0.0, 1.0)

    return draw


SCENARIOS = (
    Scenario("calibrated, 92 % correct", _beta(6, 0.52, lambda c: 1 - c)),
    Scenario("calibrated, 85 % correct", _beta(3, 0.53, lambda c: 1 - c)),
    Scenario("calibrated, 99 % correct", _beta(6, 0.06, lambda c: 1 - c)),
    Scenario("over-confident: twice the errors that it says", _beta(6, 0.4, lambda c: 2 * (1 - c))),
    Scenario(
        "over-confident everywhere: 5 to 13 % incorrect, says 1 to 3 %", _beta(40, 0.8, lambda c: 0.055 + 2 * (1 - c))
    ),
    Scenario("just broken: 5.01 % incorrect at every confidence", _beta(6, 0.3, lambda c: np.full_like(c, 0.0501))),
    Scenario("says 1.0 of everything, 8 % incorrect", lambda rng, n: (np.ones(n), np.full(n, 0.08))),
    Scenario("just broken, groups of five alike", _beta(6, 0.3, lambda c: np.full_like(c, 0.0501)), group=5),
    Scenario(
        "just broken, groups of twenty, all the same",
        _beta(6, 0.3, lambda c: np.full_like(c, 0.0501)),
        group=20,
        alike=1.0,
    ),
)


class World:
    """A scenario with its truth."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        confidence, wrong = scenario.draw(np.random.default_rng(99), REFERENCE)
        order = np.argsort(-confidence)
        self._falling = -confidence[order]
        self._errors = np.cumsum(wrong[order]) / np.arange(1, REFERENCE + 1)
        good = np.flatnonzero(self._errors <= ERROR)
        self.oracle = float(good[-1] + 1) / REFERENCE if len(good) else 0.0
        """Largest share that could pass."""

    def above(self, threshold: float) -> tuple[float, float]:
        """Return the true error rate at or above a threshold, and the share of the outputs there."""
        n = int(np.searchsorted(self._falling, -threshold, side="right"))
        return (float(self._errors[n - 1]), n / REFERENCE) if n else (0.0, 0.0)

    def loop(self, rng: np.random.Generator, n: int) -> tuple[Floats, Answers]:
        """Return the confidences of outputs, and `n` answers that chance chose."""
        scores, _ = self.scenario.draw(rng, UNLABELLED)
        confidence, wrong = self.scenario.draw(rng, n)
        size = self.scenario.group
        groups: npt.NDArray[np.intp] = np.arange(n) // size
        luck = rng.random(n)
        if size > 1:
            together = rng.random(groups[-1] + 1) < self.scenario.alike
            luck = np.where(together[groups], rng.random(groups[-1] + 1)[groups], luck)
        return scores, Answers(confidence, (luck < wrong).astype(np.float64), groups)


@lru_cache
def world(scenario: Scenario) -> World:
    return World(scenario)


@dataclass(frozen=True)
class Lives:
    """Shares over many loops of one scenario."""

    broken: float
    """Share of the loops in which the promise was broken at any look."""
    certified: float
    """Share of the loops that had a certificate at any look."""
    automated: dict[int, float]
    """Mean share of the outputs that pass, by number of answers."""


def lives(scenario: Scenario, loops: int, seed: int, most: int = 1000, number: int = 1) -> Lives:
    """Let loops live: answers come in, and each look renews the certificate."""
    here = world(scenario)
    alpha = (1 - CONFIDENCE) * looks.of_model(number)
    sizes = [size for size in looks.SIZES if size <= most]
    broken = certified = 0
    shares = dict.fromkeys(sizes, 0.0)
    for i in range(loops):
        scores, answers = here.loop(np.random.default_rng([seed, i]), most)
        row = begin(scores, ERROR, alpha)
        was_broken = had_one = False
        for size in sizes:
            found = examine(answers.take(np.arange(most) < size), row, ERROR, alpha)
            if found.threshold is not None:
                error, share = here.above(found.threshold)
                had_one = True
                was_broken |= error > ERROR
                shares[size] += share / loops
        broken += was_broken
        certified += had_one
    return Lives(broken / loops, certified / loops, shares)


def naive(scenario: Scenario, loops: int, seed: int, n: int) -> tuple[float, float]:
    """Return how often a threshold by the observed error rate breaks the promise, and the mean share that passes."""
    here = world(scenario)
    broken = passes = 0.0
    for i in range(loops):
        _, answers = here.loop(np.random.default_rng([seed, i]), n)
        order = np.argsort(-answers.confidence)
        rates = np.cumsum(answers.loss[order]) / np.arange(1, n + 1)
        good = np.flatnonzero(rates <= ERROR)
        if len(good):
            error, share = here.above(float(answers.confidence[order][good[-1]]))
            broken += error > ERROR
            passes += share
    return broken / loops, passes / loops


def chosen_by_the_gate(loops: int, seed: int, rounds: int = 10, every: int = 150) -> float:
    """Return how often a loop with `rounds` champions, each chosen on the answers that certify it, breaks the promise.

    After each `every` answers a challenger replaces the champion if it looks better on the same answers, without any
    test: much more often than a real gate allows. All are equally bad: just above 5 % incorrect at every confidence, so
    that each certificate is a broken promise.
    """
    broken = 0
    for i in range(loops):
        rng = np.random.default_rng([seed, i])
        n = rounds * every
        losses = (rng.random((rounds, n)) < 0.0501).astype(np.float64)
        confidence = rng.beta(6, 0.3, (rounds, n))
        champion, number = 0, 1
        for now in range(rounds):
            upto = (now + 1) * every
            if losses[now, :upto].mean() < losses[champion, :upto].mean():
                champion, number = now, now + 1  # each version that was judged takes a place
            alpha = (1 - CONFIDENCE) * looks.of_model(number)
            row = begin(rng.beta(6, 0.3, UNLABELLED), ERROR, alpha)
            answers = Answers(confidence[champion, :upto], losses[champion, :upto], np.arange(upto))
            if examine(answers, row, ERROR, alpha).threshold is not None:
                broken += 1
                break
    return broken / loops


def planted_class(loops: int, seed: int, n: int) -> dict[str, float]:
    """Return how often each label gets a certificate with `by: label`, and the planted one's error without it.

    The pipeline says a, b and c equally often with the same confidences. Its labels c are incorrect in 30 %
    at every confidence, and a and b as often as it says.
    """
    alpha = (1 - CONFIDENCE) * looks.of_model(1)
    counts = dict.fromkeys("abc", 0)
    for i in range(loops):
        rng = np.random.default_rng([seed, i])
        confidence, labels = rng.beta(20, 0.4, n), rng.integers(3, size=n)
        loss = (rng.random(n) < np.where(labels == 2, 0.3, 1 - confidence)).astype(np.float64)
        scores, their = rng.beta(20, 0.4, UNLABELLED), rng.integers(3, size=UNLABELLED)
        for label, name in enumerate("abc"):
            row = begin(scores[their == label], ERROR, alpha / 3, float((their == label).mean()))
            mine = Answers(np.where(labels == label, confidence, -1.0), loss, np.arange(n))
            counts[name] += examine(mine, row, ERROR, alpha / 3).threshold is not None
    return {name: n / loops for name, n in counts.items()}


@click.command()
@click.option("--quick", is_flag=True, help="Few loops: whether it runs, not what it measures.")
@click.option("--seed", default=0, show_default=True)
@click.option("--loops", default=2000, show_default=True)
@click.option("--only", default="", help="Only scenarios whose name has this word; or naive, gate, label.")
def main(quick: bool, seed: int, loops: int, only: str) -> None:
    """Print how often the promise of `accept` is broken, and how much passes."""
    loops = 20 if quick else loops
    click.echo(f"Promise: at most 5 % incorrect, confidence 95 %; {loops:,} loops a row; seed {seed}\n")
    with one_thread:
        click.echo(
            "| model | broken in a loop's life | had a certificate | passes at 444 | at 1,000 | an oracle | share |"
        )
        click.echo("|---|---|---|---|---|---|---|")
        for scenario in SCENARIOS:
            if only in scenario.name:
                found, most = lives(scenario, loops, seed), world(scenario).oracle
                at = {n: found.automated[n] for n in (444, 1000)}
                share = f"{at[1000] / most:.2f}" if most else "-"
                click.echo(
                    f"| {scenario.name} | {100 * found.broken:.1f} % | {100 * found.certified:.1f} % | {at[444]:.2f} | "
                    f"{at[1000]:.2f} | {most:.2f} | {share} |"
                )
        if only in "naive":
            for n in (200, 1000, 2000):
                broken, passes = naive(SCENARIOS[0], loops, seed, n)
                click.echo(
                    f"\nThreshold by the observed error rate, {SCENARIOS[0].name}, {n:,} answers: broken in "
                    f"{100 * broken:.1f} %, passes {passes:.2f}"
                )
        if only in "gate":
            broken = chosen_by_the_gate(loops, seed)
            click.echo(f"\nTen champions, each chosen on the answers that certify it: broken in {100 * broken:.1f} %")
        if only in "label":
            shares = planted_class(min(loops, 500), seed, 3375)
            words = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
            click.echo(f"\nby: label, 3,375 answers, 30 % of c incorrect: had a certificate: {words}")


if __name__ == "__main__":
    main()
