"""The limit `max_ece`: how often models of a known calibration error are refused.

`python -m benchmarks.promises.ece_limit [--quick] [--seed N]`. Planted models; every row uses the gate's own
Calibration.
"""

from __future__ import annotations

from collections.abc import Callable

import click
import numpy as np

from labelloop.gate.calibration import Calibration
from labelloop.gate.paired import Floats
from labelloop.threads import one_thread

LIMIT = 0.1
SIZES = (20, 50, 200, 1000)
ERRORS = (0.05, 0.1, 0.15, 0.2, 0.3)
POPULATION = 20_000
CONFIDENCES: dict[str, Callable[[np.random.Generator], Floats]] = {
    "high": lambda rng: rng.beta(8, 1.2, POPULATION),
    "spread": lambda rng: rng.uniform(0.3, 0.95, POPULATION),
    "tied": lambda rng: rng.choice([0.6, 0.8, 0.95], POPULATION, p=[0.3, 0.4, 0.3]),
}
WAYS: dict[str, Callable[[Floats], Floats]] = {
    "overconfident": lambda c: -np.ones_like(c),
    "underconfident": np.ones_like,
    "mixed": lambda c: np.where(c > np.median(c), -1.0, 1.0),
    "only the most confident": lambda c: np.where(c > np.quantile(c, 0.75), -1.0, 0.0),
    "alternating": lambda c: np.where(np.floor(c * 8) % 2 == 0, 1.0, -1.0),
}
HEAD = ("answers", "true error", *WAYS, "worst of all", "uncorrected above 10 %", "mean ECE", "mean uncorrected",
        "90 % interval holds, but for alternating")  # fmt: skip


def accuracies(confidences: Floats, error: float, signs: Floats) -> Floats | None:
    """Return true accuracies whose mean distance from the confidences is `error`; None if no accuracies are so far."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        found = float(np.abs(np.clip(confidences + middle * signs, 0, 1) - confidences).mean())
        low, high = (middle, high) if found < error else (low, middle)
    true: Floats = np.clip(confidences + high * signs, 0, 1)
    return true if abs(float(np.abs(true - confidences).mean()) - error) < 0.001 else None


def row(n: int, error: float, draws: int, seed: int) -> list[str]:
    """Return one row of the table: refusals by the way in which the confidences are wrong."""
    rng = np.random.default_rng([seed, n, int(1000 * error)])
    refused: dict[str, list[float]] = {way: [] for way in WAYS}
    others: list[tuple[bool, float, float]] = []
    holds: list[bool] = []
    for draw in CONFIDENCES.values():
        population = draw(rng)
        for way, signs in WAYS.items():
            true = accuracies(population, error, signs(population))
            if true is None:
                continue
            found = [_one(population, true, n, rng) for _ in range(draws)]
            refused[way].append(float(np.mean([one.is_above(LIMIT) for one in found])))
            others += [(one.uncorrected > LIMIT, one.ece, one.uncorrected) for one in found]
            if way != "alternating":  # no bins show all of its error
                holds += [one.low <= error <= one.high for one in found]
    plain, corrected, uncorrected = np.mean(others, axis=0)
    shares = [f"{100 * np.mean(cells):.1f} %" if cells else "-" for cells in refused.values()]
    most = max(share for cells in refused.values() for share in cells)
    return [f"{n:,}", f"{100 * error:.0f}", *shares, f"{100 * most:.1f} %", f"{100 * plain:.0f} %",
            f"{100 * corrected:.1f}", f"{100 * uncorrected:.1f}", f"{100 * np.mean(holds):.1f} %"]  # fmt: skip


def _one(population: Floats, true: Floats, n: int, rng: np.random.Generator) -> Calibration:
    chosen = rng.integers(len(population), size=n)
    correct = (rng.random(n) < true[chosen]).astype(float)
    found = Calibration.of(population[chosen], correct, rng)
    assert found is not None
    return found


@click.command()
@click.option("--quick", is_flag=True, help="Few draws: whether it runs, not what it measures.")
@click.option("--seed", default=0, show_default=True)
@click.option("--draws", default=120, show_default=True, help="Models for each kind of confidences and error.")
def main(quick: bool, seed: int, draws: int) -> None:
    """Print how often `max_ece: 0.1` refuses, by true error and hold-out."""
    draws = 10 if quick else draws
    cells = f"{len(CONFIDENCES)} kinds of confidences ({', '.join(CONFIDENCES)})"
    click.echo(f"Refused at max_ece 0.1; {draws} models for each way and each of {cells}; seed {seed}\n")
    click.echo("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    with one_thread:
        for error in ERRORS:
            for n in SIZES:
                click.echo("| " + " | ".join(row(n, error, draws, seed)) + " |")


if __name__ == "__main__":
    main()
