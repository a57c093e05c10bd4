"""`python -m benchmarks.windows`: what a window of a fixed size costs in accuracy, against one that grows.

After each version better outputs wait. `grows`: they come in beside the open tasks at once. `fixed`: each answer makes
room for one. `in batches`: they come when 30 % of the window is free, as sync's worker does it while people answer.
"""

from __future__ import annotations

import math

import click
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sync.worker import REFILL

WINDOW, LEARNS_EVERY, FIRST, TEST = 50, 20, 10, 500
LOOKED_AT = (40, 100, 200, 300)
"""Answers after which the accuracy on the test set is taken."""
KINDS = ("grows", "fixed", "in batches")


@click.command()
@click.option("--seeds", default=12, show_default=True, help="Repeats, each with a split of its own.")
def main(seeds: int) -> None:
    """Digits, margin, one annotator who is always right, a new version every 20 answers."""
    click.echo("window | " + " | ".join(f"{n} answers" for n in LOOKED_AT) + " | most open tasks")
    for kind in KINDS:
        runs = [run(kind, seed) for seed in range(seeds)]
        means = [100 * float(np.mean([curve[i] for curve, _ in runs])) for i in range(len(LOOKED_AT))]
        most = max(most for _, most in runs)
        click.echo(f"{kind} | " + " | ".join(f"{mean:.1f} %" for mean in means) + f" | {most}")


def run(kind: str, seed: int) -> tuple[list[float], int]:
    """Accuracy after each of LOOKED_AT, and the most tasks that were open at a time."""
    data, truth = load_digits(return_X_y=True)
    data = StandardScaler().fit_transform(data)
    order = np.random.default_rng(seed).permutation(len(data))
    test, pool = order[:TEST], order[TEST:]
    taught = list(pool[:FIRST])
    waiting, open_ = set(pool[FIRST:]), set[int]()
    curve, most, utility = list[float](), 0, _utilities(data, truth, taught)

    def best(some: set[int], n: int) -> list[int]:
        return sorted(some, key=lambda i: -utility[i])[:n]

    for answers in range(max(LOOKED_AT) + 1):
        places = WINDOW - len(open_)
        if kind == "grows":
            places = WINDOW - len(open_ & set(best(waiting | open_, WINDOW)))
        if kind != "in batches" or not open_ or places >= math.ceil(REFILL * WINDOW):
            new = best(waiting, max(0, places))
            waiting -= set(new)
            open_ |= set(new)
        most = max(most, len(open_))
        if answers in LOOKED_AT:
            curve.append(float(_model(data, truth, taught).score(data[test], truth[test])))
        [served] = best(open_, 1)
        open_.remove(served)
        taught.append(served)
        if (answers + 1) % LEARNS_EVERY == 0:
            utility = _utilities(data, truth, taught)
    return curve, most


def _model(data: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], taught: list[int]) -> LogisticRegression:
    return LogisticRegression(max_iter=300).fit(data[taught], truth[taught])


def _utilities(
    data: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], taught: list[int]
) -> npt.NDArray[np.float64]:
    """1 less the margin between the two likeliest labels, of every row."""
    proba = np.sort(_model(data, truth, taught).predict_proba(data), axis=1)
    return np.asarray(1.0 - (proba[:, -1] - proba[:, -2]))


if __name__ == "__main__":
    main()
