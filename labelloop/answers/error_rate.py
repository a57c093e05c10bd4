"""Error rate of a model's labels over all outputs, estimated from answers that chance chose. Pure.

Ranking chooses the outputs in which the model is least certain, and only the first of them are answered while the rest
wait. So the reviewed outputs have more errors than the others. In the lanes holdout, audit and control, a hash of the
key or of the group draws the output, and another hash gives its place in the queue. Their answers are a random sample
of each stratum. There are two strata: the outputs that the trigger sends, and those that it does not.

- Each stratum counts with its number of outputs (post-stratification, Holt and Smith 1979, doi:10.2307/2344652). It is
  divided into periods of arrival in the same way, because people answer nearly all outputs of some weeks, and few of
  others; not where they answered evenly (answers/evenness.py).
- The interval of a stratum is Jeffreys' (Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286) at the effective
  number of answers (Korn and Graubard 1998, Survey Methodology 24, 193-201). Answers of one group are alike, which is
  measured by their intraclass correlation (Ridout, Demetrio and Firth 1999, doi:10.1111/j.0006-341X.1999.00137.x).
- The model's own confidence narrows the interval of a stratum (answers/tuned.py).
- The strata are combined by MOVER (Zou and Donner 2008, doi:10.1002/sim.3095).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.answers.evenness import unevenness
from labelloop.answers.tuned import NOT_USED, tune
from labelloop.selection import design_effect

PER_PERIOD = 5
"""Smallest number of answers of a period. Fewer make the estimate vary, more miss that the error rate changes."""
MOST_PERIODS = 10
NEGLIGIBLE = 0.01
"""Share of the outputs up to which a stratum without any answer does not hinder an estimate of all."""
WANTED = 0.05
"""Half the width of the interval for which `missing` counts answers, 0 to 1."""
Z = 1.9599639845400545
"""Value that a standard normal variable exceeds with a probability of 2.5 %."""
UNKNOWN_DOUBT = 0.5
"""The doubt of an output without a confidence. Any constant would do: only differences between outputs are used."""
Floats = npt.NDArray[np.float64]


class Drawn(NamedTuple):
    """An answered output that chance chose: of the lane holdout, audit or control."""

    triggered: bool
    received_at: datetime
    group: str
    loss: float
    """1 if the model's label is incorrect, 0 if it is correct; 1 - the item score for structured answers."""
    doubt: float = UNKNOWN_DOUBT
    """1 - the model's confidence in its label, 0 to 1."""


class Known(NamedTuple):
    """The outputs of a stratum and period whose label and confidence are known."""

    outputs: int
    doubt: float
    """Their mean doubt, 0 to 1; answered outputs are among them."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Error rate of a set of outputs, 0 to 1, with its 95 % interval; None if it cannot be estimated."""

    outputs: int
    """Size of the set."""
    answers: int
    """Number of answers that the rate is estimated from."""
    effective: float
    """Number of independent answers, drawn evenly, that would tell as much; infinite if all outputs are answered."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    slope: float = 0.0
    """How strongly the model's confidence corrects it (answers/tuned.py); 0 for not at all, and for all outputs."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Error rates of all outputs and of both strata; a stratum without outputs is left out."""

    overall: Rate
    strata: Mapping[bool, Rate]
    """By whether the trigger sends the outputs."""


@dataclass(frozen=True, slots=True)
class _Stratum:
    rate: Rate
    residuals: Mapping[str, float]
    """Sum of the weighted residuals of each group."""


def periods(received: Sequence[datetime]) -> list[datetime]:
    """Return the times that divide one stratum's arrivals into periods, given when its answered outputs were received.

    A period begins with its time. Each has as many answers as the others, as far as times differ.
    """
    n = len(received)
    wanted = min(n // PER_PERIOD, MOST_PERIODS)
    ordered = sorted(received)
    begins = {ordered[round(n * i / wanted)] for i in range(1, wanted)}
    return sorted(begins - {ordered[0]} if ordered else begins)


def estimate(
    drawn: Sequence[Drawn],
    begins: Mapping[bool, Sequence[datetime]],
    outputs: Mapping[bool, Sequence[int]],
    known: Mapping[bool, Sequence[Known]] | None = None,
) -> Estimate:
    """Estimate the error rates. `begins` are the `periods` of each stratum, and `outputs` the number of outputs that
    came in each of them, one more than there are times; answered outputs are among these.

    With `known`, in the order of `outputs`, the model's confidences narrow the intervals (answers/tuned.py). The known
    outputs are all, or a part that chance chose.

    The rate of all outputs is None while a stratum of more than NEGLIGIBLE has no answer.
    """
    found = {
        triggered: _stratum(
            [row for row in drawn if row.triggered is triggered],
            begins.get(triggered, ()),
            sizes,
            (known or {}).get(triggered),
        )
        for triggered, sizes in sorted(outputs.items(), reverse=True)
        if sum(sizes)
    }
    return Estimate(_combined(list(found.values())), {triggered: part.rate for triggered, part in found.items()})


def missing(found: Estimate, triggered: bool) -> int:
    """Return about how many more answers of this stratum are needed for an interval of value +- WANTED for all outputs.

    It is 0 if the interval is that narrow, or if other answers are needed. A stratum without any answer is taken to
    have an error rate of one half, the widest case.
    """
    overall, rate = found.overall, found.strata.get(triggered)
    if rate is None or (overall.value is not None and _half_width(overall) <= WANTED):
        return 0
    share = rate.outputs / overall.outputs
    if share <= NEGLIGIBLE:
        return 0
    tells = min(rate.effective, float(rate.outputs))
    middle = ((rate.value or 0.0) * tells + 1.0) / (tells + 2.0)
    needed = len(found.strata) * (Z * share / WANTED) ** 2 * middle * (1.0 - middle)
    design = rate.answers / rate.effective if rate.answers and rate.effective < math.inf else 1.0
    needed *= max(1.0, design)
    needed /= 1.0 + needed / rate.outputs  # a sample of a finite set: Cochran 1977, "Sampling techniques", section 4.4
    return max(0, math.ceil(needed) - rate.answers)


def jeffreys(share: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share seen in `n` independent answers; `n` may be no whole number."""
    if n == math.inf:
        return share, share
    from scipy.special import betaincinv  # 20 MB, which only an estimate needs

    yes = min(max(share * n, 0.0), n)
    low = 0.0 if yes < 1e-9 else float(betaincinv(yes + 0.5, n - yes + 0.5, 0.025))
    high = 1.0 if n - yes < 1e-9 else float(betaincinv(yes + 0.5, n - yes + 0.5, 0.975))
    return min(low, share), max(high, share)


def _half_width(rate: Rate) -> float:
    if rate.value is None or rate.low is None or rate.high is None:
        return 1.0
    return max(rate.value - rate.low, rate.high - rate.value)


def _stratum(
    rows: Sequence[Drawn], begins: Sequence[datetime], sizes: Sequence[int], known: Sequence[Known] | None
) -> _Stratum:
    total = sum(sizes)
    if not rows:
        return _Stratum(Rate(total, 0, 0.0), {})
    period = np.array([bisect_right(begins, row.received_at) for row in rows])
    answers = np.bincount(period, minlength=len(sizes)).astype(np.float64)
    size = np.maximum(np.asarray(sizes, dtype=np.float64), answers)
    # A period in which nothing was answered counts as the answered ones do.
    of_outputs = np.where(answers > 0, size, 0.0) / size[answers > 0].sum()
    uneven = unevenness(answers, size)
    share = uneven * of_outputs + (1.0 - uneven) * answers / len(rows)
    per_answer = np.divide(share, answers, out=np.zeros_like(share), where=answers > 0)
    weights, losses = per_answer[period], np.array([row.loss for row in rows])
    tuned, corrected, seen = NOT_USED, losses, size
    if known is not None:
        doubts = np.array([row.doubt for row in rows])
        tuned = tune(losses, doubts, period, uneven)
        corrected = losses - tuned.slope * (doubts - float(of_outputs @ [one.doubt for one in known]))
        seen = np.clip([float(one.outputs) for one in known], np.minimum(answers, size), size)
    value = min(max(float((weights * corrected).sum()), 0.0), 1.0)
    # Variance of the weighted mean, in units of the variance of one answer: of the known outputs the answered ones are
    # drawn, and of all outputs the known ones.
    inverse = [np.divide(1.0, n, out=np.zeros_like(size), where=answers > 0) for n in (answers, seen, size)]
    spread = float((share**2 * (tuned.ratio * (inverse[0] - inverse[1]) + inverse[1] - inverse[2])).sum())
    groups, group = np.unique([row.group for row in rows], return_inverse=True)
    spread *= design_effect.of_groups(losses, group, corrected - value, weights) * _narrower(losses, value)
    effective = 1.0 / spread if spread > 0 else math.inf
    sums = np.bincount(group, weights * (corrected - value))
    low, high = jeffreys(value, effective)
    rate = Rate(total, len(rows), effective, value, low, high, tuned.slope)
    return _Stratum(rate, dict(zip(groups.tolist(), sums.tolist(), strict=True)))


def _narrower(losses: Floats, value: float) -> float:
    """Return the variance of the losses as a share of value x (1 - value), 0 to 1. It is 1 if each is 0 or 1.

    Two answers of the largest variance are added, so that a few equal losses do not count as certain.
    """
    most = value * (1.0 - value)
    if most <= 0 or bool(((losses == 0) | (losses == 1)).all()):
        return 1.0
    variance = (float(((losses - value) ** 2).sum()) + 2.0 * most) / (len(losses) + 2.0)
    return min(1.0, variance / most)


def _combined(parts: Sequence[_Stratum]) -> Rate:
    total, answers = sum(part.rate.outputs for part in parts), sum(part.rate.answers for part in parts)
    if any(part.rate.value is None and part.rate.outputs > NEGLIGIBLE * total for part in parts) or not answers:
        return Rate(total, answers, 0.0)
    known = [part for part in parts if part.rate.value is not None]
    size = sum(part.rate.outputs for part in known)
    value, below, above = 0.0, list[float](), list[float]()
    for part in known:
        share, (low, middle, high) = part.rate.outputs / size, _bounds(part.rate)
        value += share * middle
        below.append(share * (middle - low))
        above.append(share * (high - middle))
    alike = _correlation(known)
    low, high = max(0.0, value - _together(below, alike)), min(1.0, value + _together(above, alike))
    # The outputs of a stratum without answers are like the others, at best all correct, or at worst all incorrect.
    low, high = low * size / total, (high * size + total - size) / total
    return Rate(total, answers, sum(part.rate.effective for part in known), value, low, high)


def _bounds(rate: Rate) -> tuple[float, float, float]:
    assert rate.low is not None
    assert rate.value is not None
    assert rate.high is not None
    return rate.low, rate.value, rate.high


def _together(widths: Sequence[float], alike: float) -> float:
    """Return the width of a sum of estimates: MOVER, with their correlation if there are two."""
    product = 2.0 * alike * math.prod(widths) if len(widths) == 2 else 0.0
    return math.sqrt(max(0.0, sum(width**2 for width in widths) + product))


def _correlation(parts: Sequence[_Stratum]) -> float:
    """Return the correlation of the strata's estimates, -1 to 1: a held-out group has outputs in both."""
    if len(parts) != 2:
        return 0.0
    one, other = (part.residuals for part in parts)
    both = sum(residual * other[group] for group, residual in one.items() if group in other)
    sizes = math.sqrt(sum(r * r for r in one.values()) * sum(r * r for r in other.values()))
    return min(1.0, max(-1.0, both / sizes)) if sizes > 0 else 0.0
