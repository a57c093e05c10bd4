"""Slices: parts of the hold-out set with a fact in common, each judged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.gate.joint import joint, tango
from labelloop.gate.paired import Floats, Gain
from labelloop.gate.parts import Fact, parts, words
from labelloop.gate.power import detectable_loss

__all__ = ["ALPHA", "MIN_SLICE", "Fact", "Slice", "cut", "is_watched", "sentences", "worst"]

ALPHA = 0.05
"""Significance level of all slices of a verdict together. It is independent of the gate's own alpha: a bold promotion
policy must not hide losses.
"""
MIN_SLICE = 10
"""Smallest number of items of a slice that is judged; smaller slices are only shown."""
WATCHED_SHARE = 0.5
"""Share of ALPHA that the watched slices get, if there are other slices too."""
MOST_WATCHED = 5
"""Slices of one watched fact that get a sentence each."""
POOLED = 20.0
"""Items of the whole hold-out set that count beside a slice's own, when its share of cancelling items is estimated."""


@dataclass(frozen=True, slots=True)
class Slice:
    by: str
    value: str
    n: int
    champion: float
    """Accuracy, or mean item score."""
    challenger: float
    gain: Gain
    """Gain with an interval for this slice alone."""
    p_worse: float | None
    """Probability of such a loss by luck alone, adjusted for all slices; None if there are too few items."""
    fell: bool
    """Whether it lost more than the floor allows, and not by luck."""
    watched: bool = False
    """Whether `gate.watch` names it."""
    among: Gain | None = None
    """Gain with an interval that holds for all judged slices at once, so also for the one picked as the worst; None if
    it was not judged.
    """
    detectable: float | None = None
    """The smallest loss that would have refused with a probability of 80 %, 0 to 1; None if no loss would, or if it
    was not judged.
    """

    @property
    def name(self) -> str:
        return f"{self.by} {self.value}"

    def __str__(self) -> str:
        return (
            f"{self.name} got worse by {-100 * self.gain.value:.1f} points, from {100 * self.champion:.1f} "
            f"to {100 * self.challenger:.1f} % on {self.n} (p = {self.p_worse:.2g} among all slices)"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "value": self.value,
            "n": self.n,
            "champion": self.champion,
            "challenger": self.challenger,
            "gain": self.gain.value,
            "low": self.gain.low,
            "high": self.gain.high,
            "fell": self.fell,
            "watched": self.watched,
            "p": self.p_worse,
            "joint_low": None if self.among is None else self.among.low,
            "joint_high": None if self.among is None else self.among.high,
            "detectable": self.detectable,
        }


def cut(
    facts: Sequence[Mapping[str, Fact]],
    incumbent: Floats,
    challenger: Floats,
    *,
    floor: float,
    rng: np.random.Generator,
    watch: Sequence[str] = (),
) -> list[Slice]:
    """Return every slice of the items: first those that fell, then the watched ones, then in the order of the facts.

    `incumbent` and `challenger` are the item scores of each, shape (n,), 0 to 1. `watch` names slices as `gate.watch`
    does; together they get WATCHED_SHARE of ALPHA.
    """
    places = parts(facts, watch)
    watched = [is_watched(by, value, watch) for by, value, _ in places]
    differences = challenger - incumbent
    judged = [i for i, (_, _, items) in enumerate(places) if len(items) >= MIN_SLICE]
    members = np.zeros((len(judged), len(facts)), dtype=bool)
    for row, i in enumerate(judged):
        members[row, places[i][2]] = True
    results = dict(zip(judged, _judge(differences, members, [watched[i] for i in judged], floor, rng), strict=True))
    slices = []
    for i, (by, value, items) in enumerate(places):
        gain, (p_worse, among, detectable) = Gain.of(differences[items], rng), results.get(i, (None, None, None))
        fell = p_worse is not None and p_worse <= ALPHA and gain.value < -floor
        means = float(incumbent[items].mean()), float(challenger[items].mean())
        slices.append(Slice(by, value, len(items), *means, gain, p_worse, fell, watched[i], among, detectable))
    return sorted(slices, key=lambda s: (not s.fell, not s.watched))


def is_watched(by: str, value: str, watch: Sequence[str]) -> bool:
    """Return whether an entry of `gate.watch` names this slice: by its fact, or by its fact and value."""
    return by in watch or f"{by}={value}" in watch


def worst(slices: Sequence[Slice]) -> Slice | None:
    """Return the judged slice with the most evidence of a loss; None if none was judged."""
    judged = [(one.p_worse, one.gain.value, i) for i, one in enumerate(slices) if one.p_worse is not None]
    return slices[min(judged)[2]] if judged else None


def sentences(
    slices: Sequence[Slice], floor: float, watch: Sequence[str], facts: Sequence[Mapping[str, Fact]] = ()
) -> list[str]:
    """Return what a verdict says about its slices, beside those that fell: the worst one, what could have been seen,
    and the watched ones.

    `facts` of the items tell why a watched fact has no slice.
    """
    judged, named = [one for one in slices if one.p_worse is not None], worst(slices)
    found = []
    if named is not None:
        refused = sum(one.fell for one in judged)
        beyond = f" by more than {100 * floor:g} points and" if floor else ""
        counted = f"{refused or 'none'} of {len(judged)} slices got worse{beyond} beyond chance"
        found += [f"worst slice: {_gain(named)}", f"{counted}; {_seeable(judged)}"]
    elif slices:
        found += [f"no slice has {MIN_SLICE} held-out answers, so no slice was judged"]
    for entry in watch:
        found += _watched(entry, [one for one in slices if is_watched(one.by, one.value, (entry,))], facts)
    return found


def _gain(one: Slice) -> str:
    if one.among is None:
        return f"{one.name} {100 * one.gain.value:+.1f} points on {one.n}"
    ends = f"95 % CI {100 * one.among.low:+.1f} to {100 * one.among.high:+.1f}"
    return f"{one.name}, {100 * one.gain.value:+.1f} points ({ends}, for all slices at once) on {one.n} answers"


def _seeable(judged: Sequence[Slice]) -> str:
    """Return the losses that the largest and the smallest slice would have shown."""
    sizes = [one for one in judged if not one.watched] or judged
    most, least = max(sizes, key=lambda s: s.n), min(sizes, key=lambda s: s.n)
    large = f"{_shown(most)} would have been seen in four of five cases in the largest ({most.name}, {most.n} answers)"
    if most is least or most.detectable is None:
        return large
    return f"{large}, and {_shown(least)} in the smallest ({least.name}, {least.n})"


def _shown(one: Slice) -> str:
    return "no loss" if one.detectable is None else f"a loss of {100 * one.detectable:.0f} points"


def _watched(entry: str, found: Sequence[Slice], facts: Sequence[Mapping[str, Fact]]) -> list[str]:
    """Return the sentences of one entry of `gate.watch`."""
    if not found:
        return [f"watched slice {entry}: {_why_none(entry, facts)}"]
    said = []
    for one in found[:MOST_WATCHED]:
        if one.among is None:
            said.append(f"watched slice {one.name}: {one.n} held-out answers, it is judged from {MIN_SLICE}")
        else:
            said.append(f"watched slice {_gain(one)}; {_shown(one)} would have been seen in four of five cases")
    more = len(found) - MOST_WATCHED
    return said + ([f"{more} more slices by {entry} are watched"] if more > 0 else [])


def _why_none(entry: str, facts: Sequence[Mapping[str, Fact]]) -> str:
    """Return why an entry of `gate.watch` has no slice."""
    have = [found for item in facts if (found := set(words(item.get(entry))))]
    values = len(set().union(*have))
    if not values:
        return "no held-out answer belongs to it, so it was not judged"
    if values == 1:
        all_items = "all held-out answers" if len(have) == len(facts) else "all held-out answers with a value"
        return f"{all_items} have the same {entry}, so no slice was judged"
    return f"its {values} values are too many for slices, so no slice was judged; {entry}=VALUE watches one"


def _judge(
    differences: Floats, members: npt.NDArray[np.bool_], watched: Sequence[bool], floor: float, rng: np.random.Generator
) -> list[tuple[float, Gain, float | None]]:
    """Return for each slice its adjusted p-value, its gain with the joint interval, and its detectable loss."""
    if not len(members):
        return []
    shares = _shares(np.array(watched))
    found = joint(differences, members, shares, ALPHA, rng)
    n = members.sum(axis=1).astype(np.float64)
    better, worse = (members.astype(np.float64) @ np.maximum(side * differences, 0.0) for side in (1.0, -1.0))
    low, high = tango(n, better, worse, found.z)
    overall = np.abs(differences).mean()
    # What the slice lost is no part of the noise, and its own few answers tell little about the noise.
    cancelling = (2 * np.minimum(better, worse) + POOLED * overall) / (n + POOLED)
    # The level that a slice has even if every other one could show a loss (Bonferroni): no promise that luck must keep.
    detectable = [
        detectable_loss(int(items), float(f"{ALPHA * share:.2g}"), round(float(noise), 2), floor)
        for items, share, noise in zip(n, shares, cancelling, strict=True)
    ]
    gains = [Gain(*map(float, ends)) for ends in zip((better - worse) / n, low, high, strict=True)]
    return list(zip(found.p_worse.tolist(), gains, detectable, strict=True))


def _shares(watched: npt.NDArray[np.bool_]) -> Floats:
    """Return each slice's share of ALPHA; the shares sum to 1."""
    n, named = len(watched), int(watched.sum())
    if named in (0, n):
        return np.full(n, 1 / n)
    return np.where(watched, WATCHED_SHARE / named, (1 - WATCHED_SHARE) / (n - named))
