"""Consensus and further opinions: the accuracy that a number of answers buys, on sets that a crowd has answered.

`python -m benchmarks.promises.crowd [--data FOLDER] [--orders N] [--planted]`. The folder (or LABELLOOP_DATA) holds
crowd_*.csv with item, worker, label and truth. Each order shuffles the answers of every item. A policy takes the first
ones, then one more answer at a time for the least certain items, a few items a round, until the budget is used. That is
what labelloop asks with `opinions`. Accuracy is that of the most probable label. By majority, equally frequent labels
count with the expected accuracy of a draw. Intervals are over items, of the mean over the orders. Items that the same
people answered count as one, because these people's mistakes are alike.

Goals: the accuracy of the majority of three with at most 60 % of its answers, and that of Dawid-Skene of three with at
most 80 %. `--planted` shows for how many of the planted people the interval of the accuracy holds: the goal is 93 to
98 %.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from labelloop.answers.dawid_skene import Ints, estimate

Floats = npt.NDArray[np.float64]
ROUND = 0.05
"""Share of the items that get one more answer between two estimates."""
HEAD = ("set", "policy", "answers an item", "of three", "accuracy, %", "against", "difference, points", "95 % interval")


class Crowd(NamedTuple):
    """The answers of one set in one order: those of an item stand together, the first to come first."""

    item: Ints
    person: Ints
    label: Ints
    place: Ints
    """Position of each answer among those of its item, from 0."""
    given: Ints
    """Number of answers of each item."""
    truth: Ints
    """Correct label of each item; -1 where it is not known."""
    people: int
    labels: int

    @property
    def team(self) -> Ints:
        """Number of the set of people who answered each item of known truth."""
        people = np.split(self.person, np.cumsum(self.given)[:-1])
        teams = [tuple(sorted(of.tolist())) for of, truth in zip(people, self.truth, strict=True) if truth >= 0]
        numbers = {team: number for number, team in enumerate(dict.fromkeys(teams))}
        return np.array([numbers[team] for team in teams])

    def first(self, have: Ints) -> tuple[Ints, Ints, Ints]:
        """Return item, person and label of the first `have` answers of each item."""
        among = self.place < have[self.item]
        return self.item[among], self.person[among], self.label[among]


class Result(NamedTuple):
    answers: int
    right: Floats
    """Expected correctness of each item with a known truth."""


Policy = Callable[[Crowd], Result]


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--orders", default=5, show_default=True, help="Random orders of the answers, from seed 0.")
@click.option("--planted", is_flag=True, help="Check the intervals of people's accuracy on planted people instead.")
def main(data: Path | None, orders: int, planted: bool) -> None:
    """Print the tables of docs/engineers/consensus.md."""
    if planted:
        coverage()
        return
    click.echo("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    for path in sorted(data.glob("crowd_*.csv")) if data else []:
        for line in table(path, orders):
            click.echo("| " + " | ".join(line) + " |")


def table(path: Path, orders: int) -> list[tuple[str, ...]]:
    """Return the rows of one set."""
    crowds = [read(path, np.random.default_rng(seed)) for seed in range(orders)]
    three = 3 * len(crowds[0].given)
    policies: dict[str, tuple[Policy, str]] = {
        "majority of three": (lambda c: majority(c, _up_to(c, 3)), ""),
        "two, a third where they differ, majority": (differing, "majority of three"),
        "one, then 1.8 in the mean, Dawid-Skene": (lambda c: asked(c, 1, 1.8), "majority of three"),
        "Dawid-Skene of three": (lambda c: weighed(c, _up_to(c, 3)), "majority of three"),
        "one, then 2.4 in the mean, Dawid-Skene": (lambda c: asked(c, 1, 2.4), "Dawid-Skene of three"),
        "two, then 2.4 in the mean, Dawid-Skene": (lambda c: asked(c, 2, 2.4), "Dawid-Skene of three"),
        "one, then up to five until 95 % sure": (lambda c: asked(c, 1, 5.0, most=5, sure=0.95), "Dawid-Skene of three"),
        "majority of all": (lambda c: majority(c, c.given), ""),
        "Dawid-Skene of all": (lambda c: weighed(c, c.given), "majority of all"),
    }
    done: dict[str, tuple[float, Floats]] = {}
    lines = []
    for name, (policy, against) in policies.items():
        results = [policy(crowd) for crowd in crowds]
        answers = float(np.mean([result.answers for result in results]))
        right = np.mean([result.right for result in results], axis=0)
        done[name] = answers, right
        cells = [path.stem.removeprefix("crowd_"), name, f"{3 * answers / three:.2f}", f"{100 * answers / three:.0f} %"]
        cells += [f"{100 * right.mean():.1f}", against]
        if against:
            gap = right - done[against][1]
            half = half_width(gap, crowds[0].team)
            cells += [
                f"{100 * gap.mean():+.1f}",
                f"{100 * (gap.mean() - half):+.1f} to {100 * (gap.mean() + half):+.1f}",
            ]
        else:
            cells += ["", ""]
        lines.append(tuple(cells))
    return lines


def half_width(values: Floats, teams: Ints) -> float:
    """Return half the 95 % interval of the mean; the values of one team are not independent of each other.

    It is the variance of a mean of clusters (Cameron and Miller 2015, doi:10.3368/jhr.50.2.317).
    """
    sums = np.bincount(teams, values - values.mean())
    sums = sums[np.bincount(teams) > 0]
    return float(1.96 * np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def read(path: Path, rng: np.random.Generator) -> Crowd:
    """Read a set, with the answers of each item in a random order."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names, item = np.unique([row["item"] for row in rows], return_inverse=True)
    people, person = np.unique([row["worker"] for row in rows], return_inverse=True)
    label = np.array([int(float(row["label"])) for row in rows])
    truth = np.full(len(names), -1)
    for row, of in zip(rows, item, strict=True):
        if row["truth"]:
            truth[of] = int(float(row["truth"]))
    return arranged(item, person, label, truth, len(people), int(max(label.max(), truth.max())) + 1, rng)


def arranged(
    item: Ints, person: Ints, label: Ints, truth: Ints, people: int, labels: int, rng: np.random.Generator
) -> Crowd:
    """Return these answers with those of each item in a random order."""
    order = rng.permutation(len(item))
    order = order[np.argsort(item[order], kind="stable")]
    given = np.bincount(item, minlength=len(truth))
    place = np.arange(len(item)) - np.repeat(np.cumsum(given) - given, given)
    return Crowd(item[order], person[order], label[order], place, given, truth, people, labels)


def majority(crowd: Crowd, have: Ints) -> Result:
    """Take the most frequent label of the first `have` answers of each item."""
    votes = _votes(crowd, have)
    best = votes == votes.max(axis=1, keepdims=True)
    return _result(crowd, have, best / best.sum(axis=1, keepdims=True))


def differing(crowd: Crowd) -> Result:
    """Ask two people, and a third one where they differ."""
    votes = _votes(crowd, _up_to(crowd, 2))
    return majority(crowd, np.minimum(2 + (votes.max(axis=1) < 2), crowd.given))


def weighed(crowd: Crowd, have: Ints) -> Result:
    """Take the most probable label by Dawid-Skene."""
    return _result(crowd, have, _hard(_posterior(crowd, have)))


def asked(crowd: Crowd, first: int, budget: float, most: int = 10, sure: float = 1.0) -> Result:
    """Ask `first` people, then one more about the least certain items, while the mean is below `budget`."""
    have = _up_to(crowd, first)
    limit = np.minimum(crowd.given, most)
    left = int(budget * len(have)) - int(have.sum())
    while True:
        posterior = _posterior(crowd, have)
        certain = posterior.max(axis=1)
        open_ = np.flatnonzero((have < limit) & (certain < sure))
        n = min(left, max(1, int(ROUND * len(have))), len(open_))
        if n <= 0:
            return _result(crowd, have, _hard(posterior))
        have[open_[np.argsort(certain[open_], kind="stable")[:n]]] += 1
        left -= n


def coverage(runs: int = 60) -> list[tuple[str, float]]:
    """Print and return the share of planted people whose accuracy is within its interval."""
    shapes = ((12, 150, 3, 3), (6, 100, 2, 2), (6, 400, 2, 2), (30, 1000, 5, 3), (5, 60, 3, 3), (4, 500, 2, 3))
    found = []
    click.echo("| people | items | labels | answers an item | interval holds | mean width, points | no estimate |")
    click.echo("|---|---|---|---|---|---|---|")
    for people, items, labels, each in shapes:
        rng = np.random.default_rng(0)
        held, width, silent = [], [], 0
        for _ in range(runs):
            accuracy = rng.uniform(0.5, 0.98, people)
            truth = rng.integers(0, labels, items)
            item = np.repeat(np.arange(items), each)
            person = np.concatenate([rng.choice(people, each, replace=False) for _ in range(items)])
            wrong = (truth[item] + rng.integers(1, labels, len(item))) % labels
            label = np.where(rng.random(len(item)) < accuracy[person], truth[item], wrong)
            for one, planted in zip(
                estimate(item, person, label, items=items, people=people, labels=labels).accuracy, accuracy, strict=True
            ):
                if one.low is None or one.high is None:
                    silent += 1
                    continue
                held.append(one.low <= planted <= one.high)
                width.append(one.high - one.low)
        share = float(np.mean(held))
        found.append((f"{people} {items} {labels} {each}", share))
        cells = (people, items, labels, each, f"{100 * share:.1f} %", f"{100 * np.mean(width):.0f}", silent)
        click.echo("| " + " | ".join(map(str, cells)) + " |")
    return found


def _up_to(crowd: Crowd, n: int) -> Ints:
    return np.minimum(crowd.given, n)


def _votes(crowd: Crowd, have: Ints) -> Floats:
    item, _, label = crowd.first(have)
    shape = (len(have), crowd.labels)
    counts = np.bincount(item * crowd.labels + label, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def _posterior(crowd: Crowd, have: Ints) -> Floats:
    found = estimate(*crowd.first(have), items=len(have), people=crowd.people, labels=crowd.labels)
    return found.posterior


def _hard(posterior: Floats) -> Floats:
    return np.asarray(np.eye(posterior.shape[1])[posterior.argmax(axis=1)])


def _result(crowd: Crowd, have: Ints, shares: Floats) -> Result:
    known: Sequence[int] = np.flatnonzero(crowd.truth >= 0).tolist()
    return Result(int(have.sum()), shares[known, crowd.truth[known]])


if __name__ == "__main__":
    main()
