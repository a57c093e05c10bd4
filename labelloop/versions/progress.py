"""Progress: the learning curve of a loop's versions, continued to answers that nobody has given yet.

Few versions do not say which form the curve has, so two families share the weight equally:

- an inverse power law, accuracy(n) = a - b (n + m)^-c (Figueroa et al. 2012, doi:10.1186/1472-6947-12-8), with
  0 <= a <= 1. The delay m keeps the curve from being too flat at first.
- a logistic curve in log(n) from 0 to a top. With many labels, the first answers bring more and more, and a power law
  that fits them levels off too early.

All curves of a grid are weighted by how well they fit, so that few or noisy versions give a wide interval and not a
wrong one. Models of more answers are rarely worse, so a fall of more than DOWN counts less and less.

The versions are judged by the same held-out answers, so their errors are alike: a lucky hold-out set lifts the whole
curve, and bends it little. The covariances of the answers' item scores say how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.versions.curves import Logistic, PowerLaws

Floats = npt.NDArray[np.float64]
FEWEST_VERSIONS = 4
"""Versions of different training sizes below which no curve is drawn: three always fit."""
SPAN = 2.0
"""How many times as many answers the largest version needs as the smallest."""
FEWEST_HELD_OUT = 30
"""Held-out answers below which a version's accuracy says too little."""
REACH = 3.0
"""The curve is continued to at most this many times the answers of the largest version."""
DOWN = 0.01
"""A fall by this much from the smallest to the largest version has 0.6 of the prior weight of none; twice it, 0.14."""
NOISE = (0.002, 0.005, 0.01, 0.02)
"""Standard deviations of a version's true accuracy about the curve: another order of answers gives another model."""
FORM = 0.15
"""Standard deviation of the log odds at e = 2.7 times the answers, because the true curve has neither of the forms."""
RISE = 1.645
"""Standard errors above 0 from which a rise counts: five in a hundred flat curves look like that."""
FALL = -1.96
DRAWS = 2_000
TIMES: Floats = np.geomspace(1.0, REACH, 45)
"""Multiples of the largest version's answers at which curves are computed."""


@dataclass(frozen=True, slots=True)
class Trend:
    """Measured rise of the accuracy from the smallest to the largest version."""

    smallest: int
    largest: int
    """Training sizes."""
    gain: float
    """Difference of the accuracies by a straight line through them over log(answers)."""
    low: float
    high: float
    """95 % interval of the gain."""
    findable: float
    """A rise this large would be found in 80 % of cases."""

    @property
    def rises(self) -> bool:
        return self.low_one_sided > 0

    @property
    def falls(self) -> bool:
        return self.high < 0

    @property
    def low_one_sided(self) -> float:
        """Return the limit below which the gain lies with a probability of 5 %."""
        return self.gain - RISE * (self.high - self.low) / (2 * -FALL)


@dataclass(frozen=True, slots=True)
class Curve:
    """Curves that fit the versions, from the largest version to REACH times its answers."""

    trend: Trend
    paths: Floats
    """Accuracy at TIMES the answers of the largest version, shape (DRAWS, len(TIMES)), one curve a row."""
    noise: Floats
    """Deviation of a version from its curve, drawn once for each curve, shape (DRAWS,)."""

    def at(self, n: float) -> tuple[float, float, float]:
        """Return the expected accuracy of a version trained on `n` answers, and its 95 % interval.

        Raises ValueError if `n` is below the largest version or beyond REACH.
        """
        times = n / self.trend.largest
        if not TIMES[0] <= times <= TIMES[-1]:
            raise ValueError(f"{n:g} answers are not within 1 to {REACH:g} times {self.trend.largest}")
        place = float(np.interp(np.log(times), np.log(TIMES), np.arange(len(TIMES))))
        before, share = min(int(place), len(TIMES) - 2), place - min(int(place), len(TIMES) - 2)
        curve = (1 - share) * self.paths[:, before] + share * self.paths[:, before + 1]
        low, high = np.quantile(np.clip(curve + self.noise, 0, 1), (0.025, 0.975))
        return float(np.median(np.clip(curve, 0, 1))), float(low), float(high)

    def needed(self, gain: float) -> tuple[float, float, float]:
        """Return the training size at which the curve is `gain` above the largest version, and its 80 % interval.

        `gain` is a share, above 0. It is compared with the same curve, because the luck of the hold-out set lifts or
        lowers a whole curve. A number is infinite if it lies beyond REACH times the largest version, where nothing is
        said.
        """
        above = self.paths - self.paths[:, :1] - gain
        after = (above >= 0).argmax(axis=1)
        row = np.arange(len(after))
        # 0 at the time before the gain is reached, 1 at the time after; the first time never has it.
        low, high = above[row, after - 1], above[row, after]
        share = np.divide(-low, high - low, out=np.zeros_like(low), where=high > low)
        times = TIMES[after - 1] + share * (TIMES[after] - TIMES[after - 1])
        sizes = np.where(after > 0, self.trend.largest * times, np.inf)
        middle, least, most = (float(np.quantile(sizes, q, method="higher")) for q in (0.5, 0.1, 0.9))
        return middle, least, most


def judged_enough(item_scores: Floats) -> npt.NDArray[np.bool_]:
    """Return which versions were judged by at least FEWEST_HELD_OUT answers, shape (versions,).

    `item_scores`: shape (versions, held-out answers), 0 to 1, NaN where a version was not judged by an answer.
    """
    return np.asarray((~np.isnan(item_scores)).sum(axis=1) >= FEWEST_HELD_OUT)


def reason_for_none(sizes: Sequence[int]) -> str | None:
    """Return why versions of these training sizes have no trend, in words; None if they have one."""
    if not len(sizes):
        return f"no version has been judged by {FEWEST_HELD_OUT} held-out answers or more"
    different = len(set(sizes))
    if different < FEWEST_VERSIONS:
        return (
            f"{different} {'version has' if different == 1 else 'versions of different training sizes have'} been "
            f"judged by {FEWEST_HELD_OUT} held-out answers or more, and at least {FEWEST_VERSIONS} are needed"
        )
    if max(sizes) < SPAN * min(sizes):
        return (
            f"the largest version was trained on {max(sizes):,} answers and the smallest on {min(sizes):,}: at least "
            f"{SPAN:g} times as many are needed"
        )
    return None


def trend(sizes: Sequence[int], item_scores: Floats) -> Trend:
    """Return how much the accuracy rose, by generalized least squares. Give it only versions that are
    `judged_enough`, and sizes without a `reason_for_none`."""
    x = np.log(np.array(sizes, dtype=np.float64))
    precision = np.linalg.inv(_covariance(item_scores) + np.eye(len(x)) * NOISE[2] ** 2)
    design = np.stack([np.ones(len(x)), x - x.mean()], axis=1)
    spread = np.linalg.inv(design.T @ precision @ design)
    slope = float((spread @ design.T @ precision @ np.nanmean(item_scores, axis=1))[1])
    span = float(x.max() - x.min())
    gain, error = slope * span, float(np.sqrt(spread[1, 1])) * span
    return Trend(min(sizes), max(sizes), gain, gain + FALL * error, gain - FALL * error, (RISE + 0.84) * error)


def curve(sizes: Sequence[int], item_scores: Floats, rng: np.random.Generator) -> Curve:
    """Return curves that fit the versions, by their posterior weights on a grid.

    The grid is over the accuracy of the largest version and the rise to it, both flat (see DOWN), and over the form and
    the noise. Give it only versions that are `judged_enough`, and sizes without a `reason_for_none`.
    """
    seen = trend(sizes, item_scores)
    x, y = np.array(sizes, dtype=np.float64), np.nanmean(item_scores, axis=1)
    shared = _covariance(item_scores)
    wide = 4 * float(np.sqrt(shared.diagonal().max() + NOISE[-1] ** 2))
    newest = float(y[x.argmax()])
    last = np.linspace(max(0.0, newest - wide), min(1.0, newest + wide), 41)[:, None, None]
    rise = np.linspace(-wide, max(seen.high, 0.0) + wide, 41)[None, :, None]
    families = PowerLaws.of(last, rise, x / x.max()), Logistic.of(last, rise, x / x.max())
    # A fall, or a curve that leaves 0 to 1 between the versions, is unlikely or excluded in both families.
    prior = np.where((last - rise >= 0) & (last - rise <= 1), -0.5 * (np.minimum(rise, 0.0) / DOWN) ** 2, -np.inf)
    logs = []
    for noise in NOISE:
        covariance = shared + np.eye(len(x)) * noise**2
        precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        volume = np.linalg.slogdet(covariance)[1]
        of_each = [prior + one.prior - 0.5 * (one.distance(y, precision) + volume) for one in families]
        logs.append(np.concatenate(of_each, axis=2))
    weights = np.exp(np.stack(logs) - np.max(logs)).ravel()
    chosen = np.searchsorted(np.cumsum(weights), (rng.random() + np.arange(DRAWS)) / DRAWS * weights.sum())
    place = np.unravel_index(chosen.clip(max=len(weights) - 1), (len(NOISE), *logs[0].shape))
    of_noise, of_last, of_rise, of_form = place
    paths = np.empty((DRAWS, len(TIMES)))
    begins = 0
    for one in families:
        forms = one.prior.shape[2]
        mine = (of_form >= begins) & (of_form < begins + forms)
        paths[mine] = one.paths(of_last[mine], of_rise[mine], of_form[mine] - begins, TIMES)
        begins += forms
    paths = _deviating(paths, rng)
    return Curve(seen, paths, np.array(NOISE)[of_noise] * rng.standard_normal(DRAWS))


def _deviating(paths: Floats, rng: np.random.Generator) -> Floats:
    """Return the paths with a random bend each, which grows like an integrated random walk over log(answers)."""
    inside = np.clip(paths, 1e-4, 1 - 1e-4)
    bends = FORM * rng.standard_normal((len(paths), 1)) * np.log(TIMES) ** 1.5
    found: Floats = 1 / (1 + (1 - inside) / inside * np.exp(-bends))
    return np.where((paths > 0) & (paths < 1), found, paths)


def _covariance(item_scores: Floats) -> Floats:
    """Return the covariance of the versions' mean item scores, shape (versions, versions).

    If all answers are correct, or all incorrect, their own variance is 0 and would leave no doubt. Then it is that of a
    share with one more correct and one more incorrect answer.
    """
    known = ~np.isnan(item_scores)
    n = known.sum(axis=1).astype(np.float64)
    mean = np.nanmean(item_scores, axis=1)
    away = np.where(known, item_scores - mean[:, None], 0.0)
    both = known.astype(np.float64) @ known.T.astype(np.float64)
    share = (n * mean + 1) / (n + 2)
    variance = np.maximum(
        (away**2).sum(axis=1) / np.maximum(n - 1, 1), share * (1 - share) * (mean * (1 - mean) < 1e-9)
    )
    cross = away @ away.T / np.maximum(both - 1, 1)
    limit = 0.98 * np.sqrt(np.outer(variance, variance))
    cross = np.clip(cross, -limit, limit)
    np.fill_diagonal(cross, variance)
    found: Floats = cross * both / np.outer(n, n)
    return _positive(found)


def _positive(matrix: Floats) -> Floats:
    """Return the matrix with its negative eigenvalues raised to 0: sets of answers that differ can cause some."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    found: Floats = (vectors * np.maximum(values, 0)) @ vectors.T
    return found
