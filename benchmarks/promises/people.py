"""Flags of `labelloop people`: how rarely is an honest person flagged, and after how many answers is a bad one?

`python -m benchmarks.promises.people [--runs 20 --bad 10]`. One person of several is planted in a loop.
The goal: of honest people, who are correct in 85 to 98 % of their answers, at most 1 % are ever flagged. The table
shows after how many answers the others are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import click
import numpy as np

from labelloop.answers.trust import flags
from labelloop.answers.trust.said import Said

PEOPLE_SEED = 20_260_501
RUNS, BAD_RUNS = 200, 60
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TEAM_ACCURACY = 0.92
"""Accuracy of the other people of the loop."""
ANCHORED = 0.1
"""How often an honest person keeps an incorrect prelabel without looking, beside honest errors."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop and how its answers can be checked."""

    name: str
    labels: int
    gold: float = 0.0
    """Share of gold among the answers."""
    overlap: int = 1
    holdout: float = 0.2
    shown: float = 0.75
    """Accuracy of the labels that tasks show."""
    answers: int = 500
    """Answers of the planted person."""


@dataclass(frozen=True, slots=True)
class Planted:
    name: str
    accuracy: float = TEAM_ACCURACY
    guesses: float = 0.0
    """Share of answers that are a random label."""
    flips: float = 0.0
    """Share of answers that are replaced by another label."""
    copies: float = 0.0
    """Share of answers that are the shown label."""
    on_holdout: bool = False
    """Whether guesses and flips are on the hold-out set only."""


HONEST = tuple(Planted(f"honest, {100 * a:.0f} %", accuracy=a) for a in (0.85, 0.92, 0.98))
BAD = (
    Planted("random answers", guesses=1.0),
    Planted("flips 30 %", flips=0.3),
    Planted("flips 10 %", flips=0.1),
    Planted("copies the prelabel", copies=1.0),
    Planted("random on the hold-out set only", guesses=1.0, on_holdout=True),
    Planted("flips all of the hold-out set only", flips=1.0, on_holdout=True),
)
LOOPS = (
    Loop("5 labels, 25 % gold", 5, gold=0.25),
    Loop("2 labels, 25 % gold", 2, gold=0.25),
    Loop("5 labels, overlap 2", 5, overlap=2, answers=300),
    Loop("2 labels, overlap 2", 2, overlap=2, answers=300),
    Loop("5 labels, overlap 3", 5, overlap=3, answers=300),
    Loop("2 labels, overlap 3", 2, overlap=3, answers=300),
    Loop("2 labels, overlap 2, 95 % of the shown labels correct", 2, overlap=2, shown=0.95, answers=300),
)


@click.command()
@click.option("--runs", default=RUNS, show_default=True, help="Loops a row of an honest person.")
@click.option("--bad", default=BAD_RUNS, show_default=True, help="Loops a row of another person.")
@click.option("--only", default="", help="Only the loops whose name has this text.")
def main(runs: int, bad: int, only: str) -> None:
    """Print the table of docs/engineers/people.md."""
    click.echo(f"seed {PEOPLE_SEED}, {runs} loops a row of an honest person, {bad} of another\n")
    click.echo("| loop | person | flagged, % | answers until then: median | 95 % | first reason | honest others, % |")
    click.echo("|---|---|---|---|---|---|---|")
    for loop in (loop for loop in LOOPS if only in loop.name):
        for person in (*HONEST, *BAD):
            n = runs if person in HONEST else bad
            click.echo("| " + " | ".join(row(loop, person, n)) + " |")


def row(loop: Loop, person: Planted, runs: int) -> list[str]:
    """Return the cells of one row. The last one: in which share of loops an honest person beside is flagged."""
    plays = [play(loop, person, i) for i in range(runs)]
    ends, reasons = [one.end for one in plays], [one.reason for one in plays if one.reason]
    shown = [_quantile(ends, share) for share in (0.5, 0.95)]
    return [
        loop.name,
        person.name,
        f"{100 * len(reasons) / runs:.1f}",
        *("-" if end is None else str(end) for end in shown),
        max(set(reasons), key=reasons.count) if reasons else "-",
        f"{100 * sum(one.others for one in plays) / runs:.1f}",
    ]


def _quantile(ends: Sequence[int | None], share: float) -> int | None:
    """Return the number of answers within which this share of the people is flagged; None if fewer ever are."""
    ordered = sorted(ends, key=lambda end: (end is None, end))
    return ordered[int(np.ceil(share * len(ordered))) - 1]


class Play(NamedTuple):
    """The end of one loop."""

    end: int | None
    """Answers of the planted person until the flag; None if there is none."""
    reason: str | None
    others: bool
    """Whether somebody else is flagged."""


def play(loop: Loop, person: Planted, seed: int) -> Play:
    """Plant a loop and look at its people."""
    rows = planted(loop, person, np.random.default_rng([PEOPLE_SEED, seed]))
    watched = flags.watch(rows, loop.overlap)
    others = any(one.flags for who, one in watched.items() if who != 0)
    if not watched[0].flags:
        return Play(None, None, others)
    first = watched[0].flags[0]
    return Play(sum(one.at <= first.at for one in rows if one.person == 0), str(first.reason), others)


def planted(loop: Loop, person: Planted, rng: np.random.Generator, team: int = 4) -> list[Said]:
    """Return all answers of a loop whose person 0 is `person`; the others of the team are honest.

    Each output is answered by person 0 and by `overlap` - 1 others at about the same time, in random order. The others
    answer as much among themselves.
    """
    rows: list[Said] = []
    for i in range(2 * loop.answers):
        with_bad = i % 2 == 0
        truth = int(rng.integers(loop.labels))
        shown = truth if rng.random() < loop.shown else int((truth + rng.integers(1, loop.labels)) % loop.labels)
        gold, holdout = bool(rng.random() < loop.gold), bool(rng.random() < loop.holdout)
        others = list(rng.permutation(np.arange(1, team)))
        who = [0, *others][: loop.overlap] if with_bad else others[: loop.overlap]
        for place, one in enumerate(rng.permutation(who)):
            label = _label(person if one == 0 else Planted("honest"), truth, shown, holdout and not gold, loop, rng)
            seconds = float(np.exp(1.5 + 0.6 * rng.standard_normal()))
            rows.append(
                Said(
                    person=int(one),
                    output=i,
                    label=str(label),
                    at=BEGIN + timedelta(minutes=i + place / 10),
                    seconds=seconds,
                    kept=label == shown,
                    shown=str(shown),
                    gold=str(truth) if gold else None,
                    holdout=holdout and not gold,
                    triggered=True,
                )
            )
    return rows


def _label(person: Planted, truth: int, shown: int, holdout: bool, loop: Loop, rng: np.random.Generator) -> int:
    other: Callable[[int], int] = lambda label: int((label + rng.integers(1, loop.labels)) % loop.labels)  # noqa: E731
    label = truth if rng.random() < person.accuracy else other(truth)
    if shown != truth and rng.random() < ANCHORED * (1 - person.accuracy):
        label = shown
    if not person.on_holdout or holdout:
        if rng.random() < person.guesses:
            label = int(rng.integers(loop.labels))
        elif rng.random() < person.flips:
            label = other(label)
    return shown if rng.random() < person.copies else label


if __name__ == "__main__":
    main()
