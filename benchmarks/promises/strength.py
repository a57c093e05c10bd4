"""Accuracy of the learner `vectors` at several C, with few answers that contain mistakes.

`python -m benchmarks.promises.strength --data FOLDER [--set NAME] [--answers N] [--seeds 3] [--json FILE]`. The sets,
orders and mistakes are those of benchmarks.promises.recipes, and the embeddings are the default sentence vectors. `run`
is the learner as a run makes it: from 300 answers on, cross-validation may replace the default by a C of the grid.
`1 / mean variance` is what scikit-learn's C was before there was a parameter: about C = width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import click
import numpy as np

from backend.learners import make
from backend.train.search import search
from benchmarks.promises.recipes import ANSWERS, Set, drawn, interval, measured, mistaken, sets_in
from labelloop.versions.items import TrainingItem

STRENGTHS = (1.0, 3.0, 10.0, 100.0)
RUN, OLD = "run", "1 / mean variance"


@dataclass(frozen=True, slots=True)
class Cell:
    """Accuracies in percent, one for each seed."""

    set: str
    answers: int
    right: float
    accuracy: dict[str, list[float]]


def measure(one: Set, answers: int, right: float, seeds: int) -> Cell:
    cell = Cell(one.name, answers, right, {})
    items: list[dict[str, object]] = [{"vector": row} for row in one.vectors.astype(np.float64).tolist()]
    for seed in range(seeds):
        test, pool, chance, other = drawn(one, seed)
        rows = pool[:answers]
        codes = mistaken(one, chance, other, right)[rows]
        answered = [
            TrainingItem(str(row), str(row), items[row], 1, str(code), 1.0)
            for row, code in zip(rows, codes, strict=True)
        ]
        data, labels = [item.data for item in answered], [item.label for item in answered]
        truth = [str(label) for label in one.labels[test]]
        for name, learner in _learners(answered, one.vectors.shape[1], seed).items():
            learner.fit(data, labels, np.random.default_rng(seed))
            found = learner.predict([items[row] for row in test]).labels
            cell.accuracy.setdefault(name, []).append(round(100 * float(np.mean(np.equal(found, truth))), 2))
    return cell


def _learners(answered: Sequence[TrainingItem], width: int, seed: int) -> dict[str, Any]:
    def with_c(strength: float) -> Any:
        return make("vectors", {"field": "vector", "C": strength})

    run, _ = search(make("vectors", {"field": "vector"}), {}, answered, seed, 1e9, lambda done, of: None)
    return {**{f"C {c:g}": with_c(c) for c in STRENGTHS}, OLD: with_c(width), RUN: run}


def table(cells: Sequence[Cell]) -> str:
    names = list(cells[0].accuracy)
    lines = [
        f"| set | answers | people right | {' | '.join(names)} | {RUN} - {OLD} (95 % interval) |",
        "|---|---|---|" + "---|" * (len(names) + 1),
    ]
    for cell in cells:
        figures = " | ".join(f"{mean(cell.accuracy[name]):.1f}" for name in names)
        gain = interval(np.subtract(cell.accuracy[RUN], cell.accuracy[OLD]))
        lines.append(f"| {cell.set} | {cell.answers:,} | {cell.right:.0%} | {figures} | {gain} |")
    return "\n".join(lines)


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--set", "names", multiple=True, help="Only this set; may be repeated.")
@click.option("--answers", "sizes", multiple=True, type=int, help="Only this number of answers; may be repeated.")
@click.option("--seeds", default=3, show_default=True)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(data: Path, names: Sequence[str], sizes: Sequence[int], seeds: int, file: Path | None) -> None:
    """Measure the learner `vectors` at several C."""
    cells: list[Cell] = measured(sets_in(data, names), sizes or ANSWERS, partial(measure, seeds=seeds), table, file)
    if not cells:
        raise click.UsageError(f"no CSV file with the columns text and label in {data}")
    click.echo(f"\n{table(cells)}")


if __name__ == "__main__":
    main()
