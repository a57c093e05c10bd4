"""Label efficiency: labels until 90 % and 95 % of the full-data score, beside random order, modAL and scikit-activeml.

`python -m benchmarks.labels [SET...] [--data FOLDER] [--embeddings FOLDER]`. The same learner, the same first batches
and the same steps for all. The folder (or LABELLOOP_DATA) holds SET.csv with text, label and split; sets that are not
there are skipped, digits are always there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.support.askers import peers
from benchmarks.support.goals import Goal, Measured, markdown
from console.simulate import files, variants
from console.simulate.asking import asker
from console.simulate.curves import SHARES, ratio
from console.simulate.labelled import Labelled
from console.simulate.learning import Study, study
from console.simulate.picture import needed_words
from console.simulate.replay import Ask, metric_on_test_set, metric_with_all_labels, random_order, replay
from labelloop.selection.select import DIVERSITY

OURS = f"margin:{DIVERSITY:g}"
VARIANTS = (OURS, "margin:0")


@dataclass(frozen=True, slots=True)
class Plan:
    batch: int
    limit: float
    """Largest allowed share of the labels that random order needs."""
    most: int
    """Labels after which a strategy is given up."""
    seeds: int = 20
    left_out: tuple[str, ...] = ()
    """Peers that would take too long here."""


TYPICLUST, CORESET, BADGE, PROBCOVER, MAXHERDING, SKMARGIN = (
    f"scikit-activeml {name}" for name in ("TypiClust", "CoreSet", "Badge", "ProbCover", "MaxHerding", "margin")
)
RANKED, ENTROPY = "modAL ranked batch", "modAL entropy"
SAME = ("margin:0", ENTROPY, RANKED, SKMARGIN)
"""Equal to modAL margin but for ties, or far behind on the same set with embeddings."""
PLANS: Mapping[str, Plan] = {
    "digits": Plan(10, 0.45, 300),
    "sms_spam": Plan(10, 0.45, 300, seeds=10, left_out=(RANKED, CORESET, TYPICLUST, PROBCOVER, MAXHERDING)),
    "snips7": Plan(10, 0.55, 300, seeds=10, left_out=(RANKED, CORESET, PROBCOVER)),
    "banking77": Plan(100, 0.5, 2500, seeds=3, left_out=(*SAME, TYPICLUST, CORESET, BADGE)),
    "sms_spam, embeddings": Plan(10, 0.45, 300),
    "snips7, embeddings": Plan(10, 0.55, 300),
    "banking77, embeddings": Plan(50, 0.5, 1500, seeds=5, left_out=(CORESET, ENTROPY, RANKED, PROBCOVER, SKMARGIN)),
}
Needs = dict[str, list[int | None]]
"""By share, "0.90" and "0.95": labels needed, one number a seed."""


def load(name: str, data: Path | None, embeddings: Path | None) -> Labelled | None:
    """None where the files are not there."""
    stem, _, vectors = name.partition(", ")
    if stem == files.DIGITS_DATASET:
        return files.digits()
    file = None if data is None else data / f"{stem}.csv"
    if file is None or not file.exists():
        return None
    if not vectors:
        return files.read(file)
    numbers = None if embeddings is None else embeddings / f"{stem}.npy"
    return None if numbers is None or not numbers.exists() else files.read(file, embeddings=numbers)


def compare(labelled: Labelled, plan: Plan, seeds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """Labels needed by all strategies; a strategy ends where it reaches 95 %, or where it is given up."""
    learner = study(labelled)
    full = metric_with_all_labels(labelled, learner)
    asks: dict[str, Ask] = {name: asker(variants(name)[0], labelled) for name in VARIANTS}
    asks |= peers(learner.features)
    found = {"random": {_key(s): [_random(labelled, learner, s * full, i, plan) for i in range(seeds)] for s in SHARES}}
    seconds = {}
    for name, ask in asks.items():
        if name in plan.left_out or (only and name not in only):
            continue
        began = time.process_time()
        found[name] = _needs(labelled, learner, ask, full, seeds, plan)
        seconds[name] = round(time.process_time() - began, 1)
        click.echo(f"{labelled.name}: {name} {words(found[name], plan.most)} ({seconds[name]} s)", err=True)
    return {
        "score": labelled.metric_name,
        "full": full,
        "pool": len(labelled.pool),
        "test": len(labelled.test),
        "batch": plan.batch,
        "most": plan.most,
        "seeds": seeds,
        "labels": found,
        "seconds": seconds,
    }


def _needs(labelled: Labelled, learner: Study, ask: Ask, full: float, seeds: int, plan: Plan) -> Needs:
    needs: Needs = {_key(share): [] for share in SHARES}
    for seed in range(seeds):
        scores = np.array(
            replay(labelled, learner, ask, seed, plan.batch, min(plan.most, len(labelled.pool)), max(SHARES) * full)
        )
        for share in SHARES:
            first = np.flatnonzero(scores >= share * full)
            needs[_key(share)].append(plan.batch * (int(first[0]) + 1) if len(first) else None)
    return needs


def _random(labelled: Labelled, learner: Study, score: float, seed: int, plan: Plan) -> int | None:
    """Return the number of labels at which a random order reaches the metric.

    The number is doubled until the metric is reached, then halved; no step depends on the one before.
    """
    order = random_order(labelled, seed)

    def reaches(steps: int) -> bool:
        rows = order[: steps * plan.batch]
        codes = labelled.codes[rows]
        return codes.min() < codes.max() and metric_on_test_set(labelled, *learner.learn(rows, seed)) >= score

    last = len(order) // plan.batch
    low, high = 0, 1
    while not reaches(high):
        if high == last:
            return None
        low, high = high, min(2 * high, last)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high * plan.batch


def words(needs: Needs, most: int) -> str:
    """120 (100 to 150) / 200 (180 to 210)"""
    shown = []
    for share in SHARES:
        numbers = [np.inf if n is None else n for n in needs[_key(share)]]
        known = [float(x) if np.isfinite(x) else None for x in (np.median(numbers), min(numbers), max(numbers))]
        shown.append(needed_words(known[0], known[1], known[2], most))
    return " / ".join(shown)


def measured(name: str, found: Mapping[str, Any]) -> list[Measured]:
    """The goals of a set: far fewer labels than random order, and at most one batch more than the best peer."""
    labels, most = found["labels"], found["most"]
    value = ratio(labels[OURS]["0.95"], labels["random"]["0.95"])
    ours = f"{name}: {words(labels[OURS], most)}"
    rows = [
        Measured(
            Goal(f"labels to 95 %, {name}", "a random order", PLANS[name].limit),
            [np.inf if value is None else value],
            f"{ours}; a random order: {words(labels['random'], found['pool'])}",
        )
    ]
    for share in ("0.90", "0.95"):
        others = {peer: _middle(needs[share]) for peer, needs in labels.items() if peer not in (*VARIANTS, "random")}
        best = min(others, key=lambda peer: others[peer])
        goal = Goal(
            f"labels to {float(share):.0%} more than the best peer's, {name}", best, found["batch"], unit="labels"
        )
        facts = f"{ours}; {best}: {words(labels[best], most)}"
        rows.append(Measured(goal, [_middle(labels[OURS][share]) - others[best]], facts))
    return rows


def together(results: Mapping[str, Mapping[str, Any]]) -> Measured:
    """The goal of all sets: the geometric mean of the labels to 95 % beside those of a random order."""
    each = {
        name: ratio(found["labels"][OURS]["0.95"], found["labels"]["random"]["0.95"]) for name, found in results.items()
    }
    known = [np.inf if value is None else value for value in each.values()]
    return Measured(
        Goal("labels to 95 %, geometric mean of all sets", "a random order", 0.45),
        [float(np.exp(np.log(known).mean()))],
        ", ".join(f"{name} {value:.2f}" for name, value in zip(each, known, strict=True)),
    )


def table(results: Mapping[str, Any]) -> str:
    """A row a strategy, a column a set: labels to 90 % / to 95 %, medians over the seeds."""
    names = list(dict.fromkeys(name for found in results.values() for name in found["labels"]))
    lines = ["| labels to 90 % / 95 % | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for name in names:
        cells = []
        for found in results.values():
            needs = found["labels"].get(name)
            cells.append("-" if needs is None else " / ".join(_median(needs[_key(s)], found["most"]) for s in SHARES))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _key(share: float) -> str:
    return f"{share:.2f}"


def _middle(needs: Sequence[int | None]) -> float:
    return float(np.median([np.inf if n is None else n for n in needs]))


def _median(needs: Sequence[int | None], most: int) -> str:
    middle = _middle(needs)
    return f"{middle:,.0f}" if np.isfinite(middle) else f"> {most:,}"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(PLANS)), metavar="[SET]...")
@click.option("--data", type=click.Path(path_type=Path), default=lambda: os.environ.get("LABELLOOP_DATA"))
@click.option("--embeddings", type=click.Path(path_type=Path), help="A folder with SET.npy, rows as in SET.csv.")
@click.option("--seeds", type=click.IntRange(1, 100), help="20; fewer for the slow sets.")
@click.option("--only", multiple=True, help="These strategies only.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here too.")
def main(
    names: Sequence[str],
    data: Path | None,
    embeddings: Path | None,
    seeds: int | None,
    only: Sequence[str],
    file: Path | None,
) -> None:
    """Count the labels that each strategy takes; all sets unless some are named."""
    results = {}
    for name in names or PLANS:
        labelled = load(name, data, embeddings)
        if labelled is None:
            click.echo(f"{name}: skipped, its files are not in --data (LABELLOOP_DATA) or --embeddings", err=True)
            continue
        results[name] = compare(labelled, PLANS[name], seeds or PLANS[name].seeds, only)
        if file is not None:
            file.write_text(json.dumps(results, indent=1) + "\n")
    click.echo(table(results))
    if not only:
        goals = [row for name, found in results.items() for row in measured(name, found)]
        click.echo("\n" + markdown([*goals, *([together(results)] if len(results) > 1 else [])]))


if __name__ == "__main__":
    main()
