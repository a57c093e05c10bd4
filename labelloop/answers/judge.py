"""A judge's verdicts against people's: how often it finds what people find, with bounds. Pure.

A judge gives each output one of two verdicts, positive or negative. People's answers are the truth.

- TPR is the share of people's positives that the judge calls positive, TNR the same for negatives. Their intervals and
  one-sided bounds are Jeffreys' (Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286; Cai 2005,
  doi:10.1016/j.jspi.2004.01.005), at the effective number of answers.
- Kappa is Cohen's (1960, doi:10.1177/001316446002000104). Its interval is that of a Dirichlet posterior with Jeffreys'
  prior over the four cells.
- The corrected prevalence is Rogan and Gladen's (1978, doi:10.1093/oxfordjournals.aje.a112510), with the interval of
  Lang and Reiczigel (2014, doi:10.1016/j.prevetmed.2013.09.015).

Strata of outputs were drawn with different probabilities. So each answer has as its weight the number of outputs of its
stratum divided by its answers.

Intervals and bounds are those of one look. The certificate holds over all looks: labelloop/gate/judge_looks.py.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.answers.error_rate import Z
from labelloop.selection import design_effect

RISK = 0.05
"""Largest probability with which a one-sided bound misses the truth."""
DRAWS = 4_000
"""Draws from the posterior of kappa."""
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Compared(NamedTuple):
    """An answer to an output: the judge's verdict and people's; True is positive."""

    stratum: bool
    """Whether the trigger sends it."""
    group: str
    judge: bool
    people: bool | None
    """None if people agree on no label any more."""
    output: Hashable = None
    """The output, whose answers replace each other; None if there is no other answer to it."""


class Outputs(NamedTuple):
    """The judge's outputs of one stratum."""

    n: int
    positive: int
    """Those that the judge calls positive."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share, 0 to 1, estimated from answers. All but the numbers of answers is None without any."""

    answers: int
    effective: float
    """Number of independent answers, drawn evenly, that would tell as much: for the interval and the bound."""
    cautious: float
    """The same, however alike the answers of a group may be: for the certificate. At most `effective`."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    """`low` to `high` is the 95 % interval."""
    bound: float | None = None
    """The share is above it with 95 % confidence, if one looks once."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its 95 % interval; None if it cannot be estimated."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    tpr: Share
    tnr: Share
    base_rate: Share
    """Share of the outputs that people call positive, from the answers alone."""
    agreement: Share
    kappa: Number
    """Agreement beyond that of a judge who gives the same verdicts to outputs at random: 0 is none, 1 is all."""
    apparent: float | None
    """Share of all outputs that the judge calls positive."""
    corrected: Number
    """The share of true positives among all outputs: `apparent`, corrected by TPR and TNR."""


def judged(rows: Sequence[Compared], outputs: Mapping[bool, Outputs], rng: np.random.Generator) -> Judged:
    """Compare a judge with people. `rows` are in the order of the answers. `outputs` are all of the judge's, the
    answered ones among them.
    """
    answers = _Answers.of(rows).standing(len(rows))
    judge, people = answers.judge, answers.people
    weights = answers.weights(outputs)

    def of(right: Flags, among: Flags) -> Share:
        return _share(right[among], weights[among], answers.group[among])

    everything = np.ones(len(people), dtype=bool)
    tpr, tnr = of(judge, people), of(~judge, ~people)
    agreement = of(judge == people, everything)
    total = sum(size.n for size in outputs.values())
    apparent = sum(size.positive for size in outputs.values()) / total if total else None
    return Judged(
        tpr,
        tnr,
        of(people, everything),
        agreement,
        _kappa(judge, people, weights, agreement.effective, rng),
        apparent,
        corrected(apparent, total, tpr, tnr),
    )


def at_looks(rows: Sequence[Compared], outputs: Mapping[bool, Outputs], sizes: Sequence[int]) -> dict[str, list[Share]]:
    """Return the "tpr" and the "tnr" as they were when their class first had each number of answers in `sizes`.

    `rows` are in the order of the answers. Each share is from the answers that stood at that time, so later rows never
    change it: neither new answers nor those that replace earlier ones. All outputs of today weigh them. Sizes that were
    not reached are left out. The last share of each list is that of today's answers.
    """
    answers = _Answers.of(rows)
    found = {}
    for name, truth in (("tpr", True), ("tnr", False)):
        cuts = [*answers.reached(truth, sizes), len(rows)]
        found[name] = [then.share(then.people == truth, outputs) for then in map(answers.standing, cuts)]
    return found


@dataclass(frozen=True, slots=True)
class _Answers:
    """Rows as arrays of shape (n,)."""

    stratum: Flags
    judge: Flags
    people: Flags
    known: Flags
    """Whether people agree on a label; `people` means nothing otherwise."""
    group: npt.NDArray[np.intp]
    output: npt.NDArray[np.intp]

    @classmethod
    def of(cls, rows: Sequence[Compared]) -> _Answers:
        def flags(name: str) -> Flags:
            return np.array([bool(getattr(row, name)) for row in rows], dtype=bool)

        group = np.unique([row.group for row in rows], return_inverse=True)[1] if rows else np.array([], dtype=np.intp)
        numbers: dict[Hashable, int] = {}
        output = [i if row.output is None else numbers.setdefault(row.output, i) for i, row in enumerate(rows)]
        known = np.array([row.people is not None for row in rows], dtype=bool)
        return cls(flags("stratum"), flags("judge"), flags("people"), known, group, np.array(output, dtype=np.intp))

    def standing(self, cut: int) -> _Answers:
        """Return those of the first `cut` answers that no other of them replaced, and on whose label people agree."""
        newest = np.full(len(self.output), -1)
        np.maximum.at(newest, self.output[:cut], np.arange(cut))
        kept = np.sort(newest[newest >= 0])
        kept = kept[self.known[kept]]
        columns = (self.stratum, self.judge, self.people, self.known, self.group, self.output)
        return _Answers(*(column[kept] for column in columns))

    def reached(self, truth: bool, sizes: Sequence[int]) -> list[int]:
        """Return after how many answers the class `truth` first had each number of answers that it ever had."""
        order = np.argsort(self.output, kind="stable")
        again = self.output[order[1:]] == self.output[order[:-1]]
        mine = (self.known & (self.people == truth)).astype(np.intp)
        change = mine.copy()
        change[order[1:][again]] -= mine[order[:-1][again]]
        most = np.maximum.accumulate(np.cumsum(change))
        return [int(np.searchsorted(most, size)) + 1 for size in sizes if len(most) and size <= most[-1]]

    def weights(self, outputs: Mapping[bool, Outputs]) -> Floats:
        """Return how many outputs each answer stands for."""
        found = np.ones(len(self.stratum))
        for stratum, size in outputs.items():
            mine = self.stratum == stratum
            answered = int(mine.sum())
            found[mine] = max(size.n, answered) / max(answered, 1)
        return found

    def share(self, among: Flags, outputs: Mapping[bool, Outputs]) -> Share:
        """Return in which share of these answers, a flag for each, the judge agrees with people."""
        right = self.judge == self.people
        return _share(right[among], self.weights(outputs)[among], self.group[among])


def corrected(apparent: float | None, n: int, tpr: Share, tnr: Share) -> Number:
    """Return the share of true positives among the `n` outputs of which the judge calls `apparent` positive.

    Only the interval is known, 0 to 1, while TPR + TNR may be as small as 1: then the verdicts say nothing.
    """
    if apparent is None or tpr.value is None or tnr.value is None:
        return Number()
    informed = tpr.value + tnr.value - 1.0
    value = min(1.0, max(0.0, (apparent + tnr.value - 1.0) / informed)) if informed > 0 else None
    sens, spec = ((one.effective * (one.value or 0.0) + 1.0) / (one.effective + 2.0) for one in (tpr, tnr))
    of_sens, of_spec = (v * (1.0 - v) / (one.effective + 2.0) for v, one in ((sens, tpr), (spec, tnr)))
    gain = sens + spec - 1.0
    if gain <= Z * math.sqrt(of_sens + of_spec):
        return Number(None, 0.0, 1.0)
    size = n + Z * Z
    said = (n * apparent + Z * Z / 2.0) / size
    middle = (said + spec - 1.0) / gain
    shift = 2.0 * Z * Z * (middle * of_sens - (1.0 - middle) * of_spec)
    variance = (said * (1.0 - said) / size + (1.0 - middle) ** 2 * of_spec + middle**2 * of_sens) / gain**2
    low, high = (min(1.0, max(0.0, middle + shift + side * Z * math.sqrt(variance))) for side in (-1.0, 1.0))
    return Number(value, low if value is None else min(low, value), high if value is None else max(high, value))


def _share(right: Flags, weights: Floats, group: npt.NDArray[np.intp]) -> Share:
    from scipy.special import betaincinv

    n = len(right)
    if not n:
        return Share(0, 0.0, 0.0)
    value = float(weights[right].sum() / weights.sum())
    effective = n / design_effect.of_weights_and_groups(right, value, weights, group)
    cautious = n / design_effect.at_most_of_weights_and_groups(right, value, weights, group)
    yes, no = value * effective + 0.5, (1.0 - value) * effective + 0.5
    low, high, bound = (float(betaincinv(yes, no, at)) for at in (0.025, 0.975, RISK))
    low, bound = (0.0, 0.0) if value <= 0.0 else (low, bound)
    return Share(n, effective, cautious, value, min(low, value), 1.0 if value >= 1.0 else max(high, value), bound)


def _kappa(judge: Flags, people: Flags, weights: Floats, effective: float, rng: np.random.Generator) -> Number:
    if not len(judge):
        return Number()
    cells = np.array([weights[(judge == j) & (people == p)].sum() for j in (True, False) for p in (True, False)])
    cells /= cells.sum()
    drawn = _kappa_of(rng.dirichlet(cells * effective + 0.5, DRAWS))
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    value = float(_kappa_of(cells[None, :])[0])
    return Number(value, min(low, value), max(high, value))


def _kappa_of(cells: Floats) -> Floats:
    """Return kappa of each row of shares: both positive, judge alone, people alone, none; 0 if chance explains all."""
    agreed = cells[:, 0] + cells[:, 3]
    says, is_ = cells[:, 0] + cells[:, 1], cells[:, 0] + cells[:, 2]
    by_chance = says * is_ + (1.0 - says) * (1.0 - is_)
    found: Floats = np.divide(
        agreed - by_chance, 1.0 - by_chance, out=np.zeros_like(agreed), where=by_chance < 1 - 1e-12
    )
    return found
