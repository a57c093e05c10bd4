"""Accepted outputs in the training set: what they do to the next model, by whose label was accepted.

`python -m benchmarks.promises.teach [--data FOLDER] [--quick]`. The folder (or LABELLOOP_DATA) holds SET.csv with text
and label; digits are always there. Each loop has a number of people's answers, all correct, and POOL outputs that
nobody answered. The threshold is the lowest confidence at which at most ERROR of what passes is incorrect: the most
that a certificate could allow. All learners are the product's, with its weights.

- pipeline: labels of a model that was trained on PIPELINE other rows
- own: labels of the champion, which was trained on the same people's answers, and then on its own accepted labels too,
  ROUNDS times
- repeated: incorrect accepted labels that the model then gives itself
- as many as answers: accepted outputs, drawn evenly, at most as many as people's answers; else all of them
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from backend.learners import Learner, make
from benchmarks.support.sets import labelled_sets
from console.simulate.labelled import Labelled
from labelloop.answers.consensus import certainty
from labelloop.threads import one_thread

SETS = ("digits", "snips7")
PIPELINE = {"digits": 200, "snips7": 1_000}
SIZES = {"digits": (100, 200), "snips7": (100,)}
POOL, ERROR, ROUNDS = 3_000, 0.05, 4
SEED, REPLICATES, QUICK = 5, 10, 2
HEAD = (
    "set",
    "answers",
    "accepted labels of",
    "bounded",
    "accepted",
    "incorrect, %",
    "repeated, %",
    "accuracy, %",
    "gain, points",
)


class Accepted(NamedTuple):
    rows: npt.NDArray[np.intp]
    labels: list[str]


class Loop:
    """One loop of a set: its people's answers, its outputs without an answer, and its pipeline."""

    def __init__(self, labelled: Labelled, answers: int, pipeline: int, rng: np.random.Generator) -> None:
        self._set, self._rng = labelled, rng
        order = rng.permutation(labelled.pool)
        self.people, order = order[:answers], order[answers:]
        theirs, order = order[:pipeline], order[pipeline:]
        self._open = order[:POOL]
        self._pipeline = self._fit(theirs, [])
        self.champion = self._fit(self.people, [])

    def by_pipeline(self, bounded: bool) -> tuple[Learner, Accepted]:
        """Return a model that is also trained on what the pipeline had accepted, and that."""
        accepted = self._accepted(self._pipeline, bounded)
        return self._fit(self.people, [accepted]), accepted

    def by_itself(self, bounded: bool) -> tuple[Learner, Accepted]:
        """Return the champion after ROUNDS rounds on its own accepted labels, and the last of these."""
        learner, accepted = self.champion, self._accepted(self.champion, bounded)
        for _ in range(ROUNDS):
            accepted = self._accepted(learner, bounded)
            learner = self._fit(self.people, [accepted])
        return learner, accepted

    def accuracy(self, learner: Learner) -> float:
        """Return the accuracy on the test set, in percent."""
        said = learner.predict([self._set.data[i] for i in self._set.test]).labels
        return 100 * float(np.mean([self._truth(i) == one for i, one in zip(self._set.test, said, strict=True)]))

    def incorrect(self, accepted: Accepted) -> float:
        """Return the share of the accepted labels that are incorrect, in percent."""
        wrong = [self._truth(i) != one for i, one in zip(accepted.rows, accepted.labels, strict=True)]
        return 100 * float(np.mean(wrong)) if wrong else 0.0

    def repeated(self, learner: Learner, accepted: Accepted) -> float:
        """Return the share of the incorrect accepted labels that the model gives too, in percent."""
        pairs = [(i, one) for i, one in zip(accepted.rows, accepted.labels, strict=True) if self._truth(i) != one]
        said = learner.predict([self._set.data[i] for i, _ in pairs]).labels if pairs else []
        return 100 * float(np.mean([one == now for (_, one), now in zip(pairs, said, strict=True)])) if pairs else 0.0

    def _truth(self, row: int) -> str:
        return str(self._set.classes[self._set.codes[row]])

    def _fit(self, people: npt.NDArray[np.intp], accepted: list[Accepted]) -> Learner:
        rows, labels = list(people), [self._truth(i) for i in people]
        weights = [certainty(1.0, 1)] * len(rows)
        for some in accepted:
            rows += list(some.rows)
            labels += some.labels
            weights += [(1.0 - ERROR) * certainty(1.0, 1)] * len(some.rows)
        learner = make(self._set.learner, {"field": self._set.field})
        return learner.fit([self._set.data[i] for i in rows], labels, np.random.default_rng(SEED), weights)

    def _accepted(self, of: Learner, bounded: bool) -> Accepted:
        found = of.predict([self._set.data[i] for i in self._open])
        order = np.argsort(-found.confidences, kind="stable")
        wrong = np.array([found.labels[i] != self._truth(self._open[i]) for i in order])
        kept = np.flatnonzero(np.cumsum(wrong) <= ERROR * np.arange(1, len(order) + 1))
        passed = order[: int(kept[-1]) + 1] if len(kept) else order[:0]
        if bounded and len(passed) > len(self.people):
            passed = self._rng.choice(passed, len(self.people), replace=False)
        return Accepted(self._open[passed], [str(found.labels[i]) for i in passed])


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--quick", is_flag=True, help=f"{QUICK} replicates instead of {REPLICATES}.")
def main(data: Path | None, quick: bool) -> None:
    """Print the table of docs/engineers/accept-teach.md."""
    click.echo(f"seed {SEED}, {QUICK if quick else REPLICATES} replicates\n\n| " + " | ".join(HEAD) + " |")
    click.echo("|" + "---|" * len(HEAD))
    for name, labelled in labelled_sets(SETS, data):
        for answers in SIZES[name]:
            with one_thread:
                for cells in _rows(labelled, answers, PIPELINE[name], QUICK if quick else REPLICATES):
                    click.echo(f"| {name} | {answers:,} | " + " | ".join(cells) + " |")


def _rows(labelled: Labelled, answers: int, pipeline: int, replicates: int) -> list[tuple[str, ...]]:
    before: list[float] = []
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for replicate in range(replicates):
        loop = Loop(labelled, answers, pipeline, np.random.default_rng([SEED, answers, replicate]))
        before.append(loop.accuracy(loop.champion))
        for whose, way in (("pipeline", loop.by_pipeline), ("own", loop.by_itself)):
            for words, bounded in (("as many as answers", True), ("no", False)):
                learner, accepted = way(bounded)
                row = (
                    *(len(accepted.rows), loop.incorrect(accepted)),
                    *(loop.repeated(learner, accepted), loop.accuracy(learner)),
                )
                found.setdefault((whose, words), []).append(row)
    rows: list[tuple[str, ...]] = [("nobody", "", "0", "", "", f"{np.mean(before):.1f}", "")]
    for (whose, words), each in found.items():
        n, wrong, repeated, after = (np.array(column) for column in zip(*each, strict=True))
        gain = after - np.array(before)
        half = 2.0 * gain.std(ddof=1) / np.sqrt(len(gain))
        rows.append(
            (whose, words, f"{n.mean():,.0f}", f"{wrong.mean():.1f}", f"{repeated.mean():.0f}", f"{after.mean():.1f}",
             f"{gain.mean():+.1f} ± {half:.1f}")
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
