"""Is the judge right: do the bounds hold the truth, and how often is a bad judge certified?

`python -m benchmarks.promises.judge [--quick]`. Judges of known rates give verdicts on planted outputs, some of which
chance draws for people. The goal: each interval holds the truth in 93 to 97 % of 1,000 runs, and a judge at the floor
is certified in at most 5 %. Where a class has few answers, or a rate is near 1, intervals hold it more often.

Hard outputs are the ones that the trigger sends: there the judge errs about four times as often, and people answer
three times as many. Groups are 10 outputs whose errors are alike.

What happens if people look again and again is measured by `python -m benchmarks.promises.judge_looks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from backend.report.estimates.judge import of_classes
from labelloop.answers.judge import Compared, Outputs, judged

Flags = npt.NDArray[np.bool_]
SEED, RUNS, QUICK = 13, 1_000, 50
JUDGED = 4_000
JUDGE_FLOOR = 0.8
HARD = 0.3
"""Share of the outputs that the trigger sends, where there are hard ones."""
ALIKE = 0.3
SHOWN = ("tpr", "tnr", "base_rate", "kappa", "corrected")
HEAD = (
    *("judge", "answers", "pass, %", "TPR, %", "TNR, %", "certified, %"),
    *(f"{words}: in interval, %" for words in ("TPR", "TNR", "share of pass", "kappa", "corrected share")),
    *("TPR above its bound, %", "TNR above its bound, %"),
)


class Judge(NamedTuple):
    name: str
    base: float
    tpr: float
    tnr: float
    hard: bool = False
    group: int = 1


JUDGES = (
    Judge("always pass", 0.67, 1.0, 0.0),
    Judge("good", 0.67, 0.95, 0.9),
    Judge("TNR at the floor", 0.5, 0.95, JUDGE_FLOOR),
    Judge("TPR at the floor", 0.67, JUDGE_FLOOR, 0.95),
    Judge("both at the floor", 0.5, JUDGE_FLOOR, JUDGE_FLOOR),
    Judge("few pass", 0.2, 0.85, 0.95),
    Judge("hard outputs", 0.67, 0.92, 0.85, hard=True),
    Judge("groups of 10", 0.6, 0.92, 0.85, group=10),
)
SIZES = (60, 150, 400)


class Planted(NamedTuple):
    people: Flags
    judge: Flags
    sent: Flags
    group: npt.NDArray[np.intp]


@click.command()
@click.option("--quick", is_flag=True, help=f"{QUICK} runs instead of {RUNS}.")
def main(quick: bool) -> None:
    """Print the tables of docs/engineers/judge.md."""
    runs = QUICK if quick else RUNS
    click.echo(f"seed {SEED}, {runs} runs, floor {100 * JUDGE_FLOOR:.0f} %\n\n| " + " | ".join(HEAD) + " |")
    click.echo("|" + "---|" * len(HEAD))
    for judge in JUDGES:
        for n in SIZES:
            click.echo("| " + " | ".join(_cells(judge, n, runs)) + " |")


def planted(judge: Judge, rng: np.random.Generator) -> Planted:
    """Return the outputs of a judge with these rates: in the mean over hard and other outputs, too."""
    from scipy.special import ndtr

    group = np.arange(JUDGED) // judge.group
    alike = ALIKE if judge.group > 1 else 0.0
    shared = rng.normal(size=group.max() + 1)[group]
    drawn = ndtr(np.sqrt(alike) * shared + np.sqrt(1.0 - alike) * rng.normal(size=JUDGED))
    people = rng.random(JUDGED) < judge.base
    sent = rng.random(JUDGED) < (HARD if judge.hard else 0.0)
    right = np.where(people, *(_chances(rate, sent, judge.hard) for rate in (judge.tpr, judge.tnr))) > drawn
    return Planted(people, np.where(right, people, ~people), sent, group)


def _chances(rate: float, sent: Flags, hard: bool) -> npt.NDArray[np.float64]:
    if not hard:
        return np.full(len(sent), rate)
    errs = min(1.0, 2.1 * (1.0 - rate))
    return np.where(sent, 1.0 - errs, 1.0 - (1.0 - rate - HARD * errs) / (1.0 - HARD))


def answered(made: Planted, chosen: npt.NDArray[np.intp]) -> tuple[list[Compared], dict[bool, Outputs]]:
    """Return what people answered of the chosen outputs, in this order, and the numbers of outputs."""
    rows = [
        Compared(bool(made.sent[i]), str(made.group[i]), bool(made.judge[i]), bool(made.people[i]))
        for i in chosen.tolist()
    ]
    sizes = {
        side: Outputs(int((made.sent == side).sum()), int((made.judge & (made.sent == side)).sum()))
        for side in (True, False)
    }
    return rows, sizes


def order_of(judge: Judge, made: Planted, n: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return about `n` outputs that people answer, in a random order; the outputs of a group follow each other."""
    if judge.group > 1:
        groups = rng.permutation(made.group.max() + 1)[: math.ceil(n / judge.group)]
        return (groups[:, None] * judge.group + np.arange(judge.group)).ravel()
    chance = np.where(made.sent, 3.0, 1.0)
    return rng.permutation(np.flatnonzero(rng.random(JUDGED) < chance * n / chance.sum()))


def _cells(judge: Judge, n: int, runs: int) -> Iterator[str]:
    rng = np.random.default_rng([SEED, n])
    inside, known = dict.fromkeys(SHOWN, 0), dict.fromkeys(SHOWN, 0)
    above, certified = {"tpr": 0, "tnr": 0}, 0
    for _ in range(runs):
        made = planted(judge, rng)
        rows, sizes = answered(made, order_of(judge, made, n, rng))
        found = judged(rows, sizes, rng)
        certified += all(one.certified for one in of_classes(rows, sizes, JUDGE_FLOOR).values())
        for name, truth in _truths(judge, made).items():
            ends = getattr(found, name)
            if ends.low is not None:
                known[name] += 1
                inside[name] += ends.low - 1e-9 <= truth <= ends.high + 1e-9
                if name in above:
                    above[name] += ends.bound <= truth + 1e-9
    yield from (judge.name, f"{n:,}", *(f"{100 * rate:.0f}" for rate in (judge.base, judge.tpr, judge.tnr)))
    yield f"{100 * certified / runs:.1f}"
    yield from (f"{100 * inside[name] / known[name]:.1f}" for name in SHOWN)
    yield from (f"{100 * above[name] / known[name]:.1f}" for name in above)


def _truths(judge: Judge, made: Planted) -> Mapping[str, float]:
    """Return the true figures: rates of the judge, and the share of pass among these outputs."""
    base, says = judge.base, judge.base * judge.tpr + (1.0 - judge.base) * (1.0 - judge.tnr)
    agreed = base * judge.tpr + (1.0 - base) * judge.tnr
    by_chance = says * base + (1.0 - says) * (1.0 - base)
    kappa = (agreed - by_chance) / (1.0 - by_chance)
    return {
        "tpr": judge.tpr,
        "tnr": judge.tnr,
        "base_rate": base,
        "kappa": kappa,
        "corrected": float(made.people.mean()),
    }


if __name__ == "__main__":
    main()
