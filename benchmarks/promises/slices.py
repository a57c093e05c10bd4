"""Slices of a verdict: how often a planted loss of one label refuses, and how often nothing at all does.

`python -m benchmarks.promises.slices [--quick] [--seed N]`. Planted challengers with known losses; every row uses the
gate's own cut, and beside it the test that it replaced: Holm's method over McNemar's exact test of each slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from labelloop.gate.paired import Floats, holm, p_better
from labelloop.gate.parts import Fact
from labelloop.gate.slices import ALPHA, MIN_SLICE, Slice, cut, worst
from labelloop.threads import one_thread

FLOOR = 0.02
"""The default of `gate.floor`, 0 to 1."""
ACCURACY = 0.85
WATCH = "label=0"
SIZES = ((200, 10), (200, 30), (1000, 10), (1000, 30))
"""Held-out answers and labels."""
DIFFER = (0.1,)
"""Shares of items on which exactly one model is correct by chance."""
CASES = ((0.0, 0.0), (0.0, 0.03), (0.1, 0.0), (0.2, 0.0), (0.4, 0.0), (0.2, 0.04))
"""Loss of label 0, and gain on every other label."""
HEAD = ("held out", "labels", "differ", "label 0 loses", "others gain", "Holm, exact", "joint", "joint, watched",
        "worst interval holds", "all intervals hold")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planted:
    facts: list[dict[str, Fact]]
    columns: dict[str, npt.NDArray[Any]]
    """The same facts by name, shape (n,)."""
    incumbent: Floats
    challenger: Floats
    gains: Floats
    """True gain of each item's kind, shape (n,)."""


def planted(n: int, labels: int, loss: float, gain: float, differ: float, rng: np.random.Generator) -> Planted:
    """Draw a hold-out set on which label 0 loses `loss` and every other label gains `gain`.

    On a share of `differ` of the items exactly one model is correct by chance.
    """
    label, source, reviewer, country = (rng.integers(k, size=n) for k in (labels, 2, 3, 5))
    length = rng.random(n)
    gains = np.where(label == 0, -loss, gain)
    better, worse = differ / 2 + np.maximum(gains, 0), differ / 2 + np.maximum(-gains, 0)
    drawn = rng.random(n)
    both = rng.random(n) < ACCURACY
    incumbent = np.where(drawn < better, 0.0, np.where(drawn < better + worse, 1.0, both))
    challenger = np.where(drawn < better, 1.0, np.where(drawn < better + worse, 0.0, both))
    facts: list[dict[str, Fact]] = [
        {"label": str(a), "source": str(b), "reviewer": str(c), "data.country": str(d), "length": float(e)}
        for a, b, c, d, e in zip(label, source, reviewer, country, length, strict=True)
    ]
    columns = {"label": label, "source": source, "reviewer": reviewer, "data.country": country, "length": length}
    return Planted(facts, columns, incumbent, challenger, gains)


def by_holm(drawn: Planted, slices: Sequence[Slice], rng: np.random.Generator) -> bool:
    """Return whether the earlier rule would have refused."""
    differences = drawn.challenger - drawn.incumbent
    items = [differences[inside(drawn, one)] for one in slices if one.n >= MIN_SLICE]
    adjusted = holm([p_better(-found, rng) for found in items])
    return any(p <= ALPHA and found.mean() < -FLOOR for p, found in zip(adjusted, items, strict=True))


def inside(drawn: Planted, one: Slice) -> npt.NDArray[np.bool_]:
    """Return which items belong to the slice; lengths are in quartiles."""
    column = drawn.columns[one.by]
    if one.by != "length":
        return np.asarray(column == int(one.value))
    low, high = map(float, one.value.split(" to "))
    return np.asarray((column >= low - 1e-6) & (column <= high + 1e-6))


def row(n: int, labels: int, loss: float, gain: float, differ: float, draws: int, seed: int) -> list[str]:
    """Return one row of the table, over `draws` verdicts."""
    rng = np.random.default_rng([seed, n, labels, int(100 * loss), int(100 * gain), int(100 * differ)])
    found = np.zeros((draws, 5))
    for i in range(draws):
        drawn = planted(n, labels, loss, gain, differ, rng)
        plain, watched = (
            cut(drawn.facts, drawn.incumbent, drawn.challenger, floor=FLOOR, rng=rng, watch=watch)
            for watch in ((), (WATCH,))
        )
        held = {one.name: holds(drawn, one) for one in plain if one.among is not None}
        named = worst(plain)
        found[i] = (
            by_holm(drawn, plain, rng),
            any(one.fell for one in plain),
            any(one.fell for one in watched),
            named is not None and held[named.name],
            all(held.values()),
        )
    facts = [f"{n:,}", str(labels), f"{100 * differ:.0f} %", f"{100 * loss:.0f}", f"{100 * gain:.0f}"]
    return [*facts, *(f"{100 * share:.1f} %" for share in found.mean(axis=0))]


def holds(drawn: Planted, one: Slice) -> bool:
    """Return whether the joint interval holds the true gain of the slice's items."""
    true = float(drawn.gains[inside(drawn, one)].mean())
    return one.among is not None and one.among.low <= true <= one.among.high


def detectable(n: int, labels: int, differ: float, draws: int, seed: int, watch: Sequence[str]) -> list[str]:
    """Return how often a loss is seen that verdicts without any loss call detectable in four of five cases."""
    rng = np.random.default_rng([seed, n, labels, int(100 * differ), len(watch)])
    said = []
    for _ in range(max(10, draws // 10)):
        drawn = planted(n, labels, 0.0, 0.0, differ, rng)
        slices = cut(drawn.facts, drawn.incumbent, drawn.challenger, floor=FLOOR, rng=rng, watch=watch)
        said += [one.detectable for one in slices if one.name == "label 0" and one.detectable is not None]
    loss, seen = float(np.median(said)) if said else 1.0, []
    for _ in range(draws):
        drawn = planted(n, labels, min(loss, 1 - differ), 0.0, differ, rng)
        slices = cut(drawn.facts, drawn.incumbent, drawn.challenger, floor=FLOOR, rng=rng, watch=watch)
        seen += [one.fell for one in slices if one.name == "label 0" and one.n >= MIN_SLICE]
    return [f"{n:,}", str(labels), f"{100 * differ:.0f} %", "yes" if watch else "no", f"{100 * loss:.1f}",
            f"{100 * np.mean(seen):.0f} %"]  # fmt: skip


@click.command()
@click.option("--quick", is_flag=True, help="Few draws: whether it runs, not what it measures.")
@click.option("--seed", default=0, show_default=True)
@click.option("--draws", default=200, show_default=True, help="Verdicts for each row.")
def main(quick: bool, seed: int, draws: int) -> None:
    """Print refusals by planted losses, and how often a loss called detectable is seen."""
    draws = 20 if quick else draws
    click.echo(f"Share of {draws} verdicts that a slice refuses, and intervals that hold the truth; seed {seed}\n")
    click.echo("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    with one_thread:
        for n, labels in SIZES:
            for differ in DIFFER:
                for loss, gain in CASES:
                    click.echo("| " + " | ".join(row(n, labels, loss, gain, differ, draws, seed)) + " |")
        head = ("held out", "labels", "differ", "watched", "called detectable, points", "seen")
        click.echo("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
        for n, labels in SIZES:
            for differ in DIFFER:
                for watch in ((), (WATCH,)):
                    click.echo("| " + " | ".join(detectable(n, labels, differ, draws, seed, watch)) + " |")


if __name__ == "__main__":
    main()
