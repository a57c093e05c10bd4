"""CROWDLAB: what the learner's opinion adds to the answers of one, two and three people, on texts with planted people.

`python -m benchmarks.promises.crowdlab --data FOLDER [--set NAME] [--seeds N]`. The crowd sets of the folder have no
text, so people are planted on sets with text and label. PEOPLE answer ITEMS items; each of them is correct with a
probability of 50 to 95 %. A mistake is any other label (*any*), or mostly the next one (*next*), as people share
mistakes. The learner `sentences` is trained as in a run, on the answers by Dawid-Skene with their certainty as weight.
A model that was not trained on an item speaks about it. Only two of its probabilities are used, as many as are stored.

Accuracy is that of the most probable label among those that somebody gave; equally frequent ones count with the
expected accuracy of a draw. The interval is that of the mean difference over the seeds (Student's t). No goal was set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import t
from sklearn.model_selection import KFold

from backend.encode import encoder
from backend.encode.items import with_vector
from backend.learners import make
from backend.learners.calibrate import FOLDS, fit_fold, temperature_of, tempered
from benchmarks.promises.recipes import Set, sets_in
from labelloop.answers import crowdlab
from labelloop.answers.dawid_skene import Estimate, Ints, estimate
from labelloop.store.opinions.learned import spread
from labelloop.threads import one_thread

Floats = npt.NDArray[np.float64]
ITEMS = {"banking77": 1_500}
OTHERS = 600
"""Items of any other set."""
PEOPLE = 12
ACCURACY = (0.5, 0.95)
OPINIONS = (1, 2, 3)
SHARED = 0.7
"""Share of the mistakes *next* that name the next label."""
SEEDS = 10
HEAD = (
    *("set", "mistakes", "opinions", "majority, %", "Dawid-Skene, %", "learner alone, %", "CROWDLAB, %"),
    *("CROWDLAB - Dawid-Skene, points", "95 % interval"),
)


class Answers(NamedTuple):
    """Answers of planted people, one row each: item, person and label."""

    item: Ints
    person: Ints
    label: Ints


class Found(NamedTuple):
    """Accuracy of each rule, 0 to 1."""

    majority: float
    dawid_skene: float
    learner: float
    crowdlab: float


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"), required=True)
@click.option("--set", "names", multiple=True, help="Only this set; may be given more than once.")
@click.option("--seeds", default=SEEDS, show_default=True)
def main(data: Path, names: tuple[str, ...], seeds: int) -> None:
    """Print the table of docs/engineers/consensus.md about CROWDLAB."""
    click.echo("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for one in sets_in(data, names):
        # With two labels, any other label is the next one.
        for shared in (0.0, SHARED)[: one.labels.max()]:
            for line in table(one, shared, seeds):
                click.echo("| " + " | ".join(line) + " |")


def table(one: Set, shared: float, seeds: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each number of opinions."""
    for opinions in OPINIONS:
        found = np.array([measure(one, opinions, shared, seed) for seed in range(seeds)])
        gap = found[:, 3] - found[:, 1]
        half = float(t.ppf(0.975, seeds - 1) * gap.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else np.inf
        cells = [one.name, "next" if shared else "any", str(opinions)]
        cells += [f"{100 * value:.1f}" for value in found.mean(axis=0)]
        cells += [f"{100 * gap.mean():+.1f}", f"{100 * (gap.mean() - half):+.1f} to {100 * (gap.mean() + half):+.1f}"]
        yield tuple(cells)


def measure(one: Set, opinions: int, shared: float, seed: int) -> Found:
    """Return the accuracies with so many answers an item."""
    rng = np.random.default_rng([seed, 12])
    rows = rng.permutation(len(one.texts))[: ITEMS.get(one.name, OTHERS)]
    truth, labels = one.labels[rows].astype(np.intp), int(one.labels.max()) + 1
    said = planted(truth, labels, opinions, shared, rng)
    votes = np.zeros((len(rows), labels))
    np.add.at(votes, (said.item, said.label), 1.0)
    best = votes == votes.max(axis=1, keepdims=True)
    majority = float((best / best.sum(axis=1, keepdims=True))[np.arange(len(rows)), truth].mean())
    people = estimate(*said, items=len(rows), people=PEOPLE, labels=labels)
    learner = opinion(one, rows, people, labels, rng)
    posterior = with_learner(said, people.posterior, learner)
    return Found(
        majority,
        _accuracy(np.where(votes > 0, people.posterior, -1.0), truth),
        _accuracy(np.nan_to_num(learner), truth),
        _accuracy(np.where(votes > 0, posterior, -1.0), truth),
    )


def with_learner(said: Answers, posterior: Floats, learner: Floats) -> Floats:
    """Return the posterior of CROWDLAB; without its weights, or where the learner has not spoken, the given one."""
    spoken = np.flatnonzero(~np.isnan(learner[:, 0]))
    place = np.full(len(learner), -1)
    place[spoken] = np.arange(len(spoken))
    among = place[said.item] >= 0
    both = crowdlab.weights(place[said.item][among], said.person[among], said.label[among], learner[spoken], PEOPLE)
    found = posterior.copy()
    if both is None:
        return found
    for i in spoken.tolist():
        mine = said.item == i
        answers = zip(both.people[said.person[mine]].tolist(), said.label[mine].tolist(), strict=True)
        found[i] = both.posterior(list(answers), learner[i])
    return found


def planted(truth: Ints, labels: int, opinions: int, shared: float, rng: np.random.Generator) -> Answers:
    """Return the answers of `opinions` different people about each item, those of an item together."""
    accuracy = rng.uniform(*ACCURACY, PEOPLE)
    item = np.repeat(np.arange(len(truth)), opinions)
    person = np.concatenate([rng.choice(PEOPLE, opinions, replace=False) for _ in truth])
    further = np.where(rng.random(len(item)) < shared, 1, rng.integers(1, labels, len(item)))
    label = np.where(rng.random(len(item)) < accuracy[person], truth[item], (truth[item] + further) % labels)
    return Answers(item, person, label)


def opinion(one: Set, rows: npt.NDArray[np.int64], people: Estimate, labels: int, rng: np.random.Generator) -> Floats:
    """Return the learner's out-of-fold probability of each label, as the product stores it, shape (items, labels).

    NaN where it has not spoken: the answer of such an item is a label that the model of its fold does not know.
    """
    data = [_item(one, int(row)) for row in rows]
    codes = people.posterior.argmax(axis=1)
    answers, weights = [f"{code:03d}" for code in codes], people.posterior.max(axis=1).tolist()
    with one_thread:
        learner = make("sentences", {"field": "text"}).fit(data, answers, rng, weights)
        parts = KFold(FOLDS, shuffle=True, random_state=int(rng.integers(2**31))).split(rows)
        folds = [fit_fold(learner, data, answers, a.tolist(), b.tolist(), rng, weights) for a, b in parts]
    kept = [fold for fold in folds if fold is not None]
    temperature = temperature_of(kept, answers)
    found = np.full((len(rows), labels), np.nan)
    for fold in kept:
        assert fold.predicted.proba is not None
        columns = [int(name) for name in fold.classes]
        for place, proba in zip(fold.held_out, tempered(fold.predicted.proba, temperature), strict=True):
            shares = dict(zip(columns, proba.tolist(), strict=True))
            answer = int(codes[place])
            other = max((column for column in columns if column != answer), key=lambda column: shares[column])
            stored = {str(answer): shares[answer], str(other): shares[other]}
            found[place] = spread(stored, [str(code) for code in range(labels)])
    return found


def _item(one: Set, row: int) -> dict[str, object]:
    text = one.texts[row]
    return with_vector({"text": text}, text, encoder().id, one.vectors[row].tobytes())


def _accuracy(shares: Floats, truth: Ints) -> float:
    return float((shares.argmax(axis=1) == truth).mean())


if __name__ == "__main__":
    main()
