# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power-law background of many spectra at once, with the error of its extrapolation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from hyperspy_dosekin.numerics.arrays import astype, namespace

#: Fewer channels do not determine two parameters and show whether they fit.
FEWEST_CHANNELS = 4
_STEPS = 30
#: Relative change of the background at which the fit has converged.
_CONVERGED = 1e-7
#: Exponents outside are no energy-loss background; the fit stays inside.
EXPONENTS = (-2.0, 12.0)
#: Channels of a median that a spike does not move, and channels without which nothing is told.
_SMOOTH, _FEWEST_SMOOTH = 7, 12
#: Standard deviations from it that are a spike, and beside one a part of it.
_SPIKE, _PART_OF_SPIKE = 9.0, 4.0
#: One standard deviation over the median deviation from it, and over that of second differences.
_TO_ONE, _BEND_TO_ONE = 1.82, 0.605


@dataclass(frozen=True, eq=False)
class PowerLawFit:
    r"""Backgrounds :math:`B(E) = b\,(E/E_0)^{-r}`; arrays of shape ``(…)``.

    Parameters
    ----------
    reference_ev
        :math:`E_0`, in eV, at which the two parameters are hardly correlated.
    level
        b, the background at :math:`E_0`.
    exponent
        r.
    covariance
        Of (ln b, r), shape ``(…, 3)``: variance of ln b, covariance, variance of r.
    """

    reference_ev: float
    level: np.ndarray
    exponent: np.ndarray
    covariance: np.ndarray

    def at(self, energy_ev: np.ndarray) -> np.ndarray:
        """Background at energies in eV, shape ``(…, n_energy)``; above zero energy only."""
        xp, x = namespace(self.level), self._x(energy_ev)
        return self.level[..., np.newaxis] * xp.exp(-self.exponent[..., np.newaxis] * x)

    def variance(self, energy_ev: np.ndarray) -> np.ndarray:
        """Variance of the background at energies in eV, shape ``(…, n_energy)``."""
        xp, x = namespace(self.level), self._x(energy_ev)
        a, ab, b = (part[..., np.newaxis] for part in xp.moveaxis(self.covariance, -1, 0))
        return self.at(energy_ev) ** 2 * xp.maximum(a - 2 * ab * x + b * x * x, 0.0)

    def area_variance(self, energy_ev: np.ndarray) -> np.ndarray:
        """Variance of the sum of the background over energies in eV, shape ``(…)``.

        The errors of neighbouring channels are fully correlated, so that this is much more than the
        sum of their variances.
        """
        background = self.at(energy_ev)
        total = background.sum(axis=-1)
        moment = (background * self._x(energy_ev)).sum(axis=-1)
        xp = namespace(self.level)
        a, ab, b = xp.moveaxis(self.covariance, -1, 0)
        return xp.maximum(a * total**2 - 2 * ab * total * moment + b * moment**2, 0.0)

    def _x(self, energy_ev: np.ndarray) -> np.ndarray:
        xp = namespace(self.level)
        return xp.log(xp.asarray(energy_ev, dtype=xp.float64) / self.reference_ev)


def fit_power_law(
    window: np.ndarray,
    energy_ev: np.ndarray,
    *,
    gain: npt.ArrayLike = 1.0,
    offset: npt.ArrayLike = 0.0,
    variance: np.ndarray | None = None,
    reference_ev: float | None = None,
) -> PowerLawFit:
    r"""Fit a power law to a window of each spectrum by weighted least squares.

    The start is the straight line through the logarithms, weighted as the refinement: Gauss–Newton
    steps with the weights :math:`1/\sigma^2`. Unless the variance is given, it is that of the
    fitted background, `gain`·B + `offset`, and follows it from step to step, which gives the
    maximum-likelihood estimate for Poisson counts. Weights from the noisy counts themselves would
    put the background about one count too low.

    Parameters
    ----------
    window
        Intensities, shape ``(…, n_channels)``.
    energy_ev
        Their energies, all positive, shape ``(n_channels,)``, or that of `window` where each
        spectrum has its own.
    gain, offset
        Noise variance of an intensity y: `gain` y + `offset`; numbers, or arrays ``(…, 1)``.
    variance
        Noise variance of each intensity instead, shape of `window`.
    reference_ev
        Energy at which the level is given; by default the geometric mean of all energies.

    Returns
    -------
    PowerLawFit
        NaN where the window holds nothing positive or a NaN.

    Raises
    ------
    ValueError
        If there are too few channels or an energy is not positive.

    References
    ----------
    R. F. Egerton, *Electron Energy-Loss Spectroscopy in the Electron Microscope*, chapter 4,
    doi:10.1007/978-1-4419-9583-4.

    Examples
    --------
    >>> energy = np.linspace(400, 450, 51)
    >>> fit = fit_power_law(1e10 * energy**-3, energy)
    >>> print(fit.exponent.round(6), fit.at([500.0]).round(3))
    3.0 [80.]
    """
    xp = namespace(window)
    energy_ev = xp.asarray(energy_ev, dtype=xp.float64)
    if energy_ev.shape[-1] < FEWEST_CHANNELS:
        raise ValueError(
            f"{energy_ev.shape[-1]} channel(s) do not determine a power law; "
            f"widen the fit window to {FEWEST_CHANNELS} channels at least."
        )
    if energy_ev.min() <= 0:
        raise ValueError(
            f"the fit window begins at {energy_ev.min():g} eV, but a power law needs positive "
            "energies; move the window above the zero-loss peak."
        )
    *lead, n_channels = window.shape
    values = astype(window.reshape(-1, n_channels), xp.float64)
    rows = (*lead, 1)
    per_row = [
        xp.broadcast_to(xp.asarray(value, dtype=xp.float64), rows).reshape(-1, 1)
        for value in (gain, offset)
    ]
    known = None
    if variance is not None:
        known = xp.broadcast_to(variance, window.shape).reshape(values.shape)
        known = astype(known, xp.float64)
    reference = reference_ev or float(xp.exp(xp.log(energy_ev).mean()))
    x = xp.log(energy_ev / reference)
    if x.ndim > 1:
        x = x.reshape(-1, n_channels)
    mean = values.mean(axis=-1, keepdims=True)
    usable = (mean[:, 0] > 0) & xp.isfinite(mean[:, 0])
    values = xp.where(usable[:, np.newaxis], values, 1.0)
    mean = xp.where(usable[:, np.newaxis], mean, 1.0)

    def weights(background: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        line = per_row[0][rows] * background + per_row[1][rows]
        spread = line if known is None else known[rows]
        # A channel without noise would outweigh all others.
        return 1.0 / xp.maximum(spread, 1e-12 * mean[rows] ** 2)

    def of(rows: np.ndarray | slice) -> np.ndarray:
        return x if x.ndim == 1 else x[rows]

    # Logarithms of the smallest counts say little; they are lifted so that none is missing.
    start = xp.maximum(values, 0.05 * mean)
    a, r, _ = _solve(weights(start, slice(None)) * start**2, x, xp.log(start))
    r = xp.clip(-r, *EXPONENTS)
    background = xp.exp(a[:, np.newaxis] - r[:, np.newaxis] * x)
    active = xp.flatnonzero(usable)
    covariance = xp.full((len(values), 3), np.nan)
    spanned = float(xp.amax(x) - xp.amin(x))
    for _ in range(_STEPS):
        part = background[active]
        weight = weights(part, active) * part**2
        step, slope, inverse = _solve(weight, of(active), (values[active] - part) / part)
        covariance[active] = inverse
        step = xp.clip(step, -1.0, 1.0)
        slope = xp.clip(slope, -2.0, 2.0)
        a[active] += step
        r[active] = xp.clip(r[active] - slope, *EXPONENTS)
        background[active] = xp.exp(a[active, np.newaxis] - r[active, np.newaxis] * of(active))
        moving = xp.maximum(xp.abs(step), xp.abs(slope) * spanned) > _CONVERGED
        active = active[moving]
        if not len(active):
            break
    level = xp.where(usable, xp.exp(a), np.nan)
    exponent = xp.where(usable, r, np.nan)
    return PowerLawFit(
        reference, level.reshape(lead), exponent.reshape(lead), covariance.reshape(*lead, 3)
    )


def _solve(
    weight: np.ndarray, x: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted straight lines: intercept, slope, and the inverse normal matrix for (a, −slope)."""
    xp = namespace(weight)
    s0 = weight.sum(axis=-1)
    s1 = (weight * x).sum(axis=-1)
    s2 = (weight * x * x).sum(axis=-1)
    weighted = weight * target
    t0 = weighted.sum(axis=-1)
    t1 = (weighted * x).sum(axis=-1)
    determinant = s0 * s2 - s1 * s1
    determinant = xp.where(determinant > 0, determinant, np.inf)
    intercept = (s2 * t0 - s1 * t1) / determinant
    slope = (s0 * t1 - s1 * t0) / determinant
    inverse = xp.stack([s2, s1, s0], axis=-1) / determinant[:, np.newaxis]
    return intercept, slope, inverse


def spikes_in_background(values: np.ndarray) -> np.ndarray:
    """Channels of a fit window that are far from those beside them, such as spikes.

    A background is smooth: each channel is compared with the median of seven. Of
    few channels, or of so few counts that the median of some is zero, nothing is told.

    Parameters
    ----------
    values
        Intensities, shape ``(n_spectra, n_channels)``.

    Returns
    -------
    numpy.ndarray
        Boolean, shape of `values`.

    Examples
    --------
    >>> window = 1e4 - 20.0 * np.arange(40) + 90 * (-1.0) ** np.arange(40)
    >>> window[7] += 5000
    >>> print(np.flatnonzero(spikes_in_background(window[np.newaxis])))
    [7]
    """
    xp = namespace(values)
    if values.shape[-1] < _FEWEST_SMOOTH:
        return xp.zeros_like(values) > 0
    middle = _smooth(values)
    away = xp.abs(values - middle)
    # As much noise as in the middle of the window, by the square root of the intensity.
    known = (middle > 0).all(axis=-1, keepdims=True)
    level = xp.sqrt(xp.where(known, middle, 1.0))
    away /= level
    # Where it falls without noise, most channels are their own median.
    bend = xp.abs(xp.diff(values, 2, axis=-1)) / level[:, 1:-1]
    usual = xp.maximum(_TO_ONE * xp.median(away, axis=-1, keepdims=True),
                       _BEND_TO_ONE * xp.median(bend, axis=-1, keepdims=True))  # fmt: skip
    # What is beside a spike may be a part of it.
    spikes = (away > _SPIKE * usual) & (usual > 0) & known
    beside = xp.zeros_like(spikes)
    beside[:, 1:] |= spikes[:, :-1]
    beside[:, :-1] |= spikes[:, 1:]
    return spikes | (beside & (away > _PART_OF_SPIKE * usual))


def _smooth(values: np.ndarray) -> np.ndarray:
    """Median of the channels around each; what is at an end is repeated beyond."""
    xp, reach, number = namespace(values), _SMOOTH // 2, values.shape[-1]
    if xp is np:
        return median_filter(values, size=(1, _SMOOTH), mode="nearest")
    index = xp.clip(xp.arange(-reach, number + reach), 0, number - 1)
    return xp.median(xp.Tensor.unfold(values[:, index], -1, _SMOOTH, 1), axis=-1)
