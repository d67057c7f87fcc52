# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the spectra of a data set have in common, as a few spectra of which all are made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import median_filter

from hyperspy_dosekin.processing.spikes.prediction import fewest_channels
from hyperspy_dosekin.processing.spikes.structure import SIGMA_PER_MEDIAN

#: Variance added to that of counting, in electrons.
SPARE = 0.5
#: Spectra that say enough of each other.
FEWEST = 8
#: Components at most, and spectra that one of them takes at least.
_MOST_COMPONENTS, _SPECTRA_PER_COMPONENT = 20, 2
#: A component is larger than noise makes one by this factor.
_MARGIN = 1.03
#: Channels in which fewer spectra have a say are left out.
_FEWEST_IN_CHANNEL = 5
#: Times that what is not known is replaced by what the components say of it.
_FITS = 4
#: Channels over which the scatter is averaged.
_SMOOTH = 15


@dataclass(frozen=True, eq=False)
class Likeness:
    """Low-rank model of the spectra, on channels that count from the zero-loss peak.

    Parameters
    ----------
    basis
        Components, shape ``(n_component, n_frame)``.
    say
        How much each of the spectra, of which the components are sums, has to say in them, shape
        ``(n_component, n_source)``.
    noise
        Variance of the noise of these spectra, shape ``(n_source, n_frame)``, float32.
    weight
        Inverse standard deviations with which spectra are fitted, zero near the zero-loss peak,
        shape ``(n_frame,)``.
    scatter
        Standard deviation about the model in units of the expected noise, one or more, same shape.
    covered
        First channel of the model and the one behind its last.
    fwhm
        Width of the zero-loss peak in channels.
    """

    basis: np.ndarray
    say: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    scatter: np.ndarray
    covered: tuple[int, int]
    fwhm: float


@dataclass(frozen=True, eq=False)
class KnownLikeness:
    """The model, and where it lies in some spectra.

    Parameters
    ----------
    model
        The model.
    start
        Its channel for the first channel of each spectrum, shape ``(n_spectra,)``.
    """

    model: Likeness
    start: np.ndarray

    def covered(self, n_channels: int) -> tuple[np.ndarray, np.ndarray]:
        """First channel of each spectrum that the model covers and the one behind the last."""
        begin, end = self.model.covered
        return (
            np.clip(begin - self.start, 0, n_channels),
            np.clip(end - self.start, 0, n_channels),
        )


@dataclass(frozen=True, eq=False)
class Placed:
    """The model where it lies in spectra with their zero-loss peak in one channel.

    Parameters
    ----------
    basis
        Shape ``(n_component, n_channels)``.
    projection
        From spectra to coefficients, same shape.
    noise
        Shape ``(n_source, n_channels)``.
    weight, scatter
        Shape ``(n_channels,)``.
    whitened
        Orthonormal components in units of the noise, shape of `basis`.
    leverage
        How much a channel has to say in its own prediction, shape ``(n_channels,)``.
    available
        Channels that the model covers, boolean, same shape.
    single
        Basis, projection and standard deviation of what the model leaves of noise, in single
        precision.
    """

    basis: np.ndarray
    projection: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    scatter: np.ndarray
    whitened: np.ndarray
    leverage: np.ndarray
    available: np.ndarray
    single: tuple[np.ndarray, np.ndarray, np.ndarray]


@lru_cache(maxsize=64)
def place(model: Likeness, start: int, n_channels: int) -> Placed:
    """Put the model where the first channel of a spectrum is the channel `start` of the model."""
    index = start + np.arange(n_channels)
    available = (index >= model.covered[0]) & (index < model.covered[1])
    index = np.clip(index, 0, model.weight.size - 1)
    basis = np.where(available, model.basis[:, index], 0.0)
    weight = np.where(available, model.weight[index], 0.0)
    weighted = basis * weight
    power, vectors = np.linalg.eigh(weighted @ weighted.T)
    inverse = np.where(power > 1e-12 * power[-1:], 1 / np.sqrt(np.maximum(power, 1e-300)), 0.0)
    whitened = (vectors * inverse).T @ weighted
    projection = (vectors * inverse) @ whitened * weight
    leverage = np.minimum((whitened**2).sum(axis=0), 1 - 1e-6)
    return Placed(
        basis,
        projection,
        model.noise[:, index],
        weight,
        model.scatter[index],
        whitened,
        leverage,
        available,
        (
            basis.astype(np.float32),
            projection.astype(np.float32),
            np.sqrt(1 - leverage).astype(np.float32),
        ),
    )


def fit_likeness(
    spectra: np.ndarray,
    variance: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    bad: np.ndarray,
    *,
    reach: float,
) -> Likeness | None:
    """Find the components of which some spectra are made.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    variance
        Of their noise, same shape.
    position, fwhm
        Channel and width of the zero-loss peak, shape ``(n_spectra,)``.
    bad
        What must not have a say, such as spikes; boolean, shape of `spectra`.
    reach
        Channels around the zero-loss peak that are not fitted.

    Returns
    -------
    Likeness or None
        ``None`` if there are too few spectra or channels, or too few for what they differ in.
    """
    number, n_channels = spectra.shape
    typical = float(np.median(variance)) if variance.size else 0.0
    if number < FEWEST or not typical > 0:
        return None
    start = n_channels - np.round(position).astype(np.intp)
    index = start[:, np.newaxis] + np.arange(n_channels)
    inside = (index >= 0) & (index < 2 * n_channels)
    index = np.clip(index, 0, 2 * n_channels - 1)
    known = np.zeros((number, 2 * n_channels), dtype=bool)
    np.put_along_axis(known, index, inside, axis=-1)
    often = np.flatnonzero(known.sum(axis=0) >= _FEWEST_IN_CHANNEL)
    if often.size < fewest_channels():
        return None
    covered = slice(int(often[0]), int(often[-1]) + 1)
    known[:] = False
    np.put_along_axis(known, index, inside & ~bad, axis=-1)
    values, noise = np.zeros(known.shape), np.zeros(known.shape)
    np.put_along_axis(values, index, spectra, axis=-1)
    # Channels that are said to have no noise at all must not outweigh all others.
    np.put_along_axis(noise, index, np.maximum(variance, 1e-9 * typical), axis=-1)
    known, values, noise = (each[:, covered] for each in (known, values, noise))
    used = np.abs(np.arange(covered.start, covered.stop) - n_channels) > reach
    if used.sum() < fewest_channels():
        return None

    share = np.where(known, values, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    mean = share.sum(axis=0) / count
    spread = np.sqrt(np.maximum((noise * known).sum(axis=0) / count, 1e-9 * typical))
    # Noise of a spectrum in units of that of the mean one.
    here = known[:, used]
    level = (np.where(here, noise[:, used], 0.0) / spread[used] ** 2).sum(axis=-1, keepdims=True)
    level = np.sqrt(level / np.maximum(here.sum(axis=-1, keepdims=True), 1))
    level = np.where(level > 0, level, 1.0)
    total = (share * used).sum(axis=-1, keepdims=True)
    usual = (known * mean * used).sum(axis=-1, keepdims=True)
    # Sums below zero, after a wrong dark subtraction, are no measure of anything.
    expected = np.where(usual * total > 0, total / np.where(usual == 0, 1.0, usual), 1.0) * mean
    for _ in range(_FITS):
        scaled = np.where(known, values, expected) / level
        whitened = scaled[:, used] / spread[used]
        power, vectors = np.linalg.eigh(whitened @ whitened.T)
        size = np.sqrt(np.maximum(power[::-1], 0.0))
        vectors = vectors[:, ::-1]
        edge = np.sqrt(number) + np.sqrt(used.sum())
        # Where noise is more than was said, most components are noise and tell how much.
        middle = np.sqrt(max(used.sum() - number / 2, 1.0))
        edge *= _MARGIN * max(float(np.median(size)) / middle if number > 20 else 1.0, 1.0)
        significant = int((size > edge).sum())
        if significant > number // _SPECTRA_PER_COMPONENT:
            return None
        n_component = min(max(significant, 1), _MOST_COMPONENTS)
        vectors = vectors[:, :n_component]
        basis = vectors.T @ scaled
        expected = level * (vectors @ basis)
    residual = np.where(known, values - expected, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = np.abs(residual) / np.sqrt(np.where(known, noise, np.nan))
    residual[:, ~used] = np.nan
    with np.errstate(invalid="ignore"):
        filled = np.where(np.isnan(residual).all(axis=0), 0.0, residual)
        scatter = SIGMA_PER_MEDIAN * np.nanmedian(filled, axis=0)
    scatter /= np.sqrt(1 - n_component / number)
    scatter = np.maximum(median_filter(scatter, _SMOOTH, mode="nearest"), 1.0)
    full = np.zeros((n_component, 2 * n_channels))
    full[:, covered] = basis
    weight = np.zeros(2 * n_channels)
    weight[covered] = np.where(used, 1 / spread, 0.0)
    wide = np.ones(2 * n_channels)
    wide[covered] = scatter
    sources = np.zeros((number, 2 * n_channels), dtype=np.float32)
    # What is not known is made up of what the components say, about as noisy as the rest.
    sources[:, covered] = np.where(known, noise, level**2 * spread**2)
    return Likeness(
        basis=full,
        say=(vectors / level).T,
        noise=sources,
        weight=weight,
        scatter=wide,
        covered=(covered.start, covered.stop),
        fwhm=float(np.nanmedian(fwhm)),
    )
