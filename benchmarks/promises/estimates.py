"""Error rate of all outputs: does the 95 % interval hold the truth, with a backlog, groups and drift?

`python -m benchmarks.promises.estimates [--data FOLDER] [--quick]`. Each stream goes through `place`, and its answers
through `estimate`. In planted streams the errors depend on the confidence. Real streams are the outputs of a
classifier that was trained on few rows of SET.csv with text and label. LABELLOOP_DATA names the folder too. A set
that is not there is skipped; digits are always there.

Each replicate has keys of its own. Its backlog is answered lane by lane: rule by utility, the others in their random
order. `steady`: people answer ANSWERED of each lane as it comes. `early`: people answer all for 30 % of the time, and
then only AFTER of `steady`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from backend.learners import make
from benchmarks.support.sets import labelled_sets
from labelloop.answers.error_rate import Drawn, Estimate, Known, Rate, estimate, jeffreys, periods
from labelloop.outputs.output import Output
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec
from labelloop.threads import one_thread

Floats = npt.NDArray[np.float64]
SETS = ("digits", "sms_spam", "snips7")
SEED, REPLICATES, QUICK = 10, 1_000, 50
OUTPUTS, FEW, TAUGHT, SHARE_OF_SET = 1_000, 300, 60, 0.6
STEPS = 20
"""Times at which people answer."""
ANSWERED = {"rule": 0.1, "control": 0.5, "audit": 0.5, "holdout": 0.8}
BACKLOGS = ("none", "steady", "early")
PLANTED = ((OUTPUTS, 0.05), (OUTPUTS, 0.2), (OUTPUTS, 0.01), (FEW, 0.05), (FEW, 0.2))
"""Outputs and true error rate of the planted streams."""
RARE = 0.01
"""Up to this rate there is no drift: it could not be seen."""
EARLY, AFTER = 0.3, 0.2
"""Share of the time in which people keep up, and what they answer afterwards as a share of the steady backlog."""
ALIKE = 0.3
"""Correlation of the errors of one group."""
START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = [START + timedelta(hours=i) for i in range(OUTPUTS)]
SPEC = LoopSpec(name="stream", trigger="model_confidence < 0.8", audit=0.1, holdout=0.2).with_labels(["a", "b"])
SPEC = SPEC.model_copy(update={"queue": SPEC.queue.model_copy(update={"control": 0.1})})
HEAD = (
    "stream",
    "group",
    "drift",
    "backlog",
    "true rate, %",
    "answers",
    "in interval, %",
    "too low, %",
    "too high, %",
    "mean width",
    "labels, without the confidences = 1",
    "labels, plain sample = 1",
    "off",
    "sent: in interval, %",
    "not sent: in interval, %",
    "all reviewed, off",
    "divided by the old probability, off",
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Outputs in the order of their arrival, placed by the product. Arrays: shape (outputs,)."""

    lanes: npt.NDArray[np.str_]
    triggered: npt.NDArray[np.bool_]
    utility: Floats
    groups: npt.NDArray[np.int_]
    confidence: Floats

    def first(self, n: int) -> Stream:
        """Return the stream of the first `n` outputs."""
        return Stream(*(getattr(self, field.name)[:n] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Result:
    """One replicate: truths and estimates, 0 to 1."""

    truth: float
    found: Estimate
    without: Estimate
    """The same without the confidences."""
    truths: tuple[float, float]
    """True rates of the outputs that the trigger sends, and does not send."""
    reviewed: float
    """Rate of all reviewed answers."""
    divided: float
    """Rate of the reviewed answers, each divided by 1, or by `audit` in the audit lane, as the docs once advised."""


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--quick", is_flag=True, help=f"{QUICK} replicates instead of {REPLICATES}.")
def main(data: Path | None, quick: bool) -> None:
    """Print the table of docs/engineers/error-rate.md."""
    replicates = QUICK if quick else REPLICATES
    click.echo(f"seed {SEED}, {replicates} replicates of {OUTPUTS} outputs; off: points from the truth, mean\n")
    click.echo("| " + " | ".join(HEAD) + " |")
    click.echo("|" + "---|" * len(HEAD))
    for cells in chain(_planted(replicates), _real(data, replicates)):
        click.echo("| " + " | ".join(cells) + " |")


def _planted(replicates: int) -> Iterator[Sequence[str]]:
    for size in (1, 10):
        rng = np.random.default_rng([SEED, size])
        streams = [_stream(1.0 - rng.beta(1, 4, OUTPUTS), size, f"{size}-{i}") for i in range(replicates)]
        for n, rate in PLANTED:
            few = [stream.first(n) for stream in streams]
            for drift in (False, True) if rate > RARE else (False,):
                for backlog in BACKLOGS:
                    rng = np.random.default_rng([SEED, size, n, int(100 * rate), drift])
                    found = [_replicate(stream, _errors(stream, rate, drift, rng), backlog, rng) for stream in few]
                    change = "0.4 to 1.6 x" if drift else "none"
                    yield _cells((f"planted, {n:,}", str(size), change, backlog), found)


def _errors(stream: Stream, rate: float, drift: bool, rng: np.random.Generator) -> Floats:
    """Draw which outputs are incorrect: the less confident, the more often; with drift, more with time."""
    from scipy.stats import norm

    doubt = (1.0 - stream.confidence) ** 1.5
    time = np.linspace(0.4, 1.6, len(doubt)) if drift else 1.0
    chance = norm.ppf(np.clip(rate * doubt / doubt.mean() * time, 1e-9, 0.97))
    shared = rng.normal(size=stream.groups.max() + 1)[stream.groups]
    alike = ALIKE if stream.groups.max() + 1 < len(doubt) else 0.0
    drawn = np.sqrt(alike) * shared + np.sqrt(1.0 - alike) * rng.normal(size=len(doubt))
    errors: Floats = (drawn < chance).astype(np.float64)
    return errors


def _real(data: Path | None, replicates: int) -> Iterator[Sequence[str]]:
    for name, labelled in labelled_sets(SETS, data):
        rng = np.random.default_rng([SEED, len(name)])
        order = rng.permutation(len(labelled.data))
        taught, others = order[:TAUGHT], order[TAUGHT:][: 4 * OUTPUTS]
        learner = make(labelled.learner, {"field": labelled.field})
        with one_thread:
            learner.fit([labelled.data[i] for i in taught], [labelled.classes[labelled.codes[i]] for i in taught], rng)
            predicted = learner.predict([labelled.data[i] for i in others])
        assert predicted.proba is not None
        confidence = predicted.proba.max(axis=1)
        errors = np.array(
            [labelled.classes[labelled.codes[i]] != label for i, label in zip(others, predicted.labels, strict=True)],
            dtype=np.float64,
        )
        # The trigger sends a third of the outputs: a weak classifier is never sure.
        level = np.quantile(confidence, 1 / 3)
        confidence = np.where(confidence < level, 0.4 * confidence / level, 0.9 + 0.1 * (confidence - level))
        n = min(OUTPUTS, int(SHARE_OF_SET * len(others)))
        parts = [rng.permutation(len(others))[:n] for _ in range(replicates)]
        streams = [_stream(confidence[part], 1, f"{name}-{i}") for i, part in enumerate(parts)]
        for backlog in BACKLOGS:
            rng = np.random.default_rng([SEED, len(name), 1])
            found = [
                _replicate(stream, errors[part], backlog, rng) for stream, part in zip(streams, parts, strict=True)
            ]
            yield _cells((f"{name}, {n:,}", "1", "none", backlog), found)


def _stream(confidence: Floats, size: int, name: str) -> Stream:
    """Place outputs of these confidences, `size` in a group, with keys that no other stream has."""
    groups = np.arange(len(confidence)) // size
    sends = SPEC.sends
    placed = [
        place(
            Output(f"{name}/{i}", {}, label="a", confidence=float(sure), group=f"{name}/{group}"),
            SPEC,
            sends,
        )
        for i, (sure, group) in enumerate(zip(confidence, groups, strict=True))
    ]
    return Stream(
        lanes=np.array([str(p.lane) for p in placed]),
        triggered=np.array([p.triggered for p in placed], dtype=bool),
        utility=np.array([p.utility or 0.0 for p in placed]),
        groups=groups,
        confidence=confidence,
    )


def _replicate(stream: Stream, errors: Floats, backlog: str, rng: np.random.Generator) -> Result:
    answered = _answered(stream, backlog, rng)
    chosen = np.flatnonzero(answered & (stream.lanes != "rule")).tolist()
    doubt = 1.0 - stream.confidence
    drawn = [
        Drawn(bool(stream.triggered[i]), TIMES[i], str(stream.groups[i]), float(errors[i]), float(doubt[i]))
        for i in chosen
    ]
    begins = {sent: periods([row.received_at for row in drawn if row.triggered is sent]) for sent in (True, False)}
    outputs, known = dict[bool, list[int]](), dict[bool, list[Known]]()
    for sent, edges in begins.items():
        hours = [(edge - START) / timedelta(hours=1) for edge in edges]
        members = np.flatnonzero(stream.triggered == sent)
        period = np.searchsorted(hours, members, "right")
        outputs[sent] = np.bincount(period, minlength=len(edges) + 1).tolist()
        sums = np.bincount(period, doubt[members], minlength=len(edges) + 1)
        known[sent] = [Known(n, float(s / max(n, 1))) for n, s in zip(outputs[sent], sums, strict=True)]
    weights = np.where(stream.lanes == "audit", 1.0 / SPEC.audit, 1.0) * answered
    return Result(
        float(errors.mean()),
        estimate(drawn, begins, outputs, known),
        estimate(drawn, begins, outputs),
        (float(errors[stream.triggered].mean()), float(errors[~stream.triggered].mean())),
        float(errors[answered].mean()),
        float((weights * errors).sum() / weights.sum()),
    )


def _answered(stream: Stream, backlog: str, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return which outputs are answered. At each step, people answer the first ones of the lane that wait."""
    answered = np.zeros(len(stream.lanes), dtype=bool)
    steps = np.arange(len(stream.lanes)) * STEPS // len(stream.lanes)
    for lane, share in ANSWERED.items():
        members = np.flatnonzero(stream.lanes == lane)
        if backlog == "none":
            answered[members] = True
            continue
        waiting = np.array([], dtype=int)
        for step in range(STEPS):
            now = share
            if backlog == "early":
                now = 1.0 if step < EARLY * STEPS else AFTER * share
            places = int(now * len(members) / STEPS + rng.random())
            waiting = np.concatenate([waiting, members[steps[members] == step]])
            waiting = waiting[np.argsort(-stream.utility[waiting], kind="stable")]
            answered[waiting[:places]] = True
            waiting = waiting[places:]
    return answered


def _cells(names: Sequence[str], results: Sequence[Result]) -> Sequence[str]:
    """Return the row of a table. A replicate without an estimate is left out; their number follows the answers."""
    known = [result for result in results if result.found.overall.value is not None]
    truth = np.array([result.truth for result in known])
    rates = np.array([_bounds(result.found.overall) for result in known])
    low, value, high = rates.T
    of_strata = []
    for position, sent in enumerate((True, False)):
        ends = np.array([_bounds(result.found.strata[sent]) for result in known])
        true = np.array([result.truths[position] for result in known])
        of_strata.append(float(((ends[:, 0] <= true + 1e-9) & (true - 1e-9 <= ends[:, 2])).mean()))
    below, above = high < truth - 1e-9, low > truth + 1e-9
    answers = f"{np.mean([result.found.overall.answers for result in known]):.0f}"
    left_out = len(results) - len(known)
    return (
        *names,
        f"{100 * truth.mean():.1f}",
        answers + (f" ({left_out} without)" if left_out else ""),
        *(f"{100 * share:.1f}" for share in (1.0 - (below | above).mean(), below.mean(), above.mean())),
        f"{100 * (high - low).mean():.1f}",
        *(f"{share:.2f}" for share in _labels(known)),
        f"{100 * (value - truth).mean():+.2f}",
        *(f"{100 * share:.1f}" for share in of_strata),
        *(
            f"{100 * (np.array([getattr(result, name) for result in known]) - truth).mean():+.1f}"
            for name in ("reviewed", "divided")
        ),
    )


def _labels(results: Sequence[Result]) -> tuple[float, float]:
    """Return the labels that an interval of this width needs, as shares: of those without the confidences, and of those
    of a plain sample. Widths shrink with the root of the labels.
    """
    widths = np.zeros(3)
    for result in results:
        (low, _, high), (low_without, _, high_without) = _bounds(result.found.overall), _bounds(result.without.overall)
        n, rate = result.found.overall, result.truth
        plain = jeffreys(rate, n.answers / max(1.0 - n.answers / n.outputs, 1e-9))
        widths += (high - low, high_without - low_without, plain[1] - plain[0])
    return float((widths[0] / widths[1]) ** 2), float((widths[0] / widths[2]) ** 2)


def _bounds(rate: Rate) -> Sequence[float]:
    return [np.nan if end is None else end for end in (rate.low, rate.value, rate.high)]


if __name__ == "__main__":
    main()
