"""Progress and stopping: does the curve's interval hold later accuracies, and what does stopping early cost?

`python -m benchmarks.promises.progress [SET...] [--data FOLDER] [--quick]`. Loops are simulated on SET.csv with text
and label (LABELLOOP_DATA names the folder too), and on digits. Chance holds out a part of each STEP answers. The
product's selection chooses the others, which train the next version. A forecast is made after each
version from what the loop knows then, for 1.5, 2 and 3 times the answers. It is compared with the accuracy of the
version of that size on other items, drawn by chance like the hold-out set, which the loop never sees. Hold-out answers
train nothing, so each loop is forecast with DRAWS hold-out sets.

Goals: the 95 % interval holds 93 to 97 % of the later accuracies; the forecast is off by at most 2 points in the mean.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.support.sets import labelled_sets
from console.simulate import variants
from console.simulate.asking import asker
from console.simulate.labelled import Labelled
from console.simulate.learning import study
from console.simulate.replay import Moment
from labelloop.selection.select import DIVERSITY
from labelloop.strategies import utilities
from labelloop.versions import progress, stopping

Floats = npt.NDArray[np.float64]
SETS = {"digits": 800, "sms_spam": 1_000, "snips7": 1_000, "banking77": 2_000}
"""Answers at the end of the loop, the held-out ones included."""
STEP, HELD_OUT = 50, 0.2
HELD_OUT_STEP = int(STEP * HELD_OUT)
JUDGING = 2_000
"""Items by which versions are judged; a third of the set if that is less."""
DRAWS = 2
"""Hold-out sets of each loop. Forecasts of one set share its luck, so one set alone says little."""
SEEDS, QUICK = 6, 2
AHEAD = (1.5, 2.0, 3.0)
NEVER = "never: all answers are given"


@dataclass(frozen=True, slots=True)
class Run:
    """One simulated loop, version by version."""

    sizes: list[int]
    right: npt.NDArray[np.bool_]
    """Whether a version is correct about an item that the loop never trains on, shape (versions, items)."""
    held_out: int
    """How many of these items are held out: each version is judged by as many of them as have come until then."""
    steps: list[stopping.Step]
    uncertainty: list[float]

    def judged(self, draw: int) -> tuple[Floats, Floats]:
        """Return what chance holds out in this draw, and the accuracies on all other items, shape (versions,).

        The first are item scores, shape (versions, held-out answers), NaN where the answer came later. Draw 0 is that
        of `steps`.
        """
        n = self.right.shape[1]
        order = np.arange(n) if draw == 0 else np.random.default_rng([draw, 6]).permutation(n)
        held, others = np.split(order, [self.held_out])
        scores = self.right[:, held].astype(np.float64)
        for version in range(len(scores)):
            scores[version, (version + 1) * HELD_OUT_STEP :] = np.nan
        return scores, self.right[:, others].mean(axis=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    ahead: float
    rises: bool
    inside: bool
    off: float
    """Forecast less the later accuracy."""
    width: float
    off_flat: float
    """The same for the forecast that nothing changes: the newest measured accuracy."""


def simulate(labelled: Labelled, answers: int, seed: int) -> Run:
    """Return a loop with a version after each STEP answers."""
    learner, ask = study(labelled), asker(variants(f"margin:{DIVERSITY:g}")[0], labelled)
    rng = np.random.default_rng([seed, 4])
    order = np.random.default_rng([seed, 5]).permutation(np.concatenate([labelled.pool, labelled.test]))
    judging, pool = np.split(order, [min(JUDGING, len(order) // 3)])
    each = HELD_OUT_STEP
    taught, held_out = pool[: STEP - each], answers // STEP * each
    run = Run([], np.empty((0, len(judging)), dtype=np.bool_), held_out, [], [])
    rows, predicted = [], list[npt.NDArray[np.intp]]()
    for version in range(1, answers // STEP + 1):
        classes, proba = learner.learn(taught, seed)
        guess = classes[proba.argmax(axis=1)]
        rows.append(guess[judging] == labelled.codes[judging])
        run.sizes.append(len(taught))
        waiting = np.setdiff1d(pool, taught)
        run.uncertainty.append(float(utilities("margin", proba[waiting]).mean()))
        if predicted:
            known = judging[: (version - 1) * each]
            run.steps.append([(str(a), str(b)) for a, b in zip(predicted[-1][known], guess[known], strict=True)])
        predicted.append(guess)
        moment = Moment(learner, waiting, taught, labelled.codes[taught], classes, proba, rng)
        taught = np.concatenate([taught, ask(moment, STEP - each)])
    return replace(run, right=np.array(rows))


def forecasts(run: Run, draw: int) -> tuple[list[Forecast], dict[str, int]]:
    """Return all forecasts by one hold-out set of a run, and how many versions had none, by the reason."""
    found, none = [], defaultdict[str, int](int)
    item_scores, truth = run.judged(draw)
    for known in range(1, len(run.sizes) + 1):
        enough = np.flatnonzero(progress.judged_enough(item_scores[:known]))
        sizes, scores = [run.sizes[v] for v in enough], item_scores[enough]
        if progress.reason_for_none(sizes) is not None:
            none["too little is known"] += 1
            continue
        rises = progress.trend(sizes, scores).rises
        curve = progress.curve(sizes, scores, np.random.default_rng(0))
        for ahead in AHEAD:
            later = int(np.searchsorted(run.sizes, ahead * sizes[-1]))
            if later < len(run.sizes):
                value, low, high = curve.at(run.sizes[later])
                true = float(truth[later])
                flat = float(np.nanmean(scores[-1])) - true
                found.append(Forecast(ahead, rises, low <= true <= high, value - true, high - low, flat))
    return found, dict(none)


def stops(run: Run) -> Mapping[str, int]:
    """Return the version after which each criterion says stop for the first time; the last version if it never does."""
    first: dict[str, int] = {}
    for known in range(1, len(run.sizes) + 1):
        now = stopping.criteria(run.steps[: known - 1], run.uncertainty[known - 1], 1_000)
        said = {c.name: bool(c.stops) for c in now}
        said["two of the four"] = sum(said.values()) >= 2
        first |= {name: known - 1 for name, stop in said.items() if stop and name not in first}
    names = [c.name for c in stopping.criteria([], None, 0)] + ["two of the four"]
    return {name: first.get(name, len(run.sizes) - 1) for name in names}


def curve_table(name: str, runs: Sequence[Run]) -> Iterator[str]:
    """Yield a row for each distance."""
    each = [forecasts(run, draw) for run in runs for draw in range(DRAWS)]
    none = sum(sum(reasons.values()) for _, reasons in each) / (DRAWS * sum(len(run.sizes) for run in runs))
    for ahead, rises in product(AHEAD, (True, False)):
        rows = [f for found, _ in each for f in found if (f.ahead, f.rises) == (ahead, rises)]
        head = f"| {name} | {'yes' if rises else 'no'} | {ahead:g} | {len(rows)} |"
        if not rows:
            yield f"{head} - | - | - | - | {100 * none:.0f} |"
            continue
        off = np.array([f.off for f in rows])
        yield (
            f"{head} {100 * np.mean([f.inside for f in rows]):.0f} | "
            f"{100 * np.abs(off).mean():.1f} | {100 * np.mean([abs(f.off_flat) for f in rows]):.1f} | "
            f"{100 * np.mean([f.width for f in rows]):.1f} | {100 * none:.0f} |"
        )


def stop_table(name: str, runs: Sequence[Run]) -> Iterator[str]:
    """Yield a row for each criterion: what stopping there loses and saves beside all answers of the loop."""
    said = [stops(run) for run in runs]
    for criterion in said[0]:
        at = [stop[criterion] for stop in said]
        truth = [run.judged(0)[1] for run in runs]
        lost = 100 * np.array([found[-1] - found[v] for found, v in zip(truth, at, strict=True)])
        saved = 100 * np.array([1 - (v + 1) / len(run.sizes) for run, v in zip(runs, at, strict=True)])
        never = sum(v == len(run.sizes) - 1 for run, v in zip(runs, at, strict=True))
        yield (
            f"| {name} | {criterion} | {len(runs) - never} of {len(runs)} | {saved.mean():.0f} | {lost.mean():.1f} | "
            f"{lost.max():.1f} |"
        )


CURVES = (
    "| data | rises | times | forecasts | inside, % | off, points | if flat | width | none, % |",
    "|---" * 9 + "|",
)
STOPS = (
    "| data | criterion | says stop in | answers saved, % | accuracy lost, points | the most, points |",
    "|---" * 6 + "|",
)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(SETS)), metavar="[SET]...")
@click.option("--data", type=click.Path(path_type=Path), default=lambda: os.environ.get("LABELLOOP_DATA"))
@click.option("--seeds", type=click.IntRange(1, 100), default=SEEDS, show_default=True)
@click.option("--first", default=0, show_default=True, help="First seed.")
@click.option("--quick", is_flag=True, help="Only check that it runs.")
def main(names: Sequence[str], data: Path | None, seeds: int, first: int, quick: bool) -> None:
    """Print both tables; all sets unless some are named."""
    runs: dict[str, list[Run]] = {}
    for name, labelled in labelled_sets(names or SETS, data):
        answers = SETS[name] // 4 if quick else SETS[name]
        runs[name] = []
        for seed in range(first, first + (QUICK if quick else seeds)):
            runs[name].append(simulate(labelled, answers, seed))
            click.echo(f"{name}: loop {seed + 1}", err=True)
    click.echo("\n".join([*CURVES, *(row for name, found in runs.items() for row in curve_table(name, found))]))
    click.echo("\n" + "\n".join([*STOPS, *(row for name, found in runs.items() for row in stop_table(name, found))]))


if __name__ == "__main__":
    main()
