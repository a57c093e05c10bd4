"""A judge's certificate over all looks: how often is a bad judge certified, and how many answers does a good one need?

`python -m benchmarks.promises.judge_looks [--quick]`. People look after each 10 answers, up to 25 and up to 100 times.
The goal: a judge at the floor is certified in at most 5 % of 1,000 runs. The control is the bound of one look,
which the report shows beside it.

The price: a class needs more answers than with one look at the best time, which nobody knows before. That is the
smallest number of answers with which an exact test certifies in 80 % of cases. The alternative that was not taken is a
confidence sequence, a bound that holds after every answer (a mixture of likelihood ratios: Robbins 1970,
doi:10.1214/aoms/1177696786).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
import numpy as np
import numpy.typing as npt

from backend.report.estimates.judge import of_classes
from benchmarks.promises.judge import JUDGE_FLOOR, JUDGES, QUICK, RUNS, SEED, Judge, answered, order_of, planted
from labelloop.answers.judge import Compared, Outputs, at_looks
from labelloop.gate.judge_looks import POWER, RISK, SIZES, Seen, examine

EVERY, FEWER, MOST = 10, 25, 100
"""A look after each so many answers, and how often people look."""
AT_THE_FLOOR = (
    *(one for one in JUDGES if "floor" in one.name),
    Judge("hard outputs, TNR at the floor", 0.5, 0.95, JUDGE_FLOOR, hard=True),
    Judge("hard outputs, both at the floor", 0.5, JUDGE_FLOOR, JUDGE_FLOOR, hard=True),
    Judge("groups of 10, TNR at the floor", 0.5, 0.95, JUDGE_FLOOR, group=10),
)
RATES = (0.98, 0.95, 0.9, 0.86)
LOOKS_HEAD = (
    *("judge", f"bound of one look reached at any of {FEWER} looks, %", f"at any of {MOST}, %"),
    *(f"certified at any of {FEWER} looks, %", f"at any of {MOST}, %"),
)
PRICE_HEAD = (
    *("rate", "one look at the best time, 80 %", "planned looks: mean", "50 %", "80 %", "90 %"),
    *("a confidence sequence: mean", "50 %", "80 %", "90 %"),
)
PLAYS = 4_000
"""Runs of the second table, which plays one class alone."""
LONGEST = 4_000
"""Answers of one class after which a play of the second table ends."""


@click.command()
@click.option("--quick", is_flag=True, help=f"{QUICK} runs instead of {RUNS}.")
def main(quick: bool) -> None:
    """Print the tables about looks of docs/engineers/judge.md."""
    runs = QUICK if quick else RUNS
    click.echo(f"seed {SEED}, {runs} runs, floor {100 * JUDGE_FLOOR:.0f} %, a look after each {EVERY} answers\n")
    click.echo("| " + " | ".join(LOOKS_HEAD) + " |\n|" + "---|" * len(LOOKS_HEAD))
    for judge in AT_THE_FLOOR:
        shares = (f"{100 * n / runs:.1f}" for n in false_certificates(judge, runs))
        click.echo(f"| {judge.name} | " + " | ".join(shares) + " |")
    plays = PLAYS // 20 if quick else PLAYS
    click.echo(f"\n{plays} runs of one class\n\n| " + " | ".join(PRICE_HEAD) + " |\n|" + "---|" * len(PRICE_HEAD))
    for rate in RATES:
        click.echo(f"| {100 * rate:.0f} % | " + " | ".join(_price(rate, plays)) + " |")


def false_certificates(judge: Judge, runs: int) -> list[int]:
    """Return in how many runs a judge is certified at any look: by the bound of one look (up to FEWER, up to MOST), and
    by the product.
    """
    rng = np.random.default_rng([SEED, 2])
    found = np.zeros(4, dtype=int)
    for _ in range(runs):
        made = planted(judge, rng)
        rows, sizes = answered(made, order_of(judge, made, round(1.2 * EVERY * MOST), rng)[: EVERY * MOST])
        looks = [rows[: EVERY * i] for i in range(1, MOST + 1)]
        by_bound = [_bounds_reached(some, sizes) for some in looks]
        by_looks = [False]
        if all(one.passed_at is not None for one in of_classes(rows, sizes, JUDGE_FLOOR).values()):  # else at no look
            by_looks = [all(one.certified for one in of_classes(some, sizes, JUDGE_FLOOR).values()) for some in looks]
        found += [any(by_bound[:FEWER]), any(by_bound), any(by_looks[:FEWER]), any(by_looks)]
    return found.tolist()


def _bounds_reached(rows: Sequence[Compared], sizes: dict[bool, Outputs]) -> bool:
    return all((now.bound or 0.0) >= JUDGE_FLOOR for [now] in at_looks(rows, sizes, ()).values())


def _price(rate: float, plays: int) -> Iterator[str]:
    from scipy.stats import binom

    n = np.arange(1, LONGEST)
    allowed = binom.ppf(RISK, n, 1.0 - JUDGE_FLOOR) - 1
    yield str(int(n[np.argmax(binom.cdf(allowed, n, 1.0 - rate) >= POWER)]))
    rng = np.random.default_rng([SEED, 3])
    agrees = rng.random((plays, LONGEST)) < rate
    limits = _sequence_limits()
    for found in ([_passed_at(one) for one in agrees], [_crossed_at(one, limits) for one in agrees]):
        yield f"{np.mean(found):.0f}"
        yield from (f"{np.quantile(found, part, method='inverted_cdf'):.0f}" for part in (0.5, 0.8, 0.9))


def _passed_at(agrees: npt.NDArray[np.bool_]) -> int:
    right = np.cumsum(agrees)
    seen = [Seen(size, float(size), right[size - 1] / size) for size in SIZES if size <= LONGEST]
    return examine(seen, seen[-1], JUDGE_FLOOR).passed_at or LONGEST


def _sequence_limits() -> npt.NDArray[np.float64]:
    """Return the smallest number of correct answers at which a confidence sequence passes, by number of answers.

    The likelihood ratio of all rates above the floor, equally weighted, to the floor is 1 / RISK or more.
    """
    from scipy.special import betainc, betaln

    limits = np.full(LONGEST + 1, np.inf)
    for n in range(1, LONGEST + 1):
        right = np.arange(int(JUDGE_FLOOR * n), n + 1)
        above = betainc(n - right + 1.0, right + 1.0, 1.0 - JUDGE_FLOOR)
        ratio = betaln(right + 1.0, n - right + 1.0) + np.log(above / (1.0 - JUDGE_FLOOR))
        ratio -= right * np.log(JUDGE_FLOOR) + (n - right) * np.log(1.0 - JUDGE_FLOOR)
        reached = np.flatnonzero(ratio >= -np.log(RISK))
        limits[n] = right[reached[0]] if len(reached) else np.inf
    return limits


def _crossed_at(agrees: npt.NDArray[np.bool_], limits: npt.NDArray[np.float64]) -> int:
    crossed = np.flatnonzero(np.cumsum(agrees) >= limits[1:])
    return int(crossed[0]) + 1 if len(crossed) else LONGEST


if __name__ == "__main__":
    main()
