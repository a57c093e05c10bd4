"""Drift: false alarms and power of both tests, on planted streams and on real labels put in bursts.

`python -m benchmarks.promises.drift [--quick] [--data FOLDER] [--only PART]`. The folder (or LABELLOOP_DATA) holds
SET.csv with a column label; sets that are not there are skipped. `--only statement` starts a Postgres and times the
statement that counts a million outputs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import pandas
import psycopg
from scipy.stats import chi2_contingency, fisher_exact

from benchmarks.support.rooms import servers
from benchmarks.support.streams import KINDS, Kind, Stream, moved, planted, shares_of
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.questions import drift as drift_store
from labelloop.versions.drift import shift, words
from labelloop.versions.falls import CHANCE_OF_A_LOOP, Scored, chance_of, fall

SEED = 20
SETS = ("sms_spam", "snips7", "banking77")
LEVEL = 0.25
BEFORE, RECENT, LABELS = 2_000, 5_000, (2, 7, 77)
"""Outputs before (ten days) and after the champion was judged; labels of the planted streams."""
CHECKS = np.unique(np.geomspace(200, RECENT, 50).astype(int))
INDEXES = (0.25, 0.5, 1.0)
HELD_OUT = (20, 60, 200, 1_000)
EVERY = 15
"""Answers between two looks at the accuracy."""
INPUTS_HEAD = (
    "labels", "stream", "false alarms", "the same, each output independent", "0.25 after 1,000", "0.25 after 5,000",
    "0.5 after 1,000", "0.5 after 5,000", "1.0 after 1,000", "1.0 after 5,000",
)  # fmt: skip
FALLS_HEAD = (
    "held-out answers", "answers of a request", "false alarms", "the same, best of 10", "90 to 80 % within 150",
    "within 300", "within 600", "one Fisher test at 150",
)  # fmt: skip


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=os.environ.get("LABELLOOP_DATA"))
@click.option("--quick", is_flag=True, help="Few streams: whether it runs, not what it finds.")
@click.option("--only", type=click.Choice(["inputs", "falls", "statement"]), help="One part; default: the first two.")
@click.option("--streams", type=click.IntRange(1), default=60, show_default=True, help="Streams of each kind.")
def main(data: Path | None, quick: bool, only: str | None, streams: int) -> None:
    """Print the figures of docs/engineers/retrain.md."""
    if only in (None, "inputs"):
        streams = 4 if quick else streams
        click.echo(
            f"Labels of incoming outputs, level {LEVEL:g}, {len(CHECKS)} checks; {streams} streams, seed {SEED}\n"
        )
        _head(INPUTS_HEAD)
        for name, shares in shares_of_sets(data):
            for kind in KINDS if isinstance(shares, int) else KINDS[1:3]:
                click.echo(inputs_row(name, shares, kind, streams))
    if only in (None, "falls"):
        falls_tables(10 if quick else 80)
    if only == "statement":
        statement(20_000 if quick else 1_000_000)


def _head(names: Sequence[str]) -> None:
    click.echo("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")


def shares_of_sets(data: Path | None) -> Iterator[tuple[str, npt.NDArray[np.float64] | int]]:
    """Yield the numbers of labels of planted streams, and the shares of labels of the real sets."""
    for n in LABELS:
        yield str(n), n
    for name in SETS:
        if data is not None and (file := data / f"{name}.csv").exists():
            yield name, pandas.read_csv(file)["label"].value_counts(normalize=True).to_numpy()


def inputs_row(name: str, shares: npt.NDArray[np.float64] | int, kind: Kind, streams: int) -> str:
    """Measure one kind of stream: alarms without drift, and shifts of each size that were found."""
    rng = np.random.default_rng(SEED)
    false, naive, found = 0, 0, np.zeros((len(INDEXES), 2))
    for _ in range(streams):
        stream = planted(rng, kind, shares_of(rng, shares) if isinstance(shares, int) else shares, BEFORE + RECENT)
        false += any(alarm(stream, end) for end in CHECKS)
        naive += any(alarm_if_independent(stream, end) for end in CHECKS[::5])
        for row, index in enumerate(INDEXES):
            drifted = moved(rng, stream, kind, BEFORE, index)
            found[row] += [alarm(drifted, end) for end in (1_000, RECENT)]
    rates = [false / streams, naive / streams, *(found / streams).ravel()]
    return f"| {name} | {kind.name} | " + " | ".join(f"{100 * rate:.0f} %" for rate in rates) + " |"


def alarm(stream: Stream, end: int) -> bool:
    """Whether labelloop asks for a run when `end` outputs have come since the champion was judged."""
    cells = [str(label) for label in range(len(stream.shares))]
    moved_by = shift(cells, stream.part(0, BEFORE), stream.part(BEFORE, BEFORE + end))
    return words("the labels", moved_by, LEVEL) is not None


def alarm_if_independent(stream: Stream, end: int) -> bool:
    """The same with the chi-squared test of Pearson at 1e-4 and without design effects."""
    counts = np.array([stream.part(0, BEFORE).cells, stream.part(BEFORE, BEFORE + end).cells])
    rare = counts.sum(0) * counts.sum(1).min() / counts.sum() < 5
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(1)])
    counts = counts[:, counts.sum(0) > 0]
    shares = (counts + 0.5) / (counts + 0.5).sum(1, keepdims=True)
    index = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    return index >= LEVEL and bool(chi2_contingency(counts).pvalue <= 1e-4)


def falls_tables(streams: int) -> None:
    """Print false alarms and power of the test of falls, and both over a loop's life."""
    rng = np.random.default_rng(SEED)
    click.echo(f"\nFalls of accuracy, 600 answers; {streams} champions of {CHANCE_OF_A_LOOP:.0%} each, seed {SEED}\n")
    _head(FALLS_HEAD)
    for n in HELD_OUT:
        for request in (1, 5) if n == 200 else (1,):
            cells = [
                _alarms(rng, streams, n, 0.9, request=request)[-1],
                _alarms(rng, streams, n, 0.9, request=request, best_of=10)[-1],
                *_alarms(rng, streams, n, 0.8, request=request)[[150, 300, 600]],
                np.mean([_fisher(rng, n) for _ in range(streams)]) if request == 1 else np.nan,
            ]
            click.echo(f"| {n} | {request} | " + " | ".join(f"{100 * rate:.1f} %" for rate in cells) + " |")
    spread = [_alarms(rng, streams // 2, 200, mean, spread=True)[-1] for mean in (0.9, 0.8)]
    click.echo(
        f"\nItem scores from 0 to 1 (beta), 200 held out: false alarms {spread[0]:.1%}, falls found {spread[1]:.1%}"
    )
    for best_of in (1, 10):
        lives = [_a_life_has_an_alarm(rng, best_of) for _ in range(2 * streams)]
        click.echo(
            f"10 champions, 100 answers each, each best of {best_of}: alarms in {sum(lives)} of {len(lives)} loops"
        )


def _alarms(
    rng: np.random.Generator, streams: int, n: int, accuracy: float, *,
    request: int = 1, best_of: int = 1, spread: bool = False,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return the share of champions with an alarm by each number of answers, shape (601,).

    Their accuracy was 90 % on the `n` answers that they were judged on, and is `accuracy` since then.
    """
    answers = 600
    found = np.zeros(answers + 1)
    for _ in range(streams):
        before = max((_answers(rng, n, 0.9, request, spread) for _ in range(best_of)), key=_total)
        recent = _answers(rng, answers, accuracy, request, spread)
        if at := _first_alarm(before, recent, CHANCE_OF_A_LOOP / best_of):
            found[at:] += 1
    return found / streams


def _first_alarm(before: Sequence[Scored], recent: Sequence[Scored], chance: float) -> int | None:
    looks = range(EVERY, len(recent) + 1, EVERY)
    return next((end for end in looks if fall(before, recent[:end], chance) is not None), None)


def _answers(rng: np.random.Generator, n: int, accuracy: float, request: int, spread: bool) -> list[Scored]:
    """Draw answers; those of one request are all correct or all incorrect."""
    requests = -(-n // request)
    drawn = rng.beta(4 * accuracy, 4 * (1 - accuracy), requests) if spread else rng.random(requests) < accuracy
    name = rng.integers(1 << 60)
    scores = np.repeat(drawn, request)[:n]
    return [Scored("all", float(x), f"{name}/{i // request}" if request > 1 else "") for i, x in enumerate(scores)]


def _total(answers: Sequence[Scored]) -> float:
    return sum(one.item_score for one in answers)


def _fisher(rng: np.random.Generator, n: int) -> bool:
    then, now = int(rng.binomial(n, 0.9)), int(rng.binomial(150, 0.8))
    return bool(fisher_exact([[now, 150 - now], [then, n - then]], alternative="less").pvalue <= CHANCE_OF_A_LOOP)


def _a_life_has_an_alarm(rng: np.random.Generator, best_of: int) -> bool:
    """Whether any of ten champions of the same accuracy has an alarm; each is judged on all answers so far."""
    accuracy = rng.uniform(0.6, 0.95)
    for epoch in range(1, 11):
        judged = [_answers(rng, 60 + 100 * (epoch - 1), accuracy, 1, False) for _ in range(best_of)]
        recent = _answers(rng, 100, accuracy, 1, False)
        if _first_alarm(max(judged, key=_total), recent, chance_of(epoch, best_of)):
            return True
    return False


def statement(n: int) -> None:
    """Time the statement that counts outputs, beside the count by label and confidence alone."""
    with servers(with_label_studio=False) as running:
        with psycopg.connect(running.postgres, autocommit=True) as conn:
            conn.execute("create database drift")
        url = running.postgres.rsplit("/", 1)[0] + "/drift"
        migrate(url)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("insert into loops (name, spec, labels_xml) values ('big', '{}', '')")
            conn.execute(
                """
                insert into outputs (loop, key, body_sha256, group_key, data, label, confidence, model_version, lane,
                    inclusion_probability, holdout, state, received_at)
                select 'big', 'item/' || i, '', 'item/' || i / 5,
                    jsonb_build_object('text', repeat('a word ', 20) || i),
                    'label ' || floor(77 * power(random(), 2)), random(), 'm', 'pass', 0, false, 'passed',
                    timestamptz '2026-09-01' + i * interval '60 days' / %(n)s from generate_series(1, %(n)s) i
                """,
                {"n": n},
            )
            conn.execute("vacuum analyze outputs")
        before, since = datetime(2026, 10, 15, tzinfo=UTC), datetime(2026, 10, 20, tzinfo=UTC)
        times: dict[str, list[float]] = {"by label, confidence and side": [], "labelloop's statement": []}
        with Database(url) as database, database.transaction() as conn:
            for _ in range(5):
                began = time.monotonic()
                conn.execute(
                    "select label, width_bucket(confidence, 0, 1.000001, 10), received_at > %(since)s, count(*)"
                    " from outputs where loop = 'big' and (received_at <= %(before)s or received_at > %(since)s)"
                    " group by 1, 2, 3",
                    {"before": before, "since": since},
                ).fetchall()
                middle = time.monotonic()
                rows = drift_store.arrivals(conn, "big", before, since)
                times["by label, confidence and side"].append(middle - began)
                times["labelloop's statement"].append(time.monotonic() - middle)
        for what, seconds in times.items():
            click.echo(f"{n:,} outputs, {what}: {np.median(seconds):.2f} s (median of {len(seconds)})")
        click.echo(f"{len(rows):,} rows")


if __name__ == "__main__":
    main()
