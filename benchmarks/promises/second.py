"""Second opinions: the share of planted incorrect answers that they find.

`python -m benchmarks.promises.second [--data FOLDER] [--quick]`. The folder (or LABELLOOP_DATA) holds SET.csv with
text and label, and crowd_*.csv with item, label and truth; sets that are not there are skipped, digits are always
there.

Incorrect answers are planted at three rates, in two ways: any other label (uniform), or the one label that a model
confuses most with the true one (pair). A crowd's file has no texts; its confusion matrix is planted in another set. The
product's own training then ranks all answers, and the first 5, 10 and 20 % are asked again, if their doubt is at least
DOUBTFUL. The columns give the share of the incorrect answers that is found:

- found: by the product
- margin, self-confidence: by the same out-of-fold predictions in another order, and without that limit
- as trained: by the version's own predictions of what it was trained on, if they give the answer at most 0.5
- as trained, all: the same without that limit
- oracle: by 10-fold cross-validation of the same learner, without a limit; once, and the mean of `--repeats`
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from backend.learners import Learner, make
from backend.learners.calibrate import fit_fold
from backend.score.doubts import Support, doubt, supports
from backend.train.fitting import fit_and_calibrate
from backend.train.out_of_fold import out_of_fold
from console.simulate import files
from console.simulate.labelled import Labelled
from labelloop.store.tables.doubts import DOUBTFUL
from labelloop.threads import one_thread
from labelloop.versions.items import TrainingItem

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
SETS: Mapping[str, int] = {"digits": 500, "sms_spam": 1000, "snips7": 500, "banking77": 770}
"""Answers of each set."""
CROWDS = {"crowd_sentiment_crowd": "sms_spam", "crowd_product_match": "sms_spam", "crowd_web_relevance": "snips7"}
"""The set that each crowd's confusion matrix is planted in."""
RATES = (0.05, 0.1, 0.2)
BUDGETS = (0.05, 0.1, 0.2)
SLOW = ("banking77",)
"""Sets of which a fit takes seconds: one seed, one rate, one oracle."""
HEAD = (
    *("set", "answers", "noise", "incorrect", "second opinions", "asked", "found", "margin", "self-confidence"),
    *("as trained", "as trained, all", "oracle", "oracle repeated", "found / oracle", "found / oracle repeated"),
)


class Planted(NamedTuple):
    """Items with answers, of which some are incorrect."""

    data: Sequence[Mapping[str, object]]
    labels: list[str]
    incorrect: npt.NDArray[np.bool_]


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--quick", is_flag=True, help="One seed, one rate, and one oracle: a minute.")
@click.option("--seeds", default=2, show_default=True, help="Seeds of each cell: 0, 1, ...")
@click.option("--repeats", default=5, show_default=True, help="Repetitions of the second oracle, at the middle rate.")
@click.option("--only", multiple=True, help="Only these sets.")
def main(data: Path | None, quick: bool, seeds: int, repeats: int, only: tuple[str, ...]) -> None:
    """Print the table of docs/engineers/second-opinions.md."""
    click.echo("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for name, n in SETS.items():
        if (only and name not in only) or (labelled := _read(name, data)) is None:
            continue
        few = quick or name in SLOW
        crowds = [file for file, of in CROWDS.items() if of == name and data and (data / f"{file}.csv").exists()]
        noises = ("uniform", "pair") if len(labelled.classes) > 2 else ("uniform",)  # two labels have one other each
        for noise in (*noises, *crowds):
            for rate in RATES[1:2] if few or noise in crowds else RATES:
                times = 1 if few or noise in crowds or rate != RATES[1] else repeats
                with one_thread:
                    found = [_one(labelled, n, noise, rate, data, seed, times) for seed in range(1 if few else seeds)]
                _print(name, n, noise, np.mean(found, axis=0), times)
    click.echo(f"\nSeeds: {', '.join(map(str, range(1 if quick else seeds)))}; {', '.join(SLOW)}: 0.")


def _print(name: str, n: int, noise: str, found: Floats, repeats: int) -> None:
    for budget, row in zip(BUDGETS, found, strict=True):
        rate, asked, *shares = row
        cells = [name, str(n), noise, f"{rate:.3f}", f"{budget:g}", f"{asked:.3f}"]
        of_oracles = [f"{shares[0] / share:.2f}" for share in shares[-2:]]
        cells += [f"{share:.2f}" for share in shares] + of_oracles
        if repeats == 1:
            cells[-3] = cells[-1] = "-"  # as the oracle once
        click.echo("| " + " | ".join(cells) + " |")


def _read(name: str, data: Path | None) -> Labelled | None:
    if name == files.DIGITS_DATASET:
        return files.digits()
    return files.read(data / f"{name}.csv") if data is not None and (data / f"{name}.csv").exists() else None


def _one(
    labelled: Labelled, n: int, noise: str, rate: float, data: Path | None, seed: int, repeats: int
) -> list[list[float]]:
    """Return for each budget the rate of incorrect answers, the share asked, and the share found by each ranking."""
    rng = np.random.default_rng(seed)
    learner = make(labelled.learner, {"field": labelled.field})
    planted = _plant(labelled, learner, n, noise, rate, data, rng)
    n = len(planted.labels)
    rows = [
        TrainingItem(str(i), str(i), item, i, label, 1.0)
        for i, (item, label) in enumerate(zip(planted.data, planted.labels, strict=True))
    ]
    fitted, folds = fit_and_calibrate(make(learner.name, learner.params), rows, seed)
    ours = out_of_fold(fitted, rows, folds, seed, float("inf"))
    trained = supports(fitted.classes, fitted.predict(planted.data), planted.labels)
    oracles = [_oracle(fitted, planted, seed, repeat) for repeat in range(repeats)]
    product = _values(ours, doubt)
    before = _values(trained, lambda support: 1 - support.given)
    rankings = [
        np.where(product >= DOUBTFUL, product, -np.inf),
        _values(ours, lambda support: support.of_other - support.given),
        _values(ours, lambda support: 1 - support.given),
        np.where(before >= DOUBTFUL, before, -np.inf),
        before,
        oracles[0],
        np.mean(oracles, axis=0),
    ]
    results = []
    for budget in BUDGETS:
        shares = [_found(ranking, planted.incorrect, int(budget * n)) for ranking in rankings]
        asked = min(int(budget * n), int((product >= DOUBTFUL).sum())) / n
        results.append([planted.incorrect.mean(), asked, *shares])
    return results


def _values(found: Sequence[Support | None], measure: object) -> Floats:
    assert callable(measure)
    return np.array([-np.inf if support is None else measure(support) for support in found])


def _found(ranking: Floats, incorrect: npt.NDArray[np.bool_], n: int) -> float:
    """Return the share of the incorrect answers among the first n; ties keep their order, -inf is never asked."""
    first = np.argsort(-ranking, kind="stable")[:n]
    return float((incorrect[first] & (ranking[first] > -np.inf)).sum() / incorrect.sum())


def _oracle(learner: Learner, planted: Planted, seed: int, repeat: int) -> Floats:
    """Return the doubt about each answer by 10-fold cross-validation; 0 without one."""
    found = np.zeros(len(planted.labels))
    for training, held_out in KFold(10, shuffle=True, random_state=1000 * seed + repeat).split(found):
        rng = np.random.default_rng(seed)
        fold = fit_fold(learner, planted.data, planted.labels, training.tolist(), held_out.tolist(), rng)
        assert fold is not None
        answers = [planted.labels[i] for i in fold.held_out]
        for i, support in zip(fold.held_out, supports(fold.classes, fold.predicted, answers), strict=True):
            found[i] = 0.0 if support is None else doubt(support)
    return found


def _plant(
    labelled: Labelled, learner: Learner, n: int, noise: str, rate: float, data: Path | None, rng: np.random.Generator
) -> Planted:
    pool = rng.permutation(labelled.pool)
    crowd = None
    if noise in CROWDS:
        assert data is not None
        crowd = _confusions(data / f"{noise}.csv")
        pool = pool[labelled.codes[pool] < len(crowd)]
    taken = pool[:n]
    items, truth = [labelled.data[i] for i in taken], labelled.codes[taken]
    k = len(labelled.classes) if crowd is None else len(crowd)
    given = truth.copy()
    if crowd is not None:
        given = np.array([rng.choice(k, p=crowd[code]) for code in truth])
    else:
        wrong = rng.permutation(len(taken))[: int(rate * len(taken))]
        if noise == "uniform":
            given[wrong] = (truth[wrong] + rng.integers(1, k, len(wrong))) % k
        else:
            given[wrong] = _partners(labelled, learner, items, truth)[truth[wrong]]
    return Planted(items, [labelled.classes[code] for code in given], given != truth)


def _partners(labelled: Labelled, learner: Learner, items: Sequence[Mapping[str, object]], truth: Ints) -> Ints:
    """Return for each label the other one that gets most of its probability, by 3-fold cross-validation."""
    k = len(labelled.classes)
    confusions = np.zeros((k, k))
    labels = [labelled.classes[code] for code in truth]
    learner = make(learner.name, learner.params).fit(items, labels, np.random.default_rng(0))
    for training, held_out in KFold(3, shuffle=True, random_state=0).split(truth):
        fold = fit_fold(learner, items, labels, training.tolist(), held_out.tolist(), np.random.default_rng(0))
        assert fold is not None
        assert fold.predicted.proba is not None
        columns = np.searchsorted(labelled.classes, fold.classes)
        for i, row in zip(fold.held_out, fold.predicted.proba, strict=True):
            confusions[truth[i], columns] += row
    np.fill_diagonal(confusions, -1)
    found: Ints = confusions.argmax(axis=1)
    return found


def _confusions(file: Path) -> Floats:
    """Return the crowd's confusion matrix: shape (k, k), one row for each true label, rows sum to 1."""
    with file.open() as lines:
        rows = [(row["truth"], row["label"]) for row in csv.DictReader(lines) if row["truth"]]
    labels = sorted({int(float(label)) for _, label in rows})
    found = np.zeros((len(labels), len(labels)))
    for truth, label in rows:
        found[labels.index(int(float(truth))), labels.index(int(float(label)))] += 1
    shares: Floats = found / found.sum(axis=1, keepdims=True)
    return shares


if __name__ == "__main__":
    main()
