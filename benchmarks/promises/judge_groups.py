"""A judge whose answers come in groups: how often does a class at the floor pass, and what does a good judge pay?

`python -m benchmarks.promises.judge_groups [--quick]`. One class of answers in groups, by their intraclass correlation:
0 is none, 1 makes all answers of a group the same. The goal: a judge at the floor passes any look up to 1,000 answers
in at most 5 % of 2,000 runs. The control is the design effect that assumes a correlation of 0.2, as intervals have it.

The rate of each group has a beta distribution, so that answers are beta-binomial (Williams 1975, doi:10.2307/2529820).
Beside it there are three harder cases. In two of them half of the groups are all the same and the others independent.
In the third one few groups are all incorrect, and the judge agrees in 95 % of all other answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from benchmarks.promises.judge import JUDGE_FLOOR, QUICK, SEED
from labelloop.gate.judge_looks import SIZES, Seen, tested
from labelloop.selection.design_effect import at_most_of_weights_and_groups, of_weights_and_groups

RUNS, PLAYS = 2_000, 400
"""Runs of a row of the first and of the second table."""
FAR = 1_000
LOOKS = [size for size in SIZES if size <= FAR]
UNEQUAL = (1, 1, 1, 2, 5, 10, 20)
GOOD_GROUPS = 0.95
Flags = npt.NDArray[np.bool_]
Groups = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Effect = Callable[[Flags, float, Floats, Groups], float]


class Grouped(NamedTuple):
    name: str
    sizes: tuple[int, ...]
    """A group has each of these numbers of answers with the same chance."""
    correlation: float = 0.0
    same: float = 0.0
    """Share of the groups whose answers are all the same."""
    incorrect: bool = False
    """Whether these are all incorrect, and the judge agrees in GOOD_GROUPS of all other groups."""


KINDS = {"1": (1,), "5": (5,), "10": (10,), "1 to 20": UNEQUAL}
AT_THE_FLOOR = (
    *(
        Grouped(name, sizes, by)
        for name, sizes in KINDS.items()
        for by in ((0.0, 0.2, 0.5, 1.0) if name != "1" else (0.0,))
    ),
    *(Grouped(f"{name}, half all the same", KINDS[name], same=0.5) for name in ("10", "1 to 20")),
    Grouped("1 to 20, few all incorrect", UNEQUAL, same=1 - JUDGE_FLOOR / GOOD_GROUPS, incorrect=True),
)
RATES = (0.95, 0.9)
GOOD = tuple(Grouped(name, KINDS[name], by) for name in ("5", "10", "1 to 20") for by in (0.0, 0.1))


@click.command()
@click.option("--quick", is_flag=True, help=f"{QUICK} runs instead of {RUNS} and {PLAYS}.")
def main(quick: bool) -> None:
    """Print the figures about groups of docs/engineers/judge.md."""
    runs, plays = (QUICK, QUICK) if quick else (RUNS, PLAYS)
    click.echo(f"seed {SEED}, {runs} runs, a class at the floor of {100 * JUDGE_FLOOR:.0f} %\n")
    click.echo("| group size | correlation | passes if 0.2 is assumed, % | passes, % |\n|" + "---|" * 4)
    for kind in AT_THE_FLOOR:
        found = [[at is not None for at in both] for both in passed_at(kind, JUDGE_FLOOR, runs)]
        shares = " | ".join(f"{100 * share:.1f}" for share in np.mean(found, axis=0))
        click.echo(f"| {kind.name} | {kind.correlation:g} | {shares} |")
    click.echo(f"\n{plays} runs: answers until a class passes, in 50, 80 and 90 %\n")
    click.echo("| rate | group size | correlation | if 0.2 is assumed | now |\n|" + "---|" * 5)
    for rate in RATES:
        for kind in GOOD:
            both = list(passed_at(kind, rate, plays))
            cells = " | ".join(_quantiles([one[side] for one in both]) for side in (0, 1))
            click.echo(f"| {100 * rate:.0f} % | {kind.name} | {kind.correlation:g} | {cells} |")


def passed_at(kind: Grouped, rate: float, runs: int) -> Iterator[tuple[int | None, int | None]]:
    """Yield for each run the number of answers at which the class passes, None if at none: with the control's design
    effect, and with the product's.
    """
    rng = np.random.default_rng([SEED, 4])
    for _ in range(runs):
        right, groups = planted(kind, rate, rng)
        yield _passed(right, groups, of_weights_and_groups), _passed(right, groups, at_most_of_weights_and_groups)


def planted(kind: Grouped, rate: float, rng: np.random.Generator) -> tuple[Flags, Groups]:
    """Return whether the judge agrees in each of FAR answers, and their groups, which follow each other."""
    members = rng.choice(kind.sizes, size=FAR)
    groups = np.repeat(np.arange(FAR), members)[:FAR]
    n = int(groups[-1]) + 1
    rates = np.full(n, GOOD_GROUPS if kind.incorrect else rate)
    if kind.correlation >= 1.0:
        rates = (rng.random(n) < rate).astype(float)
    elif kind.correlation > 0.0:
        both = 1.0 / kind.correlation - 1.0
        rates = rng.beta(both * rate, both * (1.0 - rate), size=n)
    same = rng.random(n) < kind.same
    rates[same] = 0.0 if kind.incorrect else rng.random(int(same.sum())) < rate
    return rng.random(FAR) < rates[groups], groups


def _passed(right: Flags, groups: Groups, effect: Effect) -> int | None:
    weights, seen = np.ones(FAR), list[Seen]()
    for size in LOOKS:
        share = float(right[:size].mean())
        seen.append(Seen(size, size / effect(right[:size], share, weights[:size], groups[:size]), share))
    return next((look.answers for look in tested(seen, JUDGE_FLOOR) if look.passed), None)


def _quantiles(found: list[int | None]) -> str:
    numbers = [FAR if at is None else at for at in found]
    parts = (np.quantile(numbers, part, method="inverted_cdf") for part in (0.5, 0.8, 0.9))
    return ", ".join(f"{part:.0f}" for part in parts)


if __name__ == "__main__":
    main()
