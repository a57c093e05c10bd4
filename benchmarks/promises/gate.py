"""The gate judged by what it withholds and by what it lets pass: `python -m benchmarks.promises.gate [--quick]`.

A planted loop has 20 rounds of 40 answers. Each round trains a challenger on the 27 that are not held out. Its true
accuracy follows a power law of the round, from 80 to 88 %: it `levels off` after three rounds, or `grows` to the end.
Some challengers are planted worse by 0.5 to 10 points. `rho` is the correlation of the models' latent difficulty of an
item, so with 0.9 they make similar errors.

regret      mean over the rounds: true accuracy of the best version trained so far minus that of what serves, in points
harm        promotions a loop of a version that is truly worse by more than a point
by luck     share of loops that ever promote a model exactly as good as the champion, within 100 verdicts
power       share of challengers better by 5 points that are promoted at verdict 50
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import click
import numpy as np

from benchmarks.promises.planted_loops import CURVES, SCENARIOS, SIZES, Curve, Scenario, Scores, item_scores, planted
from labelloop.gate.bound import joint_alphas
from labelloop.gate.loss import Loss
from labelloop.gate.paired import p_better
from labelloop.gate.reuse import Reuse
from labelloop.gate.verdict import Gate
from labelloop.spec.gate import GateSpec

ROUNDS = 20
HARM = 0.01
LUCK_VERDICTS = 100
POWER_VERDICT, TOGETHER = 50, 20
FLIPS, POWER_FLIPS = 10_000, 100_000
"""Sign flips of the joint test. The product has the larger number, so that a verdict does not depend on the seed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate. `again`: refused versions are judged again on more answers, as the worker does."""

    name: str
    gate: Gate
    reuse: str = "share"
    again: bool = False
    blind: bool = False
    """Always promote the newest version."""


def rules() -> tuple[Rule, ...]:
    """Return the rules that are compared, the former default first."""
    default = GateSpec()
    exact = Gate(default.min_holdout, alpha=default.level)
    loss = Gate(default.min_holdout, max_loss=default.largest_loss)
    return (
        Rule("exact, reuse: share", exact),
        Rule("newest always", exact, blind=True),
        Rule("joint", exact, reuse="bound"),
        *(
            Rule(f"expected loss {100 * limit:g}", replace(loss, max_loss=limit), again=True)
            for limit in (0.002, default.largest_loss, 0.008)
        ),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    regret: float
    """In points."""
    harm: float
    promotions: float


class Judge:
    """The verdicts against one champion after another, as backend/decide/judge.py asks for them."""

    def __init__(self, rule: Rule, scores: Scores, scenario: Scenario, seed: int) -> None:
        self.rule, self.scores, self.scenario, self.seed = rule, scores, scenario, seed
        self.champion = 0
        self.looks: list[int] = []
        """Held-out items at each verdict against this champion."""
        self.alphas: list[float] = []
        self.refused: dict[int, tuple[float, int]] = {}
        """Gain and held-out items of each refused version at its last verdict."""

    def judge(self, version: int, n: int) -> bool:
        """Judge the version on the first `n` items; it becomes champion if it passes."""
        found = self.scores[version, :n] - self.scores[self.champion, :n]
        better, worse = int((found > 0).sum()), int((found < 0).sum())
        loss, gate = Loss.of(found, np.random.default_rng(0)), self.rule.gate
        p_value = 1.0 if gate.alpha is None else _p_value(better, worse)
        passes = self.rule.blind or gate.better(n, (better - worse) / n, loss, p_value, self._reuse(found, n))[0]
        self.looks.append(n)
        self.refused[version] = ((better - worse) / n, n)
        if passes:
            self.champion, self.looks, self.refused = version, [], {}
        return passes

    def again(self, n: int) -> bool:
        """Judge the most promising refused version again, if there are enough new answers."""
        from backend.decide.again import enough_more

        ahead = {v: gain for v, (gain, before) in self.refused.items() if gain > 0 and enough_more(before, n - before)}
        return bool(ahead) and self.judge(max(ahead, key=ahead.__getitem__), n)

    def _reuse(self, found: Scores, n: int) -> Reuse:
        alpha = self.rule.gate.alpha
        if alpha is None:
            return Reuse.of(1.0)
        if self.rule.reuse == "bound":
            if not self.looks:
                self.alphas = self.joint_levels()
            return replace(Reuse.of(alpha), alpha=self.alphas[len(self.looks)])
        return Reuse.of(alpha, [min(1.0, items / n) for items in self.looks], ignored=self.rule.reuse == "ignore")

    def joint_levels(self, flips: int = FLIPS) -> list[float]:
        """Return the levels of all verdicts to come against this champion: one for each version, in their order."""
        matrix = self.scores[self.champion + 1 :] - self.scores[self.champion]
        for version, row in enumerate(matrix, self.champion + 1):
            row[self.scenario.held_out(version - 1) :] = 0
        return joint_alphas(matrix, self.rule.gate.alpha or 1.0, np.random.default_rng(self.seed), flips)


@cache
def _p_value(better: int, worse: int) -> float:
    return p_better(np.repeat([1.0, -1.0], [better, worse]), np.random.default_rng(0))


def loops(rule: Rule, scenario: Scenario, n_loops: int, seed: int) -> Outcome:
    """Run planted loops by one rule; every rule sees the same loops."""
    regret = harm = promotions = 0.0
    for loop in range(n_loops):
        accuracy, scores = planted(scenario, ROUNDS, np.random.default_rng([seed, loop]))
        judge = Judge(rule, scores, scenario, seed)
        for turn in range(ROUNDS):
            before, n = judge.champion, scenario.held_out(turn)
            if judge.judge(turn + 1, n) or (rule.again and judge.again(n)):
                promotions += 1
                harm += accuracy[judge.champion] < accuracy[before] - HARM
            regret += accuracy[: turn + 2].max() - accuracy[judge.champion]
    return Outcome(100 * regret / n_loops / ROUNDS, harm / n_loops, promotions / n_loops)


def by_luck(rule: Rule, scenario: Scenario, n_loops: int, seed: int) -> tuple[float, float]:
    """Return the share of loops that ever promote an equal model in 100 verdicts, and the mean number of promotions."""
    ever = all_of_them = 0
    for loop in range(n_loops):
        rng = np.random.default_rng([seed, 1, loop])
        n = scenario.held_out(LUCK_VERDICTS - 1)
        scores = item_scores(np.full(LUCK_VERDICTS + 1, 0.85), n, scenario.rho, scenario.people, rng)
        judge = Judge(rule, scores, scenario, seed)
        passed = [judge.judge(v + 1, scenario.held_out(v)) for v in range(LUCK_VERDICTS)]
        ever += any(passed)
        all_of_them += sum(passed)
    return ever / n_loops, all_of_them / n_loops


def power(rule: Rule, scenario: Scenario, accuracy: float, n_loops: int, seed: int) -> tuple[float, float]:
    """Return the share of challengers better by 5 points that are promoted at verdict 50, and the discordant share.

    The 49 challengers before it are exactly as good as the champion, and were refused. TOGETHER of them are tried in
    each loop, at the levels of the first one.
    """
    seen = differ = 0.0
    truth = np.repeat([accuracy, accuracy + 0.05], [POWER_VERDICT, TOGETHER])
    n, outer = scenario.held_out(POWER_VERDICT - 1), max(1, n_loops // TOGETHER)
    for loop in range(outer):
        scores = item_scores(truth, n, scenario.rho, scenario.people, np.random.default_rng([seed, 2, loop]))
        judge = Judge(rule, scores, scenario, seed)
        if rule.reuse == "bound":
            judge.alphas = Judge(rule, scores[: POWER_VERDICT + 1], scenario, seed).joint_levels(POWER_FLIPS)
        looks = [scenario.held_out(v) for v in range(POWER_VERDICT - 1)]
        for better in range(POWER_VERDICT, POWER_VERDICT + TOGETHER):
            judge.champion, judge.looks = 0, list(looks)
            differ += float((scores[better] != scores[0]).mean())
            seen += judge.judge(better, n)
    return seen / outer / TOGETHER, differ / outer / TOGETHER


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def regrets(curve: Curve, n_loops: int, seed: int) -> str:
    """Return the table of regret and harm by scenario, with the ratio to the first rule's regret."""
    compared = rules()
    ratios: Mapping[str, list[float]] = {rule.name: [] for rule in compared}
    harm: Mapping[str, list[float]] = {rule.name: [] for rule in compared}
    rows = []
    for scenario in SCENARIOS:
        found = [loops(rule, replace(scenario, curve=curve), n_loops, seed) for rule in compared]
        for rule, one in zip(compared, found, strict=True):
            ratios[rule.name].append(one.regret / found[0].regret)
            harm[rule.name].append(one.harm)
        rows.append([scenario.name] + [f"{one.regret:.1f}, {one.regret / found[0].regret:.2f} x; {one.harm:.2f}"
                                       for one in found])  # fmt: skip
    for name, of in (("mean", np.mean), ("worst", np.max)):
        rows.append([name] + [f"{of(ratios[rule.name]):.3f} x; {of(harm[rule.name]):.3f}" for rule in compared])
    head = f"the curve {curve.name}: regret in points, ratio; harm a loop"
    return table([head, *(rule.name for rule in compared)], rows)


def compared() -> list[Rule]:
    return [rule for rule in rules() if not rule.blind]


def lucky(n_loops: int, seed: int) -> str:
    """Return the table of promotions by luck."""
    rows = []
    for size, numbers in SIZES.items():
        for rho in (0.0, 0.5, 0.9):
            scenario = Scenario(size, *numbers, rho=rho)
            found = [by_luck(rule, scenario, n_loops, seed) for rule in compared()]
            rows.append([f"equal, {size}, rho {rho:g}"] + [f"{ever:.2f} ({mean:.2f})" for ever, mean in found])
    return table(["ever promoted (mean number)", *(rule.name for rule in compared())], rows)


def powers(n_loops: int, seed: int) -> str:
    """Return the table of power."""
    rows = []
    for accuracy, rho in ((0.85, 0.0), (0.9, 0.0), (0.85, 0.5), (0.9, 0.5), (0.9, 0.9)):
        scenario = Scenario("", 1_000, 0, rho=rho)
        seen = [power(rule, scenario, accuracy, n_loops, seed) for rule in compared()]
        name = f"{100 * accuracy:g} to {100 * accuracy + 5:g} % on 1,000, {100 * seen[0][1]:.0f} % differ"
        rows.append([name] + [f"{one:.2f}" for one, _ in seen])
    return table(["power at verdict 50", *(rule.name for rule in compared())], rows)


@click.command()
@click.option("--loops", "n_loops", default=200, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--quick", is_flag=True, help="20 loops: whether it runs, not what it shows.")
@click.option("--only", type=click.Choice([*(curve.name for curve in CURVES), "luck", "power"]), help="One table.")
def main(n_loops: int, seed: int, quick: bool, only: str | None) -> None:
    """Print what each rule of the gate withholds, and what it lets pass."""
    n_loops = 20 if quick else n_loops
    click.echo(f"{n_loops} loops for each scenario, seed {seed}")
    tables: dict[str, Callable[[int, int], str]] = {curve.name: partial(regrets, curve) for curve in CURVES}
    for name, made in (tables | {"luck": lucky, "power": powers}).items():
        if only in (None, name):
            click.echo(f"\n{made(n_loops, seed)}")


if __name__ == "__main__":
    main()
