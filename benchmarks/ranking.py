"""Ranking: utilities of a million rows beside plain numpy and modAL, the best of ten million beside argpartition."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from modAL.uncertainty import classifier_entropy, classifier_margin, classifier_uncertainty

from benchmarks.support.goals import (
    ENTROPY_MODAL,
    LEAST_CONFIDENCE_MODAL,
    LEAST_CONFIDENCE_NUMPY,
    MARGIN_MODAL,
    MARGIN_NUMPY,
    TOP_K,
    WIDE_MARGIN_MODAL,
    WIDE_MARGIN_NUMPY,
    Goal,
    Measured,
)
from benchmarks.support.rooms import Servers
from benchmarks.support.turns import in_turn, peak_mb, ratios
from labelloop import strategies
from labelloop.errors import Failed
from labelloop.strategies import Array

CLASSES, WIDE = 10, 100
K = 100
Measure = Callable[[Array], Array]


class Given:
    """A classifier whose probabilities are its input: what modAL asks for them costs nothing."""

    def predict_proba(self, proba: Array) -> Array:
        return proba


@dataclass(frozen=True, slots=True)
class Peer:
    goal: Goal
    strategy: str
    measure: Measure
    """The same on our scale, as its users would write it."""


def _numpy_margin(proba: Array) -> Array:
    two = np.partition(proba, -2, axis=1)
    return np.asarray(1 - (two[:, -1] - two[:, -2]))


def _modal(measure: Callable[..., Any], scale: Callable[[Any, int], Any] = lambda values, _: values) -> Measure:
    return lambda proba: np.asarray(scale(measure(Given(), proba), proba.shape[1]))


_MODAL_MARGIN = _modal(classifier_margin, lambda values, _: 1 - values)
NARROW_PEERS = (
    Peer(LEAST_CONFIDENCE_NUMPY, "least_confidence", lambda proba: np.asarray(1 - proba.max(axis=1))),
    Peer(LEAST_CONFIDENCE_MODAL, "least_confidence", _modal(classifier_uncertainty)),
    Peer(MARGIN_NUMPY, "margin", _numpy_margin),
    Peer(MARGIN_MODAL, "margin", _MODAL_MARGIN),
    Peer(ENTROPY_MODAL, "entropy", _modal(classifier_entropy, lambda values, k: values / np.log(k))),
)
WIDE_PEERS = (
    Peer(WIDE_MARGIN_NUMPY, "margin", _numpy_margin),
    Peer(WIDE_MARGIN_MODAL, "margin", _MODAL_MARGIN),
)


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    """No server is asked anything."""
    n, many, repeats = (100_000, 1_000_000, 2) if quick else (1_000_000, 10_000_000, 10)
    rng = np.random.default_rng(0)
    return [
        *_utilities(_rows(n, CLASSES, rng), NARROW_PEERS, repeats),
        *_utilities(_rows(n, WIDE, rng), WIDE_PEERS, max(2, repeats // 2)),
        _top_k(rng.random(many), repeats),
    ]


def _rows(n: int, k: int, rng: np.random.Generator) -> Array:
    proba = rng.random((n, k))
    proba **= 4  # some rows are sure
    proba /= proba.sum(axis=1, keepdims=True)
    return proba


def _utilities(proba: Array, peers: tuple[Peer, ...], repeats: int) -> list[Measured]:
    return [_beside(proba, peer, strategies.STRATEGIES[peer.strategy], repeats) for peer in peers]


def _beside(proba: Array, peer: Peer, own: Measure, repeats: int) -> Measured:
    apart = np.abs(own(proba) - peer.measure(proba)).max()
    if not apart <= 1e-12:
        raise Failed(f"{peer.goal.name}: ours is {apart:.2g} from {peer.goal.against}")
    ours, bare = in_turn(repeats, lambda: _seconds(own, proba), lambda: _seconds(peer.measure, proba))
    checked = [_seconds(lambda rows: strategies.utilities(peer.strategy, rows), proba) for _ in range(repeats)]
    ns, mb = 1e9 / len(proba), peak_mb(lambda: own(proba))
    return Measured(
        peer.goal,
        ratios(bare, ours),  # ratios of rates
        f"{median(ours) * ns:.1f} ns a row, {median(checked) * ns:.1f} with the check of every row, beside it "
        f"{median(bare) * ns:.1f}; {mb:.0f} MB at most, {len(proba) * 8 / 1e6:.0f} of them the result",
    )


def _top_k(values: Array, repeats: int) -> Measured:
    def peer(values: Array) -> npt.NDArray[np.intp]:
        return np.argpartition(values, len(values) - K)[-K:]

    if set(strategies.top_k(values, K).tolist()) != set(peer(values).tolist()):
        raise Failed("top k: ours are others than argpartition's")
    ours, bare = in_turn(
        repeats, lambda: _seconds(lambda u: strategies.top_k(u, K), values), lambda: _seconds(peer, values)
    )
    return Measured(
        TOP_K,
        ratios(bare, ours),  # ratios of rates
        f"the {K} best, in order, in {median(ours) * 1e3:.1f} ms, beside it {median(bare) * 1e3:.0f} ms without order",
    )


def _seconds(measure: Callable[[Array], Any], values: Array) -> float:
    """Return seconds of processor time: one thread works here, and other work of the machine must not count."""
    began = time.process_time()
    measure(values)
    return time.process_time() - began
