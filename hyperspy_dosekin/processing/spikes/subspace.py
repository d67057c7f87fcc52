# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subspace that the spectra of a data set span, and the residuals of spectra from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d

from hyperspy_dosekin.processing.spikes.noise import (
    Calibration,
    Noise,
    is_believable,
    local_scale,
)

#: Spectra that say enough of each other.
FEWEST = 8
#: Fewer spectra than these are said to be few.
FEW = 20
#: Components at most, and spectra that one of them takes at least.
_MOST_COMPONENTS, _SPECTRA_PER_COMPONENT = 20, 2
#: A component is larger than the largest singular value of noise, √n + √m (Marchenko and Pastur,
#: doi:10.1070/SM1967v001n04ABEH001994), by this factor.
_MARGIN = 1.03
#: Times that what is not known is replaced by what the components say of it, at most, and the
#: change, in standard deviations, that ends it.
_FITS, _CONVERGED = 4, 0.1
#: Channels that the subspace must have at least.
_FEWEST_CHANNELS = 24
#: Channels in which a component is about as large, wider than those that are left out together.
_NEAR = 31
_TINY, _DIGITS = 1e-100, 1e-13
#: Spectra of a few that hardly have a spike in the same channel, and standard deviations that the
#: third largest of ten, in one of three channels, has by noise.
_SEVERAL, _BY_NOISE = 3, 1.7


@dataclass(frozen=True, eq=False)
class Subspace:
    """Principal components of spectra, on channels that count from the zero-loss peak.

    Parameters
    ----------
    components
        Shape ``(n_component, n_frame)``.
    variance
        Of the noise of the components, same shape.
    weight
        Inverse standard deviations with which spectra are fitted, zero near the zero-loss peak,
        shape ``(n_frame,)``.
    scale
        Standard deviation of the residuals in units of the expected noise, one or more, same shape.
    covered
        First channel of the subspace and the one behind its last.
    fwhm
        Width of the zero-loss peak in channels.
    structure
        By how many standard deviations bands and flanks exceed polynomials, shape ``(n_frame,)``.
    calibration
        Of the noise.
    sufficient
        Whether there are spectra enough for the components that they have.
    believable
        Whether the residuals scatter as the noise is said to.
    few
        Whether it is made of so few spectra that it is noisy for all of them.
    """

    components: np.ndarray
    variance: np.ndarray
    weight: np.ndarray
    scale: np.ndarray
    structure: np.ndarray
    covered: tuple[int, int]
    fwhm: float
    calibration: Calibration
    sufficient: bool
    believable: bool
    few: bool


def structure_of(score: np.ndarray, start: np.ndarray) -> np.ndarray:
    """What several spectra have in a channel or beside it, which a spike in one has not.

    Parameters
    ----------
    score
        Standard deviations by which polynomials are exceeded, shape ``(n_spectra, n_channels)``.
    start
        From `first_channels`.

    Returns
    -------
    numpy.ndarray
        The third largest of them less what noise has, not negative, shape ``(2 * n_channels,)``.
    """
    number, n_channels = score.shape
    framed = np.zeros((number, 2 * n_channels))
    index = start[:, np.newaxis] + np.arange(n_channels)
    row, channel = np.nonzero((index >= 0) & (index < 2 * n_channels))
    framed[row, index[row, channel]] = score[row, channel]
    several = np.sort(framed, axis=0)[-_SEVERAL]
    return np.maximum(maximum_filter1d(several, 3) - _BY_NOISE, 0.0)


def first_channels(position: np.ndarray, n_channels: int) -> np.ndarray:
    """Channel of the subspace with which each spectrum begins: its peak is at `n_channels`."""
    return n_channels - np.round(position).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Framed:
    """Spectra on channels that count from the zero-loss peak, those that enough of them have.

    Parameters
    ----------
    start
        From `first_channels`, shape ``(n_spectra,)``.
    covered
        The channels, of ``2 * n_channels``.
    fitted
        Those of them that are not near the peak, boolean, shape ``(n_covered,)``.
    values
        Intensities, zero where a spectrum does not reach, shape ``(n_spectra, n_covered)``.
    many
        Where counts are not few, boolean, same shape.
    noise
        Of the values.
    """

    start: np.ndarray
    covered: slice
    fitted: np.ndarray
    values: np.ndarray
    many: np.ndarray
    noise: Noise

    @classmethod
    def of(
        cls, spectra: np.ndarray, noise: Noise, start: np.ndarray, many: np.ndarray, reach: float
    ) -> Framed | None:
        """Frame spectra ``(n_spectra, n_channels)``, of which there may be too few: ``None``.

        Parameters
        ----------
        spectra, noise, start, many
            As they are recorded.
        reach
            Channels around the zero-loss peak that are not fitted.
        """
        number, n_channels = spectra.shape
        edges = np.clip([start, start + n_channels], 0, 2 * n_channels)
        change = np.zeros(2 * n_channels + 1)
        np.add.at(change, edges, np.array([[1.0], [-1.0]]))
        often = np.flatnonzero(np.cumsum(change)[:-1] >= max(number / 2, 2))
        if number < FEWEST or often.size < _FEWEST_CHANNELS:
            return None
        covered = slice(int(often[0]), int(often[-1]) + 1)
        fitted = np.abs(np.arange(covered.start, covered.stop) - n_channels) > reach
        if fitted.sum() < _FEWEST_CHANNELS:
            return None
        values, many = (_framed(each, start, covered) for each in (spectra, many))
        offset = noise.offset
        if np.ndim(offset) > 1:
            offset = _framed(offset, start, covered)
        noise = Noise(noise.gain, offset, noise.electron)
        return cls(start, covered, fitted, values, many, noise)


def _framed(values: np.ndarray, start: np.ndarray, covered: slice) -> np.ndarray:
    """Values ``(n_spectra, n_channels)`` in the channels of a frame, zero elsewhere."""
    size = covered.stop - covered.start
    frame = np.zeros((len(values), size), dtype=values.dtype)
    for row, first in enumerate((start - covered.start).tolist()):
        # What lies outside the frame is left out.
        begin, end = (min(max(place, 0), size) for place in (first, first + values.shape[-1]))
        frame[row, begin:end] = values[row, begin - first : end - first]
    return frame


def fit_subspace(
    framed: Framed,
    outlier: np.ndarray,
    *,
    fwhm: float,
    calibration: Calibration,
    guess: np.ndarray | None = None,
) -> tuple[Subspace, np.ndarray]:
    """Find the components of some spectra, and what they say of what is not known.

    Parameters
    ----------
    outlier
        What must not have a say, boolean, shape of the spectra as they were recorded.
    fwhm
        Kept in the result.
    calibration
        Of the noise, as the data have it.
    guess
        What an earlier fit has said, NaN where nothing: it is nearer than the mean.

    Returns
    -------
    subspace : Subspace
        The components.
    said : numpy.ndarray
        Intensities, NaN where they are known, shape of the values.
    """
    values, covered, fitted = framed.values, framed.covered, framed.fitted
    number, n_frame = len(values), 2 * outlier.shape[-1]
    known = _framed(~outlier, framed.start, covered)
    noise = calibration(framed.noise)

    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    # Intensity of each spectrum, compared with the mean one; sums below zero are no measure.
    total = np.where(known & fitted, values, 0.0).sum(axis=-1, keepdims=True)
    usual = np.where(known & fitted, mean, 0.0).sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        brightness = np.where(total * usual > 0, total / usual, 1.0)
    expected = brightness * mean
    # Rows and columns are scaled to their noise (Keenan and Kotula, doi:10.1002/sia.1657).
    variance = noise.variance(expected)
    spread = np.sqrt(variance.mean(axis=0))
    level = np.sqrt((variance / spread**2)[:, fitted].mean(axis=-1, keepdims=True))
    significant, most = 0, number // _SPECTRA_PER_COMPONENT
    scaled = np.where(known, values, expected) / level
    weight = np.where(fitted, 1 / spread, 0.0)
    row, channel = np.nonzero(~known)
    unknown = scaled[row, channel]
    if guess is not None and number >= FEW:
        earlier = guess[row, channel] / level[row, 0]
        unknown = np.where(np.isnan(earlier), unknown, earlier)
    vectors = np.empty((0, 0))
    # Where all is known, nothing changes; elsewhere only the channels that are not known.
    gaps = np.flatnonzero(~known.all(axis=0))
    partly, inside = scaled[:, gaps], np.searchsorted(gaps, channel)
    scaled[:, gaps] = 0.0
    whitened = scaled * weight
    products = whitened @ whitened.T
    for _ in range(_FITS if row.size else 1):
        partly[row, inside] = unknown
        whitened = partly * weight[gaps]
        power, vectors = np.linalg.eigh(products + whitened @ whitened.T)
        size, vectors = np.sqrt(np.maximum(power[::-1], 0.0)), vectors[:, ::-1]
        n_fitted = int(fitted.sum())
        edge = _MARGIN * (np.sqrt(number) + np.sqrt(n_fitted))
        if number > _MOST_COMPONENTS:
            # Most components are noise, and tell if it is more than expected.
            middle = np.sqrt(max(n_fitted - number / 2, 1.0))
            edge *= max(float(np.median(size)) / middle, 1.0)
        significant = int((size > edge).sum())
        n_component = min(max(significant, 1), _MOST_COMPONENTS, most)
        vectors = vectors[:, :n_component]
        before = unknown
        unknown = (vectors[row] * (vectors.T @ partly)[:, inside].T).sum(axis=-1)
        if (np.abs(unknown - before) < _CONVERGED * spread[channel]).all():
            break
    # What the components are made of is what was last said of them.
    scaled[:, gaps] = partly
    components = vectors.T @ scaled
    expected = level * (vectors @ components)
    variance = noise.variance(expected)
    score = (values - expected) / np.sqrt(variance) / np.sqrt(1 - n_component / number)
    tells = known & fitted & framed.many
    scale = local_scale(score, tells)
    believable = is_believable(scale[fitted])
    if calibration != Calibration():
        # Polynomials follow less than components do, so that the estimate was too large.
        common = float(np.median(scale[fitted]))
        if common > 0:
            scale = scale / common
            calibration = replace(calibration, factor=calibration.factor * common**2)
    scale = np.maximum(scale, 1.0)
    # Of what is not known the components say about as much as of the rest.
    source = np.where(known, variance, level**2 * spread**2) / level**2
    uncertainty = vectors.T**2 @ source
    if number < FEW and gaps.size:
        near = maximum_filter1d(np.abs(components), _NEAR, axis=-1)
        components[:, gaps], uncertainty[:, gaps] = _without(
            vectors, *(each[:, gaps] for each in (scaled, source, known, near))
        )

    def whole(values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        frame = np.full((*values.shape[:-1], n_frame), fill)
        frame[..., covered] = values
        return frame

    subspace = Subspace(
        components=whole(components),
        variance=whole(uncertainty * scale**2),
        weight=whole(weight),
        scale=whole(scale, 1.0),
        structure=np.zeros(n_frame),
        covered=(covered.start, covered.stop),
        fwhm=fwhm,
        calibration=calibration,
        sufficient=significant <= most,
        believable=believable,
        few=number < FEW,
    )
    return subspace, np.where(known, np.nan, expected)


def _without(
    vectors: np.ndarray,
    scaled: np.ndarray,
    source: np.ndarray,
    known: np.ndarray,
    near: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Components by the known values alone, and their variance, in some channels.

    What replaces an unknown value in a few steps is still near the first guess where a spectrum has
    a component nearly for itself. That value would be an outlier for ever.

    Parameters
    ----------
    vectors
        Coefficients, orthonormal, shape ``(n_spectra, n_component)``.
    scaled, source, known
        Values, their variance, and which are known, shape ``(n_spectra, n_channels)``.
    near
        Largest magnitude of the components near each channel, ``(n_component, n_channels)``.
    """
    products = vectors[:, :, np.newaxis] * vectors[:, np.newaxis]
    weight = np.where(known, 1 / source, 0.0)
    precision = np.einsum("sc,skl->ckl", weight, products)
    # What nothing is known of may be as large as the component is near there.
    each = np.arange(vectors.shape[1])
    # Without noise what is known may leave a component open to the last digit.
    exact = _DIGITS * np.trace(precision, axis1=1, axis2=2)[:, np.newaxis]
    precision[:, each, each] += (1 / np.maximum(near, _TINY) ** 2).T + exact
    covariance = np.linalg.inv(precision)
    said = np.einsum("sk,sc->ck", vectors, weight * scaled)
    return np.einsum("ckl,cl->kc", covariance, said), covariance[:, each, each].T
