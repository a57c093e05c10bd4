"""Planted streams of outputs: with and without bursts, days and weeks that differ, and shifts of a known size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.store.questions.drift import BUCKETS, PIECES
from labelloop.versions.bursts import Part

Codes = npt.NDArray[np.intp]
ACTIVE = 10
"""Customers whose outputs are mixed with each other at any time."""
PER_DAY = 200
WEEKEND = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of stream."""

    name: str
    burst: int = 1
    """Outputs of one burst."""
    own_mix: bool = False
    """Whether a burst has its own shares of labels; else all of its outputs have the same label."""
    mixed: bool = False
    """Whether bursts of several customers arrive at the same time."""
    days: bool = False
    """Whether each day has its own shares of labels."""
    weekend: bool = False
    """Whether Saturdays and Sundays have other shares."""


KINDS = (
    Kind("independent"),
    Kind("bursts of 10, one label each", 10),
    Kind("bursts of 50, one label each", 50),
    Kind("customers of 50, own shares", 50, own_mix=True),
    Kind("customers of 50, 10 at a time", 50, own_mix=True, mixed=True),
    Kind("days with own shares", days=True),
    Kind("weekends with own shares", weekend=True),
)


@dataclass(frozen=True, slots=True)
class Stream:
    """Outputs in the order in which they arrive, each array of shape (n,)."""

    labels: Codes
    days: Codes
    """Days since 1970-01-01; the first is a Monday."""
    groups: Codes
    shares: npt.NDArray[np.float64]
    """Shares of the labels over the whole stream, shape (n_labels,)."""

    def part(self, start: int, end: int) -> Part:
        """Return the outputs from `start` up to `end`, counted as labelloop's statement counts them."""
        labels, days = self.labels[start:end], self.days[start:end]
        edges = np.union1d(np.arange(PIECES) * len(labels) // PIECES, np.flatnonzero(np.diff(days, prepend=-1)))
        piece = np.searchsorted(edges, np.arange(len(labels)), side="right") - 1
        by_piece, by_bucket = np.zeros((len(edges), len(self.shares))), np.zeros((BUCKETS, len(self.shares)))
        np.add.at(by_piece, (piece, labels), 1)
        np.add.at(by_bucket, ((self.groups[start:end] * 2654435761 >> 7) % BUCKETS, labels), 1)
        return Part(by_piece, days[edges], by_bucket)


def planted(rng: np.random.Generator, kind: Kind, shares: npt.NDArray[np.float64], n: int) -> Stream:
    """Return a stream without drift."""
    days = 4 + np.arange(n) // PER_DAY
    if kind.mixed:
        customer = rng.integers(0, ACTIVE, n)
        groups = np.empty(n, dtype=np.intp)
        for one in range(ACTIVE):
            mine = np.flatnonzero(customer == one)
            groups[mine] = np.arange(len(mine)) // kind.burst * ACTIVE + one
    else:
        groups = np.arange(n) // kind.burst
    if kind.own_mix:
        labels = _drawn(rng, rng.dirichlet(shares + 1e-9, groups.max() + 1), groups)
    elif kind.days:
        labels = _drawn(rng, rng.dirichlet(10 * shares + 1e-9, days.max() + 1), days)
    elif kind.weekend:
        labels = _drawn(rng, rng.dirichlet(10 * shares + 1e-9, 2), ((days - 4) % 7 >= WEEKEND).astype(np.intp))
    else:
        labels = rng.choice(len(shares), groups.max() + 1, p=shares)[groups]
    return Stream(labels, days, groups, shares)


def moved(rng: np.random.Generator, stream: Stream, kind: Kind, start: int, index: float) -> Stream:
    """Return the stream with a shift by this population stability index from output `start` on.

    Whole bursts change their label where a burst has one label.
    """
    towards = _shares_at(rng, stream.shares, index)
    lost, gained = np.maximum(stream.shares - towards, 0), np.maximum(towards - stream.shares, 0)
    unit = np.arange(len(stream.labels)) if kind.burst == 1 else stream.groups
    drawn = rng.random(unit.max() + 1)[unit]
    onto = rng.choice(len(towards), unit.max() + 1, p=gained / gained.sum())[unit]
    moves = (drawn < (lost / stream.shares)[stream.labels]) & (np.arange(len(stream.labels)) >= start)
    return Stream(np.where(moves, onto, stream.labels), stream.days, stream.groups, stream.shares)


def shares_of(rng: np.random.Generator, n_labels: int) -> npt.NDArray[np.float64]:
    """Return shares of this many labels, none of them nearly zero."""
    drawn: npt.NDArray[np.float64] = 0.95 * rng.dirichlet(np.full(n_labels, 2.0)) + 0.05 / n_labels
    return drawn


def _drawn(rng: np.random.Generator, shares: npt.NDArray[np.float64], row: Codes) -> Codes:
    """Draw a label for each row of `shares`."""
    found = (shares.cumsum(axis=1)[row] < rng.random(len(row))[:, None]).sum(axis=1)
    labels: Codes = np.minimum(found, shares.shape[1] - 1)
    return labels


def _shares_at(rng: np.random.Generator, shares: npt.NDArray[np.float64], index: float) -> npt.NDArray[np.float64]:
    """Return shares that differ from `shares` by this index, in a random direction."""
    while True:
        other = 0.98 * rng.dirichlet(np.ones(len(shares))) + 0.02 / len(shares)
        ways = np.linspace(0, 1, 2_001)[:, None] * (other - shares) + shares
        indexes = ((ways - shares) * np.log(ways / shares)).sum(axis=1)
        if indexes[-1] >= index:
            found: npt.NDArray[np.float64] = ways[np.searchsorted(indexes, index)]
            return found
