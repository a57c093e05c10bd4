"""Does `labelloop control` say the truth? Simulated loops with active learning on, of which the true gain is known.

`python -m benchmarks.promises.control [--quick] [--data FOLDER]`. The folder (or LABELLOOP_DATA) holds SET.csv with
text and label; sets that are not there are skipped. Each loop asks with the product's own strategies and selection,
and is judged by the product's own function when it has 100 and when it has 300 control answers. The truth is the mean
over the loops of the accuracy on a large test set: with the rule's first answers, less with fresh random ones.

The learner is a linear discriminant analysis, which trains in a millisecond; a text is 32 numbers (TF-IDF, SVD).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import numpy as np

from backend.decide.control import Control, judge
from backend.decide.gain import Lanes, taught_with
from benchmarks.support.controlled import Loop, Recipe, World, answered, simulate, world
from labelloop.spec.loop import LoopSpec
from labelloop.threads import one_thread

CONTROL_ANSWERS = (100, 300)
FRESH = 4
"""Random training sets of each loop that the truth is taken from."""
WAITING = 500
"""Outputs of the hold-out lane without an answer; a real loop has up to 1,000 of them read."""
EARLY_LOOPS = 60
"""Loops of each kind, at most, that are judged at the smaller numbers of control answers too."""
QUICK = 20
"""Loops of each kind with --quick, at most."""
RECIPES = (
    Recipe("rare classes", "tail", "margin", 0.0, 0.1),
    Recipe("rare classes, control 0.2", "tail", "margin", 0.0, 0.2),
    Recipe("rare classes, random order", "tail", "random", 0.0, 0.2),
    Recipe("noise, entropy", "noise", "entropy", 0.0, 0.2),
    Recipe("rare classes, half is sent", "tail", "margin", 0.7, 0.2, sent=0.5, seeds=100),
    Recipe("even classes, random order", "even", "random", 0.0, 0.3, seeds=100),
    Recipe("snips7", "snips7", "margin", 0.7, 0.2, seeds=40),
    Recipe("sms_spam", "sms_spam", "margin", 0.7, 0.2, seeds=40),
    Recipe("banking77, 10 classes", "banking77", "margin", 0.7, 0.3, seeds=40),
)
HEAD = (
    "loops with",
    "n",
    "control answers",
    "true gain",
    "bias",
    "interval holds it",
    "half width",
    "pays",
    "does not pay",
    "no difference of 3",
    "cannot tell yet",
    "more answers (median)",
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One loop at one number of control answers."""

    found: Control
    truth: tuple[float, float]
    """Accuracy on the test set with the rule's answers, and with random ones."""


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--quick", is_flag=True, help=f"{QUICK} loops of each kind.")
@click.option("--only", default="", help="Kinds whose name begins with this.")
def main(data: Path | None, quick: bool, only: str) -> None:
    """Print the table; gains, bias and widths in points of accuracy."""
    click.echo("| " + " | ".join(HEAD) + " |")
    click.echo("|---" * len(HEAD) + "|")
    for recipe in RECIPES:
        if not recipe.name.startswith(only):
            continue
        seeds = range(min(recipe.seeds, QUICK) if quick else recipe.seeds)
        with one_thread:
            loops = [found for seed in seeds if (found := _judge_loop(recipe, data, seed)) is not None]
        for controls in CONTROL_ANSWERS if loops else ():
            then = [loop[controls] for loop in loops if controls in loop]
            click.echo("| " + " | ".join(_row(recipe.name, controls, then)) + " |")
    click.echo("\nEach kind has the seeds 0 to n - 1.")


def _judge_loop(recipe: Recipe, data: Path | None, seed: int) -> dict[int, Judged] | None:
    """Return the loop's results by the number of control answers; None if its set is missing."""
    place = world(recipe.data, data)
    if place is None:
        return None
    most = max(CONTROL_ANSWERS)
    loop = simulate(recipe, place, most, most, seed)
    return {
        controls: _judge(recipe, place, _then(loop, controls / most), seed)
        for controls in CONTROL_ANSWERS
        if controls == most or seed < EARLY_LOOPS
    }


def _then(loop: Loop, share: float) -> Loop:
    """Return the loop when it had this share of its answers."""
    rule, control, held_out = (rows[: round(share * len(rows))] for rows in (loop.rule, loop.control, loop.held_out))
    waiting = np.concatenate([loop.held_out[len(held_out) :], loop.unanswered])
    return replace(loop, rule=rule, control=control, held_out=held_out, unanswered=waiting)


def _judge(recipe: Recipe, place: World, loop: Loop, seed: int) -> Judged:
    lanes = Lanes(
        answered(place, loop.rule, "rule"),
        answered(place, loop.control, "control"),
        answered(place, loop.held_out, "holdout"),
        [place.labelled.data[row] for row in loop.unanswered[:WAITING]],
    )
    spec = LoopSpec(name="simulated", trigger="true").with_labels(place.labelled.classes)
    found = judge(spec, lanes, partial(type(place.learner), place.learner.features, place.labelled.codes), seed=seed)
    n = taught_with(len(loop.rule), len(loop.control))
    rng = np.random.default_rng([seed, 3])
    random = [place.accuracy(rng.permutation(loop.stratum)[:n], loop.test) for _ in range(FRESH)]
    return Judged(found, (place.accuracy(loop.rule[:n], loop.test), float(np.mean(random))))


def _row(name: str, controls: int, loops: Sequence[Judged]) -> list[str]:
    rule, random = np.mean([loop.truth for loop in loops], axis=0)
    truth = float(rule - random)
    found = [(f.difference, f.low, f.high) for f in (loop.found for loop in loops) if f.difference is not None]
    difference, low, high = np.array(found, dtype=np.float64).T
    more = [loop.found.more_control for loop in loops if loop.found.more_control is not None]
    holds = ((low <= truth) & (truth <= high)).mean()
    verdicts = [loop.found.verdict for loop in loops]
    shares = [
        np.mean([said.startswith(begin) for said in verdicts])
        for begin in ("pays", "does not pay", "makes no", "cannot tell")
    ]
    return [
        name,
        str(len(loops)),
        str(controls),
        f"{100 * truth:+.1f}",
        f"{100 * (difference.mean() - truth):+.2f}",
        f"{holds:.3f}",
        f"{100 * float(np.median(high - low)) / 2:.1f}",
        *(f"{share:.2f}" for share in shares),
        str(int(np.median(more))) if more else "",
    ]


if __name__ == "__main__":
    main()
