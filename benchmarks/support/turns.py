"""Turns: two sides measured one after the other, each as often first as second; percentiles and peaks of that."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def in_turn(repeats: int, ours: Callable[[], A], bare: Callable[[], B]) -> tuple[list[A], list[B]]:
    """Return the results of both, measured in turn, so that a machine that grows slow does so for both."""
    own: list[A] = []
    peer: list[B] = []
    for i in range(repeats):
        if i % 2:
            own.append(ours())
        peer.append(bare())
        if not i % 2:
            own.append(ours())
    return own, peer


def ratios(ours: Sequence[float], bare: Sequence[float]) -> list[float]:
    return [own / peer for own, peer in zip(ours, bare, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed: one of them, never a mean of two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def peak_mb(work: Callable[[], object]) -> float:
    """The most memory that Python's and numpy's allocators held for it at one time, in megabytes."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6
