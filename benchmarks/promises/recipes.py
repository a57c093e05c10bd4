"""The default learner of texts beside ten recipes that an expert would try, with few answers that contain mistakes.

`python -m benchmarks.promises.recipes --data FOLDER [--set NAME] [--seeds 5] [--json FILE]`. Every CSV file of the
folder with the columns text and label is a set. Answers are drawn at random, so rare labels can be missing; annotators
are correct in 100, 90 and 80 %, and a mistake is any other label. The 1,000 test labels are as the file has them.

Goal: the default is at most one point behind the best of the ten in every cell. At 50 answers it is 15 points ahead of
plain TF-IDF with logistic regression, in the mean over all sets.
The best of the ten is taken after the fact, by the
test labels: no rule that has to choose beforehand reaches it in each seed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import t
from sklearn.metrics import f1_score

from backend.encode import encoder
from backend.encode.items import with_vector
from backend.learners import make
from backend.train.search import search
from benchmarks.support.recipes import PLAIN, RECIPES, predicted, split_of
from labelloop.spec.learners import AUTO
from labelloop.threads import one_thread
from labelloop.versions.items import TrainingItem

ANSWERS = (50, 200, 1_000)
RIGHT = (1.0, 0.9, 0.8)
"""How often annotators are right."""
TEST = 1_000
BEHIND, AHEAD = 1.0, 15.0
"""Points of accuracy: the most that the default may be behind the best, the least that it is ahead of PLAIN."""
DEFAULT = "default of labelloop"


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    texts: list[str]
    labels: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Cell:
    """Accuracies of one set, number of answers and quality of annotators, in percent, one for each seed."""

    set: str
    answers: int
    right: float
    accuracy: dict[str, list[float]]
    f1: dict[str, list[float]]
    """F1 of the rarer label in percent; empty if there are more than two labels."""
    seconds: list[float]
    """Time that the default took to choose and fit."""

    @property
    def best(self) -> str:
        return max(RECIPES, key=lambda name: mean(self.accuracy[name]))

    def difference(self, other: str) -> npt.NDArray[np.float64]:
        return np.subtract(self.accuracy[DEFAULT], self.accuracy[other])


def sets_in(folder: Path, names: Sequence[str]) -> Iterator[Set]:
    """Yield the sets of a folder, with vectors that are computed once and kept in the folder for temporary files."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not {"text", "label"} <= set(reader.fieldnames or ()) or (names and path.stem not in names):
                continue
            rows = list({row["text"]: row for row in reader}.values())
        texts = [row["text"] for row in rows]
        labels = np.unique([row["label"] for row in rows], return_inverse=True)[1].astype(np.int64)
        yield Set(path.stem, texts, labels, _vectors(path, texts))


def _vectors(path: Path, texts: list[str]) -> npt.NDArray[np.float16]:
    model = encoder()
    key = hashlib.sha256("\0".join([model.id, *texts]).encode(errors="replace")).hexdigest()[:16]
    kept = Path(tempfile.gettempdir()) / "labelloop-recipes" / f"{path.stem}-{key}.npy"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        np.save(kept, model.encode(texts).astype(np.float16))
    found: npt.NDArray[np.float16] = np.load(kept)
    return found


def drawn(one: Set, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], Any]:
    """Return the rows of the test set, those of the answers in their order, and what decides each row's mistake."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(one.texts))
    other = rng.integers(1, one.labels.max() + 1, len(order))
    return order[:TEST], order[TEST:], rng.random(len(order)), other


def mistaken(one: Set, chance: npt.NDArray[np.float64], other: Any, right: float) -> npt.NDArray[np.int64]:
    """Return the answer of each row by annotators who are right this often, from what `drawn` returned."""
    return np.where(chance < right, one.labels, (one.labels + other) % (one.labels.max() + 1))


def measure(one: Set, answers: int, right: float, seeds: int) -> Cell:
    cell = Cell(one.name, answers, right, {}, {}, [])
    for seed in range(seeds):
        test, pool, chance, other = drawn(one, seed)
        rows = pool[:answers]
        codes = mistaken(one, chance, other, right)[rows]
        if len(set(codes.tolist())) < 2:
            continue
        texts, test_texts = [one.texts[row] for row in rows], [one.texts[row] for row in test]
        vectors = one.vectors[rows].astype(np.float32), one.vectors[test].astype(np.float32)
        found = predicted(split_of(texts, test_texts, *vectors), codes)
        began = time.process_time()
        learner = _default(one, rows, codes, seed)
        cell.seconds.append(round(time.process_time() - began, 2))
        found[DEFAULT] = np.array(learner.predict([_item(one, row) for row in test]).labels, dtype=np.int64)
        truth = one.labels[test]
        rare = np.bincount(one.labels).argmin()
        for name, labels in found.items():
            cell.accuracy.setdefault(name, []).append(round(100 * float((labels == truth).mean()), 2))
            if one.labels.max() == 1:
                score = f1_score(truth == rare, labels == rare, zero_division=0.0)
                cell.f1.setdefault(name, []).append(round(100 * float(score), 2))
    return cell


def _item(one: Set, row: int) -> dict[str, object]:
    text = one.texts[row]
    return with_vector({"text": text}, text, encoder().id, one.vectors[row].tobytes())


def _default(one: Set, rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64], seed: int) -> Any:
    """Return the default learner as a run makes it: its recipe chosen on the answers, then fitted to them."""
    pairs = zip(rows, codes, strict=True)
    items = [TrainingItem(str(row), str(row), _item(one, row), 1, str(code), 1.0) for row, code in pairs]
    learner, _ = search(make(AUTO, {"field": "text"}), {}, items, seed, 1e9, lambda done, of: None)
    return learner.fit([one.data for one in items], [one.label for one in items], np.random.default_rng(seed))


def interval(values: npt.NDArray[np.float64]) -> str:
    """Return the mean and its 95 % interval over seeds (Student's t)."""
    if len(values) < 2:
        return f"{values.mean():+.1f}"
    half = float(t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():+.1f} ({values.mean() - half:+.1f} to {values.mean() + half:+.1f})"


def table(cells: Sequence[Cell]) -> str:
    lines = [
        "| set | answers | people right | default | best of ten | | default - best (95 % interval) | plain TF-IDF |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        means = [f"{mean(cell.accuracy[name]):.1f}" for name in (DEFAULT, cell.best, PLAIN)]
        lines.append(
            f"| {cell.set} | {cell.answers:,} | {cell.right:.0%} | {means[0]} | {means[1]} | {cell.best} "
            f"| {interval(cell.difference(cell.best))} | {means[2]} |"
        )
    return "\n".join(lines)


def by_recipe(cells: Sequence[Cell]) -> str:
    """Return for each recipe how far it is behind the best of all in a cell: in the mean and in its worst cell."""
    lines = ["| recipe | behind the best, mean | behind the best, worst cell |", "|---|---|---|"]
    for name in (DEFAULT, *RECIPES, PLAIN):
        behind = [max(mean(cell.accuracy[cell.best]), mean(cell.accuracy[DEFAULT])) - mean(cell.accuracy[name])
                  for cell in cells]  # fmt: skip
        lines.append(f"| {name} | {mean(behind):.1f} | {max(behind):.1f} |")
    return "\n".join(lines)


def verdict(cells: Sequence[Cell]) -> str:
    behind = [cell for cell in cells if cell.difference(cell.best).mean() < -BEHIND]
    few = [float(cell.difference(PLAIN).mean()) for cell in cells if cell.answers == min(ANSWERS)]
    named = ", ".join(f"{cell.set} {cell.answers} {cell.right:.0%}" for cell in behind) or "none"
    ahead = f"; {mean(few):.1f} points ahead of plain TF-IDF at {min(ANSWERS)} answers (goal {AHEAD:g})" if few else ""
    return f"more than {BEHIND:g} point behind the best of ten in {len(behind)} of {len(cells)} cells: {named}{ahead}"


def measured(
    sets: Iterable[Set],
    sizes: Sequence[int],
    measure: Callable[[Set, int, float], Any],
    table: Callable[[Sequence[Any]], str],
    file: Path | None,
) -> list[Any]:
    """Return all cells (dataclasses). As soon as one is measured, it is printed, and all so far go to `file`."""
    warnings.simplefilter("ignore")
    cells: list[Any] = []
    with one_thread:
        for one in sets:
            for answers in sizes:
                for right in RIGHT:
                    cells.append(measure(one, answers, right))
                    click.echo(table(cells[-1:]).splitlines()[-1])
                    if file is not None:
                        file.write_text(json.dumps([asdict(cell) for cell in cells], indent=1))
    return cells


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--set", "names", multiple=True, help="Only this set; may be repeated.")
@click.option("--answers", "sizes", multiple=True, type=int, help="Only this number of answers; may be repeated.")
@click.option("--seeds", default=5, show_default=True)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here too.")
def main(data: Path, names: Sequence[str], sizes: Sequence[int], seeds: int, file: Path | None) -> None:
    """Measure the default learner of texts beside ten recipes."""
    cells: list[Cell] = measured(sets_in(data, names), sizes or ANSWERS, partial(measure, seeds=seeds), table, file)
    if not cells:
        raise click.UsageError(f"no CSV file with the columns text and label in {data}")
    click.echo(f"\n{table(cells)}\n\n{by_recipe(cells)}\n")
    for cell in (cell for cell in cells if cell.f1):
        best = max(RECIPES, key=lambda name: mean(cell.f1[name]))
        ours = f"{mean(cell.f1[DEFAULT]):.1f}, best of ten {mean(cell.f1[best]):.1f} ({best})"
        click.echo(f"F1 of the rarer label, {cell.set} {cell.answers:,} {cell.right:.0%}: default {ours}")
    click.echo(verdict(cells))


if __name__ == "__main__":
    main()
