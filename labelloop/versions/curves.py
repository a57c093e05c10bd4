"""Curves: families of learning curves on a grid, with their distance from measured accuracies. Pure.

A curve is given by the accuracy of the largest version (`last`), the rise to it from the smallest one (`rise`), and a
form. Grids have the shape (n_last, n_rise, n_forms). Training sizes are multiples of the largest version's: `times`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
EXPONENTS = (0.05, 4.0)
"""Exponents of the power laws: from a curve that hardly flattens to one that flattens at once."""
DELAYS = (0.0, 1.0, 4.0)
"""Delays of the power laws, as multiples of the largest version's answers."""
TOPS = (0.7, 0.85, 1.0)
"""Accuracies to which the logistic curves rise."""
SMALLEST = 1e-4
"""Least distance of a logistic curve from 0 and from its top."""


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """Inverse power laws: accuracy = top - excess x power, where the power is 1 at the largest version."""

    top: Floats
    """Accuracy with endless answers, on the grid."""
    excess: Floats
    """Distance from the largest version to `top`, shape (1, n_rise, n_forms); below 0 in a curve that falls."""
    delay: Floats
    exponent: Floats
    """Delay and exponent of each form, shape (n_forms,)."""
    powers: Floats
    """Power of each form at the versions, shape (n_forms, n_versions)."""
    prior: Floats
    """Logarithm of the prior weight on the grid; all forms together weigh 1."""

    @classmethod
    def of(cls, last: Floats, rise: Floats, times: Floats) -> PowerLaws:
        """Return the family. `last` and `rise`: shapes (n_last, 1, 1) and (1, n_rise, 1); `times` of the versions."""
        delay, exponent = (each.ravel() for each in np.meshgrid(DELAYS, np.geomspace(*EXPONENTS, 16), indexing="ij"))
        powers = _powers(times, delay[:, None], exponent[:, None])
        excess = rise / (_powers(times.min(), delay, exponent) - 1)
        top = last + excess
        return cls(top, excess, delay, exponent, powers, np.where(top <= 1, -np.log(len(delay)), -np.inf))

    def distance(self, y: Floats, precision: Floats) -> Floats:
        """Return the squared distance of the accuracies `y` from each curve, on the grid."""
        one = np.ones(len(y))
        yy, y1, oo = y @ precision @ y, y @ precision @ one, one @ precision @ one
        yp, op = self.powers @ precision @ y, self.powers @ precision @ one
        pp = np.einsum("ij,jk,ik->i", self.powers, precision, self.powers)
        top, excess = self.top, self.excess
        # That of y from top - excess x powers, multiplied out.
        found: Floats = yy - 2 * top * y1 + 2 * excess * yp + top**2 * oo - 2 * top * excess * op + excess**2 * pp
        return found

    def paths(self, last: Ints, rise: Ints, form: Ints, times: Floats) -> Floats:
        """Return the curves at these places of the grid, shape (n_places, n_times)."""
        powers = _powers(times, self.delay[form, None], self.exponent[form, None])
        found: Floats = self.top[last, rise, form, None] - self.excess[0, rise, form, None] * powers
        return found


@dataclass(frozen=True, slots=True)
class Logistic:
    """Logistic curves in log(answers), from 0 to one of TOPS: by each doubling the log odds grow alike."""

    odds: Floats
    """Log odds of the largest version as a share of the top, on the grid."""
    slope: Floats
    """Growth of the log odds over log(answers), on the grid."""
    values: Floats
    """Accuracies at the versions, on the grid with a last axis of versions."""
    prior: Floats
    """Logarithm of the prior weight on the grid; all forms together weigh 1."""

    @classmethod
    def of(cls, last: Floats, rise: Floats, times: Floats) -> Logistic:
        """Return the family, as PowerLaws.of."""
        tops = np.array(TOPS)[None, None, :]
        end, begin = (np.clip(each / tops, SMALLEST, 1 - SMALLEST) for each in (last, last - rise))
        odds = np.log(end / (1 - end)) + 0 * rise
        slope = (odds - np.log(begin / (1 - begin))) / -np.log(times.min())
        inside = (last > 0) & (last < tops) & (last - rise > 0) & (last - rise < tops)
        values = _logistic(odds[..., None], slope[..., None], tops[..., None], times)
        return cls(odds, slope, values, np.where(inside, -np.log(len(TOPS)), -np.inf))

    def distance(self, y: Floats, precision: Floats) -> Floats:
        """Return the squared distance of the accuracies `y` from each curve, on the grid."""
        away = y - self.values
        found: Floats = np.einsum("...i,ij,...j->...", away, precision, away, optimize=True)
        return found

    def paths(self, last: Ints, rise: Ints, form: Ints, times: Floats) -> Floats:
        """Return the curves at these places of the grid, shape (n_places, n_times)."""
        place = (last, rise, form)
        return _logistic(self.odds[place][:, None], self.slope[place][:, None], np.array(TOPS)[form, None], times)


def _powers(times: float | Floats, delay: Floats, exponent: Floats) -> Floats:
    """Return the distance to the top as a share of that at the largest version."""
    found: Floats = ((times + delay) / (1 + delay)) ** -exponent
    return found


def _logistic(odds: Floats, slope: Floats, top: Floats, times: Floats) -> Floats:
    found: Floats = top / (1 + np.exp(-(odds + slope * np.log(times))))
    return found
