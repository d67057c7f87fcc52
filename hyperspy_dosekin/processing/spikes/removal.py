# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""X-ray spikes: found by what other spectra and neighbouring channels predict, and replaced."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.processing.spikes.neighbours import OwnNeighbours
from hyperspy_dosekin.processing.spikes.other_spectra import OtherSpectra
from hyperspy_dosekin.processing.spikes.prediction import fewest_channels
from hyperspy_dosekin.processing.spikes.structure import KnownStructure
from hyperspy_dosekin.processing.spikes.subspace import KnownLikeness

#: A channel is a spike if it exceeds what is expected by so many standard deviations.
THRESHOLD = 4.1
#: Spikes of one spectrum that lie so near each other are judged one after the other.
_ROUNDS = 3


def remove_spikes(
    spectra: np.ndarray,
    *,
    gain: float,
    offset: float | np.ndarray,
    protected: tuple[np.ndarray, np.ndarray] | None = None,
    structure: KnownStructure | None = None,
    likeness: KnownLikeness | None = None,
    threshold: float = THRESHOLD,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Replace X-ray spikes of one or two channels by what is expected there.

    With `likeness`, the spectrum is expected to be made of what all spectra have in common. Where
    it is not, its neighbouring channels tell what else to expect, since whatever the specimen does
    has the width of the energy resolution at least and a spike has not: the deviation is taken for
    a Gaussian process of that resolution, whose size the neighbours decide. A channel, or a pair
    of channels, is a spike if noise exceeds the expectation as far as rarely as it does `threshold`
    standard deviations.

    Without, and in channels that few of the other spectra have, a spike exceeds a smooth
    prediction (cubic polynomial through five neighbours on either side) by `threshold` standard
    deviations and a flexible one (fifth order, through four), which follows edges and bands of the
    specimen, by nearly as many; or the flexible one alone by somewhat more. Predictions are made on
    the logarithm of the intensities, in which the flanks of the zero-loss peak are smooth.

    Spectra that scatter more than their noise explains, all over, are judged by their own scatter.

    Parameters
    ----------
    spectra
        Intensities, shape ``(n_spectra, n_channels)``, float64.
    gain, offset
        Noise variance of a channel: `gain` times its intensity plus `offset`, a number or an array
        of the shape of the spectra.
    protected
        First and last of the channels that must not be touched, shape ``(n_spectra,)`` each.
    structure
        What all spectra have in common and is no spike, for use without `likeness`.
    likeness
        Model of the spectra.
    threshold
        In standard deviations.

    Returns
    -------
    cleaned : numpy.ndarray
        Shape ``(n_spectra, n_channels)``.
    touched : numpy.ndarray
        Boolean, same shape.
    variance : numpy.ndarray
        Noise variance of the replaced channels, same shape; zero elsewhere.

    Examples
    --------
    >>> spectrum = np.full((1, 64), 100.0)
    >>> spectrum[0, 30] += 80.0
    >>> clean, touched, _ = remove_spikes(spectrum, gain=1.0, offset=0.0)
    >>> print(np.flatnonzero(touched), clean.max().round(6))
    [30] 100.0
    """
    number, n_channels = spectra.shape
    if protected is None:
        protected = (np.full(number, n_channels), np.full(number, -1))
    first, last = (np.asarray(limit)[:, np.newaxis] for limit in protected)

    def alone(rows: Any, channels: slice) -> OwnNeighbours:
        known = None
        if structure is not None:
            known = KnownStructure(structure.deviation, structure.start[rows] + channels.start)
        noise = offset[rows, channels] if isinstance(offset, np.ndarray) else offset
        return OwnNeighbours(gain, noise, known, threshold)

    every, whole = slice(None), slice(0, n_channels)
    if likeness is None:
        return _remove(alone(every, whole), spectra, first, last)
    finder = OtherSpectra(likeness.model, likeness.start, gain, offset, threshold)
    # Each with the spectra, the channels and what of them must not be touched.
    searches: list[tuple[Any, Any, slice, np.ndarray, np.ndarray, Any]]
    searches = [(finder, every, whole, first, last, None)]
    doubtful = finder.doubtful(spectra)
    rows = np.flatnonzero(doubtful.any(axis=-1))
    if rows.size:
        closed = ~doubtful[rows]
        searches.append((alone(rows, whole), rows, whole, first[rows], last[rows], closed))
    # What the model covers has been searched.
    begin, end = (limit[:, np.newaxis] for limit in likeness.covered(n_channels))
    channel = np.arange(n_channels)
    left, right = int(begin.max(initial=0)), int(end.min(initial=n_channels))
    parts = []
    if left:
        parts.append(slice(0, min(left + fewest_channels(), n_channels)))
    if right < n_channels:
        parts.append(slice(max(right - fewest_channels(), 0), n_channels))
    for part in parts:
        closed = (channel[part] >= begin) & (channel[part] < end)
        limits = first - part.start, last - part.start
        searches.append((alone(every, part), every, part, *limits, closed))
    cleaned, touched, replaced = spectra, *(np.zeros(spectra.shape, kind) for kind in (bool, float))
    for search, rows, part, *limits in searches:
        clean, more, variance = _remove(search, cleaned[rows, part], *limits)
        if more.any():
            cleaned = spectra.copy() if cleaned is spectra else cleaned
            cleaned[rows, part] = clean
            touched[rows, part] |= more
            replaced[rows, part] += variance
    return cleaned, touched, replaced


def _remove(
    finder: OwnNeighbours | OtherSpectra,
    spectra: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    closed: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replace what a finder finds outside the channels from `first` to `last` and `closed`."""
    n_channels = spectra.shape[-1]
    channel = np.arange(n_channels)
    cleaned = spectra
    touched = np.zeros(spectra.shape, dtype=bool)
    replaced = np.zeros(spectra.shape)
    rows = finder.suspicious(spectra, first, last)
    for turn in range(_ROUNDS):
        if not rows.size:
            break
        protected = (channel >= first[rows]) & (channel <= last[rows])
        shut = touched[rows] if closed is None else touched[rows] | closed[rows]
        found = finder.strongest(cleaned[rows], rows, protected, shut)
        if not found.row.size:
            break
        if turn == 0:
            cleaned = spectra.copy()
        for step in range(found.value.shape[-1]):
            here = found.width > step
            index = (rows[found.row[here]], found.channel[here] + step)
            cleaned[index] = found.value[here, step]
            touched[index] = True
            replaced[index] = found.variance[here, step]
        rows = rows[found.again]
    return cleaned, touched, replaced
