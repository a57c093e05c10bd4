"""Calibration error of confidences, before and after calibration.

`python -m benchmarks.calibration [--data FOLDER]`. The folder (or LABELLOOP_DATA) holds SET.csv with text and label;
sets that are not there are skipped, digits are always there. Medians of five orders.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from backend.learners import make
from backend.learners.calibrate import calibrate
from benchmarks.support.sets import labelled_sets
from console.simulate.labelled import Labelled
from labelloop import strategies
from labelloop.threads import one_thread

SETS = ("digits", "sms_spam", "snips7")
SIZES = (100, 400, 1000)
SEEDS = 5
ASKED = 1500
BINS = 10
HEAD = (
    "set",
    "answers",
    "ECE as trained",
    "ECE calibrated",
    "log loss as trained",
    "log loss calibrated",
    "order of margins",
)


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
def main(data: Path | None) -> None:
    """Print the table of docs/engineers/serving.md."""
    click.echo("| " + " | ".join(HEAD) + " |")
    for name, labelled in labelled_sets(SETS, data):
        for n in SIZES:
            with one_thread:
                found = np.median([_one(labelled, n, seed) for seed in range(SEEDS)], axis=0)
            cells = [name, str(n), *(f"{value:.3f}" for value in found)]
            click.echo("| " + " | ".join(cells) + " |")


def _one(labelled: Labelled, n: int, seed: int) -> tuple[float, ...]:
    """Measure one order: train on `n` answers of the pool, and evaluate on the test set."""
    rng = np.random.default_rng(seed)
    taught = rng.permutation(labelled.pool)[:n]
    data, labels = [labelled.data[i] for i in taught], [labelled.classes[labelled.codes[i]] for i in taught]
    plain = make(labelled.learner, {"field": labelled.field}).fit(data, labels, np.random.default_rng(0))
    calibrated = calibrate(plain, data, labels, np.random.default_rng(0))
    known = {label: column for column, label in enumerate(plain.classes)}
    asked = [i for i in labelled.test[:ASKED] if labelled.classes[labelled.codes[i]] in known]
    truth = np.array([known[labelled.classes[labelled.codes[i]]] for i in asked])
    before, after = (learner.predict([labelled.data[i] for i in asked]).proba for learner in (plain, calibrated))
    assert before is not None
    assert after is not None
    orders = (strategies.utilities("margin", proba) for proba in (before, after))
    same = float(spearmanr(*orders).statistic)
    return (ece(before, truth), ece(after, truth), _log_loss(before, truth), _log_loss(after, truth), same)


def ece(proba: npt.NDArray[np.float64], truth: npt.NDArray[np.intp]) -> float:
    """Expected calibration error, bins of equal width (Naeini et al. 2015, AAAI)."""
    sure, right = proba.max(axis=1), proba.argmax(axis=1) == truth
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


def _log_loss(proba: npt.NDArray[np.float64], truth: npt.NDArray[np.intp]) -> float:
    return float(-np.log(np.maximum(proba[np.arange(len(truth)), truth], 1e-12)).mean())


if __name__ == "__main__":
    main()
