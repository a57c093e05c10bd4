"""Labels that the confidences save: how many answers an interval of the error rate needs, plain sample = 1.

`python -m benchmarks.promises.narrower [--data FOLDER] [--replicates N] [--answers N]`. Each stream has many
outputs, of which chance draws a few for people. The goal is at most GOAL of the labels of a plain sample, with a
coverage of 93 to 97 %. The standard error of a coverage of 95 % is 1.0 points in 500 replicates, and 0.3 in 4,000.

- even: every output is drawn with the same probability, as in the hold-out lane
- doubled: outputs that the trigger sends are drawn twice as often as the others, as with `queue.control` above `audit`

Planted models know the probability that they are incorrect. An over-confident one is incorrect in 6 points more. Real
sets are the outputs of the product's learner, trained on TAUGHT rows; digits are always there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt

from backend.learners import make
from benchmarks.support.sets import labelled_sets
from labelloop.answers.error_rate import Drawn, Estimate, Known, estimate, jeffreys, periods
from labelloop.threads import one_thread

Floats = npt.NDArray[np.float64]
SETS = ("digits", "sms_spam", "snips7", "banking77")
TAUGHT = {"digits": 60, "sms_spam": 60, "snips7": 60, "banking77": 770}
MOST = 6_000
"""Outputs of a real set."""
SEED, REPLICATES = 11, 500
GOAL = 0.82
CAME_IN = 10_000
SENT = 0.25
"""Share of the outputs, the least confident, that the trigger sends."""
SIZES = (200, 500, 1_500)
UNTRIED = ((0.05, 0.15), (0.1, 0.6), (0.12, 0.4), (0.3, 0.8))
"""Planted models on which the rule was not chosen: their error rate, and the first parameter of the doubts' beta."""
START = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = (
    *("outputs", "draws", "answers", "true rate, %", "variance explained", "in interval, %", "without, in interval, %"),
    *("labels, without the confidences = 1", "labels, plain sample = 1"),
)


class Stream(NamedTuple):
    doubt: Floats
    errors: Floats | None
    """1 if an output is incorrect; None if it is drawn anew in each replicate, with `wrong`."""
    wrong: Floats
    """Probability that an output is incorrect."""


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--replicates", default=REPLICATES, show_default=True)
@click.option("--answers", "sizes", multiple=True, type=int, default=SIZES, show_default=True, help="May be repeated.")
def main(data: Path | None, replicates: int, sizes: Sequence[int]) -> None:
    """Print the second table of docs/engineers/error-rate.md."""
    head = "| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD)
    click.echo(f"seed {SEED}, {replicates} replicates\n\n{head}")
    for name, stream in _streams(data):
        for draws, twice in (("even", 1.0), ("doubled", 2.0)):
            for n in sizes:
                if n <= len(stream.doubt) / 3:
                    click.echo("| " + " | ".join((name, draws, *_cells(stream, n, twice, replicates))) + " |")


def _streams(data: Path | None) -> Iterator[tuple[str, Stream]]:
    rng = np.random.default_rng(SEED)
    for rate, shape in ((0.08, (0.25, 2.9)), (0.2, (0.5, 2.0)), (0.08, (0.9, 10.4))):
        doubt = rng.beta(*shape, CAME_IN)
        weak = "" if shape[0] < 0.9 else ", weak confidences"
        yield f"calibrated{weak}, {100 - 100 * rate:.0f} % correct", Stream(doubt, None, doubt)
        if weak:
            continue
        claimed = np.maximum(0.0, doubt - 0.06)
        yield f"over-confident by 6 points, {100 - 100 * rate:.0f} % correct", Stream(claimed, None, doubt)
    apart = np.random.default_rng([SEED, 1])
    for rate, first in UNTRIED:
        doubt = apart.beta(first, first * (1.0 - rate) / rate, CAME_IN)
        yield f"another planted model, {100 - 100 * rate:.0f} % correct", Stream(doubt, None, doubt)
    for name, labelled in labelled_sets(SETS, data):
        order = rng.permutation(len(labelled.data))
        taught, others = order[: TAUGHT[name]], order[TAUGHT[name] :][:MOST]
        learner = make(labelled.learner, {"field": labelled.field})
        with one_thread:
            learner.fit([labelled.data[i] for i in taught], [labelled.classes[labelled.codes[i]] for i in taught], rng)
            predicted = learner.predict([labelled.data[i] for i in others])
        assert predicted.proba is not None
        wrong = [labelled.classes[labelled.codes[i]] != one for i, one in zip(others, predicted.labels, strict=True)]
        errors = np.array(wrong, dtype=np.float64)
        yield name, Stream(1.0 - predicted.proba.max(axis=1), errors, errors)


def _cells(stream: Stream, n: int, twice: float, replicates: int) -> tuple[str, ...]:
    rng = np.random.default_rng([SEED, n, int(twice)])
    doubt = stream.doubt
    sent = doubt > np.quantile(doubt, 1.0 - SENT)
    chance = np.where(sent, twice, 1.0)
    chance *= n / chance.sum()
    inside, widths, rates, explained = np.zeros(2), np.zeros(3), [], []
    for _ in range(replicates):
        errors = (rng.random(len(doubt)) < stream.wrong).astype(float) if stream.errors is None else stream.errors
        drawn = np.flatnonzero(rng.random(len(doubt)) < chance)
        truth = float(errors.mean())
        for place, found in enumerate(_both(doubt, errors, sent, drawn)):
            rate = found.overall
            assert rate.value is not None
            assert rate.low is not None
            assert rate.high is not None
            inside[place] += rate.low <= truth <= rate.high
            widths[place] += rate.high - rate.low
        low, high = jeffreys(truth, n / (1.0 - n / len(doubt)))
        widths[2] += high - low
        rates.append(truth)
        explained.append(np.corrcoef(doubt, errors)[0, 1] ** 2)
    return (
        f"{n:,}",
        f"{100 * np.mean(rates):.1f}",
        f"{np.mean(explained):.2f}",
        *(f"{100 * share:.1f}" for share in inside / replicates),
        f"{(widths[0] / widths[1]) ** 2:.2f}",
        f"{(widths[0] / widths[2]) ** 2:.2f}",
    )


def _both(
    doubt: Floats, errors: Floats, sent: npt.NDArray[np.bool_], drawn: npt.NDArray[np.intp]
) -> tuple[Estimate, Estimate]:
    """Return the estimates with and without the confidences, of outputs that came a minute apart."""
    rows = [
        Drawn(bool(sent[i]), START + timedelta(minutes=i), str(i), float(errors[i]), float(doubt[i]))
        for i in drawn.tolist()
    ]
    begins = {side: periods([row.received_at for row in rows if row.triggered is side]) for side in (True, False)}
    sizes, known = dict[bool, list[int]](), dict[bool, list[Known]]()
    for side, edges in begins.items():
        members = np.flatnonzero(sent == side)
        period = np.searchsorted([(edge - START) / timedelta(minutes=1) for edge in edges], members, "right")
        sizes[side] = np.bincount(period, minlength=len(edges) + 1).tolist()
        sums = np.bincount(period, doubt[members], minlength=len(edges) + 1)
        known[side] = [Known(size, float(one / max(size, 1))) for size, one in zip(sizes[side], sums, strict=True)]
    return estimate(rows, begins, sizes, known), estimate(rows, begins, sizes)


if __name__ == "__main__":
    main()
