# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits of a subspace to spectra, on which outliers have little influence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from hyperspy_dosekin.numerics.arrays import namespace, on_host
from hyperspy_dosekin.processing.spikes.noise import Noise
from hyperspy_dosekin.processing.spikes.placed import FEW, Placed
from hyperspy_dosekin.processing.spikes.subspace import Subspace

#: Residuals of more standard deviations pull no harder at the coefficients (a Huber estimator).
CLIPPED = 4.0
#: Fits of the coefficients at most, and the change of an expectation, in standard deviations, that
#: ends them.
_FITS, _SETTLED = 8, 0.05
#: Share of the variance that the noise of the components may have, averaged over some channels.
_DOUBTFUL, _AVERAGED = 0.35, 15
#: Standard deviations by which what neighbouring channels take for one exceeds the subspace too.
_SUPPORT = 2.0


@dataclass(frozen=True, eq=False)
class Fit:
    """What is expected of spectra.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    coefficients, expected
        Of the components, shape ``(n_spectra, n_component)``, and what they make, that of the
        spectra.
    """

    spectra: np.ndarray
    coefficients: np.ndarray
    expected: np.ndarray


def fit_spectra(spectra: np.ndarray, placed: Placed) -> Fit:
    """Least squares; parameters as for `robust_fit`."""
    coefficients = placed.coefficients(spectra)
    return Fit(spectra, coefficients, placed.expected(coefficients))


def robust_fit(spectra: np.ndarray, noise: Noise, placed: Placed) -> tuple[Fit, np.ndarray]:
    """Fit on which large residuals have little influence, and the variance of the noise.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    noise
        Of these spectra.
    """
    fit = fit_spectra(spectra, placed)
    variance = noise.variance(fit.expected, placed.scale**2)
    rows = np.arange(len(spectra))
    plain = fit.coefficients.copy()
    for turn in range(_FITS):
        away = spectra[rows] - fit.expected[rows]
        row, channel = np.divmod(
            np.flatnonzero(away * away > CLIPPED**2 * variance[rows]), spectra.shape[-1]
        )
        # Without outliers the fit is what it was at first.
        some = np.unique(row) if turn == 0 else np.arange(rows.size)
        away = away[row, channel]
        bound = CLIPPED * np.sqrt(variance[rows[row], channel])
        beyond = (away - np.clip(away, -bound, bound))[:, np.newaxis]
        pull = np.zeros((rows.size, plain.shape[-1]))
        np.add.at(pull, row, beyond * placed.projection.T[channel])
        rows = rows[some]
        coefficients = plain[rows] - pull[some]
        expected = placed.expected(coefficients)
        change = expected - fit.expected[rows]
        change *= change
        moved = (change > _SETTLED**2 * variance[rows]).any(axis=-1)
        fit.coefficients[rows], fit.expected[rows] = coefficients, expected
        variance[rows] = noise.part(rows).variance(expected, placed.scale**2)
        rows = rows[moved]
        if not rows.size:
            break
    return fit, variance


def doubtful_channels(
    spectra: np.ndarray,
    coefficients: np.ndarray,
    noise: Noise,
    placed: Placed,
    subspace: Subspace,
) -> np.ndarray | None:
    """Channels in which the subspace is too noisy to tell, or ``None`` where there are none.

    Parameters
    ----------
    spectra, coefficients, noise
        Of some spectra.
    placed, subspace
        Of their subspace.
    """
    if subspace.sufficient:
        # It is so in several channels or nowhere: a few of them tell where to look.
        xp = namespace(coefficients)
        few = placed.few.on(xp)
        expected, part = few.expected(coefficients), noise.part(slice(None), FEW)
        known = few.uncertainty(coefficients) > _DOUBTFUL * part.variance(expected, few.scale**2)
        found = xp.flatnonzero(known.any(axis=-1))
        if not len(found):
            return None
        rows, some = on_host(found), on_host(coefficients[found])
        often = np.zeros(spectra.shape, dtype=bool)
        expected = placed.expected(some)
        variance = noise.part(rows).variance(expected, placed.scale**2)
        noisy = placed.uncertainty(some) > _DOUBTFUL * variance
        often[rows] = uniform_filter1d(noisy.astype(np.float32), _AVERAGED, axis=-1) > 0.5
    else:
        often = np.ones(spectra.shape, dtype=bool)
    if (subspace.few or not subspace.sufficient) and often.any():
        # What the subspace explains is no spike, however narrow it is. Of many spectra those
        # that it is too noisy for are unlike the others, and it has nothing to explain.
        expected = placed.expected(coefficients)
        variance = noise.variance(expected, placed.scale**2)
        variance += placed.uncertainty(coefficients)
        residual = spectra - expected
        often &= (residual > 0) & (residual**2 > _SUPPORT**2 * variance)
    return often & placed.covered if often.any() else None
