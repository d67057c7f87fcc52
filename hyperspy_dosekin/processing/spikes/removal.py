# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""X-ray spikes: outliers from what other spectra and neighbouring channels predict, replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.ndimage import maximum_filter1d

from hyperspy_dosekin.numerics.arrays import namespace, on_host
from hyperspy_dosekin.numerics.threads import one_blas_thread
from hyperspy_dosekin.processing.spikes.found import THRESHOLD
from hyperspy_dosekin.processing.spikes.noise import Calibration, Noise, calibrate
from hyperspy_dosekin.processing.spikes.polynomials import (
    FEWEST_CHANNELS,
    remove_by_channels,
    scatter,
)
from hyperspy_dosekin.processing.spikes.residuals import index_for, remove_by_subspace, together
from hyperspy_dosekin.processing.spikes.subspace import (
    FEW,
    FEWEST,
    Framed,
    Subspace,
    first_channels,
    fit_subspace,
    structure_of,
)

#: Times that the subspace is fitted, without the spikes that the last one showed.
_ROUNDS = 3
#: Channels, for each spectrum, that are found or no longer, after which one more fit is enough.
_SETTLED = 0.02
#: Part of the usual threshold for spikes that must not enter the subspace.
_EAGER = 0.85
#: What so large a share of the spectra, and so many, have in a channel or the next is no spike.
_COMMON, _FEWEST_COMMON = 0.1, 3
#: Channels on either side of what may be a spike that have no say at first; and of few
#: spectra, where one that differs from the others hardly has a say either way.
_WIDER, _WIDEST = 2, 6
#: Standard deviations by which spikes of few spectra exceed the polynomials too.
_SUPPORT = 1.5
#: The same channel of the camera has to have more by this factor to make up for chance.
_CLEARLY = 0.8


def remove_spikes(
    spectra: np.ndarray,
    *,
    gain: float,
    offset: float | np.ndarray,
    protected: tuple[np.ndarray, np.ndarray] | None = None,
    position: np.ndarray | None = None,
    fwhm: float = np.nan,
    subspace: Subspace | None = None,
    threshold: float = THRESHOLD,
    used: tuple[int, int] | None = None,
    in_place: bool = False,
    with_variance: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    r"""Replace X-ray spikes of one or two channels by what is expected there.

    With `subspace`, a spike is an outlier from the projection of the spectrum on what all spectra
    have in common. A line that no other spectrum has is an outlier too, but the energy resolution
    gives the channels beside their share of it; that share is fitted and subtracted.

    Without, and where the subspace is noisier than the spectrum, a spike exceeds a polynomial
    through the channels beside it. With `fwhm`, a line as wide as that is left there; where it is
    less than two channels, a line may be taken for a spike.

    The scale of the noise is taken from the data: a factor common to the intensities of all spectra
    changes nothing, and neither does a wrong `gain`.

    Parameters
    ----------
    spectra
        Intensities, shape ``(n_spectra, n_channels)``, float64, or float32 for a `subspace` where
        the noise is far above its rounding. A tensor where `remove_by_subspace` takes one.
    gain, offset
        Noise variance of a channel as far as it is known: `gain` times its intensity plus `offset`,
        a number or an array of the shape of the spectra.
    protected
        First and last of the channels that must not be touched, shape ``(n_spectra,)`` each.
    position
        Channel of the zero-loss peak, shape ``(n_spectra,)``; needed with `subspace`.
    fwhm
        Width of the zero-loss peak in channels, or NaN.
    subspace
        From `learn_subspace`.
    threshold
        In standard deviations.
    used
        First channel of the subspace that is of use, and the one behind the last; by default all.
        Beyond both these and what the subspace covers spikes are not looked for.
    in_place
        Whether the spectra may be changed, and be what is returned.
    with_variance
        Whether the noise variance of replaced channels is of use, with a `subspace`.

    Returns
    -------
    cleaned : numpy.ndarray
        Shape ``(n_spectra, n_channels)``.
    touched : numpy.ndarray
        Boolean, same shape.
    variance : numpy.ndarray
        Noise variance of the replaced channels, same shape; zero elsewhere. ``None`` where it is
        of no use.

    Examples
    --------
    >>> spectrum = np.full((1, 64), 100.0)
    >>> spectrum[0, 30] += 80.0
    >>> clean, touched, _ = remove_spikes(spectrum, gain=1.0, offset=0.0)
    >>> print(np.flatnonzero(touched), clean.max().round(6))
    [30] 100.0
    """
    noise = Noise.of(spectra, gain, offset)
    closed = _closed(spectra, protected)
    if subspace is None or position is None:
        spectra = spectra.astype(np.float64, copy=False)
        noise = noise.of_each(*scatter(spectra))
        return remove_by_channels(spectra, noise, closed, threshold, fwhm)
    xp, n_channels = namespace(spectra), spectra.shape[-1]
    start = first_channels(position, n_channels)
    # Of few spectra their noise is asked for again.
    cleaned, touched, replaced, doubtful = remove_by_subspace(
        spectra,
        noise,
        closed,
        subspace,
        start,
        threshold,
        in_place=in_place and not subspace.few,
        with_variance=with_variance,
    )
    noise = subspace.calibration(noise)
    if subspace.few:
        # A band that several spectra have is no spike, however badly polynomials follow it.
        index = np.clip(start[:, np.newaxis] + np.arange(n_channels), 0, 2 * n_channels - 1)
        noise = noise.more(subspace.structure[index], spectra)
    for rows, part, wanted in _other_searches(doubtful, subspace, start, n_channels, used):
        # Slices are copied several times faster than indices are looked up.
        inside = (together(rows), part)
        shut = closed[inside] | touched[inside] | ~wanted
        there = (index_for(xp, inside[0]), part)
        some, more, variance = remove_by_channels(
            on_host(cleaned[there]).astype(np.float64), noise.part(*inside), shut, threshold, fwhm
        )
        cleaned[there] = xp.asarray(some, dtype=cleaned.dtype)
        touched[inside] |= more
        if replaced is not None:
            replaced[inside] += variance
    return cleaned, touched, replaced


def _other_searches(
    doubtful: np.ndarray | None,
    subspace: Subspace,
    start: np.ndarray,
    n_channels: int,
    used: tuple[int, int] | None,
) -> Iterator[tuple[np.ndarray, slice, np.ndarray]]:
    """Rows, channels, and which of these to search, where the subspace does not tell."""
    if doubtful is not None:
        rows = np.flatnonzero(doubtful.any(axis=-1))
        if rows.size:
            yield rows, slice(None), doubtful[rows]
    for each in np.unique(start):
        # At either end with as many channels as a search takes.
        begin, end = (int(np.clip(side - each, 0, n_channels)) for side in subspace.covered)
        first, last = (0, n_channels) if used is None else (side - each for side in used)
        left = slice(0, min(begin + FEWEST_CHANNELS, n_channels))
        right = slice(max(end - FEWEST_CHANNELS, 0), n_channels)
        channel = np.arange(n_channels)
        before, behind = channel < begin, channel >= end
        for part, wanted in (
            (left, before & (channel >= first)),
            (right, behind & (channel < last)),
        ):
            if wanted.any():
                yield np.flatnonzero(start == each), part, wanted[part]


def learn_subspace(
    spectra: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    *,
    gain: float,
    offset: float | np.ndarray,
    protected: tuple[np.ndarray, np.ndarray],
) -> Subspace | None:
    """Find what spectra have in common, without their spikes.

    Parameters
    ----------
    spectra
        Some of the spectra, shape ``(n_spectra, n_channels)``.
    position, fwhm
        Channel and width of the zero-loss peak of each, shape ``(n_spectra,)``.
    gain, offset, protected
        As for `remove_spikes`.

    Returns
    -------
    Subspace or None
        ``None`` if there are fewer than eight spectra or too few channels.
    """
    number, n_channels = spectra.shape
    if number < FEWEST or n_channels < FEWEST_CHANNELS:
        return None
    noise = Noise.of(spectra, gain, offset)
    deviation, expected, tells = scatter(spectra)
    calibration = Calibration()
    closed = _closed(spectra, protected)
    start = first_channels(position, n_channels)
    _, outlier, _ = remove_by_channels(
        spectra, noise.of_each(deviation, expected, tells), closed, _EAGER * THRESHOLD
    )
    # What is a line after all must be seen whole.
    wider = _WIDEST if number < FEW else _WIDER
    outlier = maximum_filter1d(outlier & ~_common(outlier, start), 2 * wider + 1, axis=-1)
    reach = float(np.median(protected[1] - protected[0])) / 2
    framed = Framed.of(spectra, noise, start, tells, reach)
    if framed is None:
        return None
    subspace, said, settled = None, None, False
    for _ in range(_ROUNDS + 1):
        # Matrices so small are slower on several threads.
        with one_blas_thread():
            subspace, said = fit_subspace(
                framed,
                outlier,
                calibration=calibration,
                fwhm=float(np.nanmedian(fwhm)),
                guess=said,
            )
        if settled:
            break
        if calibration == Calibration() and not subspace.believable:
            # Not before: polynomials take structure in coarse channels for noise.
            calibration = calibrate(noise, deviation, expected, tells)
            if calibration != Calibration():
                continue
        # A spectrum resembles a subspace that it is part of, its spikes included.
        _, more, _, _ = remove_by_subspace(
            spectra,
            noise,
            closed,
            subspace,
            start,
            _EAGER * THRESHOLD,
        )
        more &= ~_common(more, start)
        if subspace.few:
            # What is left out of a few says the same of itself ever after.
            score = deviation / np.sqrt(subspace.calibration(noise).variance(expected))
            more &= score > _SUPPORT
        changed = np.count_nonzero(more != outlier)
        if not changed:
            break
        # The next search would find the same.
        settled = changed <= _SETTLED * number and not subspace.few
        outlier = more
    if subspace is not None and subspace.few:
        subspace = replace(subspace, structure=structure_of(score, start))
    return subspace


def _closed(spectra: np.ndarray, protected: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    closed = np.zeros(spectra.shape, dtype=bool)
    if protected is None:
        return closed
    n_channels = spectra.shape[-1]
    first, last = (np.nan_to_num(each, nan=n_channels) for each in protected)
    begin, end = (np.clip(side, 0, n_channels).astype(np.intp) for side in (first, last + 1))
    # A few slices are several times faster than to compare all channels.
    pairs = begin * (n_channels + 1) + end
    for pair in np.unique(pairs):
        left, right = divmod(int(pair), n_channels + 1)
        closed[pairs == pair, left:right] = True
    return closed


def _common(outlier: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Outliers that many spectra have at one distance from the peak: they are of the specimen.

    What many spectra have in one channel of the camera instead is of the camera.
    """
    number, n_channels = outlier.shape
    row, channel = np.nonzero(outlier)
    with_peak = _as_many(start[row] + channel, 2 * n_channels)
    with_camera = _as_many(channel, n_channels)
    common = np.zeros(outlier.shape, dtype=bool)
    fewest = max(_COMMON * number, _FEWEST_COMMON)
    common[row, channel] = with_peak >= np.maximum(fewest, _CLEARLY * with_camera)
    return common


def _as_many(place: np.ndarray, size: int) -> np.ndarray:
    """For each of some places, how many are there or in the next channels."""
    # Places far outside are those of spectra without a peak.
    place = np.clip(place, 0, size - 1)
    return np.convolve(np.bincount(place, minlength=size), np.ones(3), mode="same")[place]
