# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spikes that the other spectra of a data set betray: outliers from the subspace of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace, on_host
from hyperspy_dosekin.processing.spikes.fitting import (
    CLIPPED,
    doubtful_channels,
    fit_spectra,
)
from hyperspy_dosekin.processing.spikes.found import EACH, limit
from hyperspy_dosekin.processing.spikes.judging import Search
from hyperspy_dosekin.processing.spikes.noise import Noise
from hyperspy_dosekin.processing.spikes.placed import Placed, place
from hyperspy_dosekin.processing.spikes.subspace import Subspace

#: The first look asks for less, by so many standard deviations.
_LENIENCE = 0.2
#: The second one only by what rounding does, and so many times what outliers may do to the fit:
#: they move what is expected, and with few counts its noise too.
_ROUNDING, _PULL = 0.03, 4.0
#: Where nothing is asked for: intensities have no such squares.
_NEVER = 1e20
#: Intensities that fit in the cache with what is made of them.
_AT_A_TIME = 2**16


def remove_by_subspace(
    spectra: np.ndarray,
    noise: Noise,
    closed: np.ndarray,
    subspace: Subspace,
    start: np.ndarray,
    threshold: float,
    *,
    in_place: bool = False,
    with_variance: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Replace what exceeds the projection of a spectrum on the subspace and is no line.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``, float64, or float32 where that tells a tenth of the
        noise; those that may have spikes are judged in double precision. Of a tensor only these
        come to the processor, if the noise is a number and the subspace `sufficient` and not
        `few`; all that is returned but the spectra is an array.
    noise
        Of these spectra.
    closed
        Channels that must not be touched, boolean, same shape.
    subspace
        Of all spectra.
    start
        From `first_channels`, shape ``(n_spectra,)``.
    threshold
        In standard deviations.
    in_place
        Whether the spectra may be changed, and are returned.
    with_variance
        Whether the noise variance of replaced channels is of use.

    Returns
    -------
    Cleaned spectra, replaced channels, their noise variance if that is of use, and channels that
    may be spikes where the subspace is noisier than the channels beside, if there are any, all of
    that shape.
    """
    xp, single = namespace(spectra), spectra.itemsize == 4
    cleaned = spectra if in_place else astype(spectra, spectra.dtype, copy=True)
    touched, doubtful = np.zeros(spectra.shape, dtype=bool), None
    kind = np.float32 if single else np.float64
    replaced = np.zeros(spectra.shape, kind) if with_variance else None
    noise = subspace.calibration(noise)
    n_channels = spectra.shape[-1]
    most = max(_AT_A_TIME // n_channels, 1)
    seen = []
    for rows, placed in _groups(start, n_channels, subspace):
        if single:
            placed = placed.single
        # A device has no cache to stay in.
        at_once = most if xp is np else rows.size
        odd, coefficients = _look(spectra, rows, noise, closed, placed, threshold, at_once)
        here = together(rows)
        some = spectra[index_for(xp, here)]
        unsure = doubtful_channels(some, coefficients, noise.part(here), placed, subspace)
        if unsure is not None:
            doubtful = _no_channels(spectra) if doubtful is None else doubtful
            doubtful[here] = unsure
        seen.append(odd)
    # Few spectra are left, and they are judged many at a time.
    left = _suspects(seen, noise, threshold)
    for group, placed in _groups(start[left], n_channels, subspace):
        for first in range(0, group.size, most):
            rows = left[group[first : first + most]]
            some = on_host(cleaned[xp.asarray(rows)]).astype(np.float64)
            into = some, np.zeros(some.shape, dtype=bool), np.zeros(some.shape)
            search = Search(placed, noise.part(rows), subspace, threshold)
            unsure, changed = search.run(closed[rows], into)
            if unsure is not None or doubtful is not None:
                doubtful = _no_channels(spectra) if doubtful is None else doubtful
                doubtful[rows] = False if unsure is None else unsure
            for whole, new in zip((touched, replaced), into[1:], strict=True):
                if whole is not None:
                    whole[rows[changed]] = new[changed]
            cleaned[xp.asarray(rows[changed])] = xp.asarray(some[changed], dtype=cleaned.dtype)
    return cleaned, touched, replaced, doubtful


def _no_channels(spectra: np.ndarray) -> np.ndarray:
    return np.zeros(spectra.shape, dtype=bool)


def _groups(
    start: np.ndarray, n_channels: int, subspace: Subspace
) -> Iterator[tuple[np.ndarray, Placed]]:
    """Spectra with their zero-loss peak in one channel, and the subspace there."""
    for each in np.unique(start):
        yield np.flatnonzero(start == each), place(subspace, int(each), n_channels)


def together(rows: np.ndarray) -> np.ndarray | slice:
    """Rows, of which neighbours need not be copied."""
    beside = rows[-1] - rows[0] + 1 == rows.size
    return slice(rows[0], rows[-1] + 1) if beside else rows


def index_for(xp: ModuleType, rows: np.ndarray | slice) -> slice | np.ndarray:
    """Rows as an index of what goes with some functions."""
    return rows if isinstance(rows, slice) else xp.asarray(rows)


@dataclass(frozen=True, eq=False)
class _Odd:
    """Channels farther from what is expected than noise often is, to either side.

    Parameters
    ----------
    row, channel
        Spectrum of each, shape ``(n,)``, and the channel before, itself, and the one behind, shape
        ``(n, 3)``.
    distance, expected
        From what is expected, and that, of the three; zero distance where spikes are not looked
        for; shape ``(n, 3)``.
    scale, uncertainty
        Of the noise, and the variance of what is expected, same shape.
    leverage
        Of the channel, or of one beside it if that is larger, shape ``(n,)``.
    asked, fitted
        Whether the channel may be a spike, and whether it has a say in the fit, shape ``(n,)``.
    """

    row: np.ndarray
    channel: np.ndarray
    distance: np.ndarray
    expected: np.ndarray
    scale: np.ndarray
    uncertainty: np.ndarray
    leverage: np.ndarray
    asked: np.ndarray
    fitted: np.ndarray


def _look(
    spectra: np.ndarray,
    rows: np.ndarray,
    noise: Noise,
    closed: np.ndarray,
    placed: Placed,
    threshold: float,
    most: int,
) -> tuple[_Odd, np.ndarray]:
    """Look for what is far from what is expected, and return the coefficients of that too.

    Parameters
    ----------
    spectra, noise, closed, threshold
        As for `remove_by_subspace`.
    rows
        Spectra with their zero-loss peak in one channel.
    placed
        The subspace there.
    most
        Spectra that are looked at together.
    """
    least = (threshold - _LENIENCE) ** 2 * placed.residual_scale
    shut = closed[together(rows)].all(axis=0)
    least[~placed.fitted & (shut | ~placed.covered)] = _NEVER
    xp, last = namespace(spectra), spectra.shape[-1] - 1
    there, asked = placed.on(xp), xp.asarray(least)
    parts, coefficients = [], []
    for first in range(0, rows.size, most):
        # As few passes over the channels as can be; what is found too much is looked up.
        part = rows[first : first + most]
        here = together(part)
        fit = fit_spectra(spectra[index_for(xp, here)], there)
        square = fit.spectra - fit.expected
        square *= square
        far = xp.flatnonzero(square > noise.part(here).lowest(fit.expected, asked))
        row, channel = far // (last + 1), far % (last + 1)
        at = xp.clip(channel[:, np.newaxis] + xp.arange(-1, 2), 0, last)
        near = (row[:, np.newaxis], at)
        found = (at, fit.spectra[near], fit.expected[near], channel, fit.coefficients[row])
        parts.append((part[on_host(row)], *map(on_host, found)))
        coefficients.append(fit.coefficients)
    row, at, values, expected, channel, own = map(np.concatenate, zip(*parts, strict=True))
    gone = closed[row[:, np.newaxis], at] | ~placed.covered[at]
    odd = _Odd(
        row,
        at,
        np.where(gone, 0.0, values - expected),
        expected,
        placed.scale[at],
        placed.uncertainty_at(own, at),
        placed.leverage[at].max(axis=-1),
        ~gone[:, 1],
        placed.fitted[channel],
    )
    return odd, xp.concatenate(coefficients)


def _suspects(seen: list[_Odd], noise: Noise, threshold: float) -> np.ndarray:
    """Spectra with a channel, or a pair, that noise does not explain."""
    odd = _Odd(
        **{name: np.concatenate([getattr(each, name) for each in seen]) for name in vars(seen[0])}
    )
    row = odd.row
    if not row.size:
        return row
    expected = odd.expected.astype(np.float64)
    variance = noise.at(row, odd.channel).variance(expected, odd.scale**2)
    # As far as outliers pull at the fit, another one would show more.
    away = np.maximum(np.abs(odd.distance[:, 1]) / np.sqrt(variance[:, 1]) - CLIPPED, 0.0)
    pull = np.bincount(row, np.where(odd.fitted, np.sqrt(odd.leverage) * away, 0.0))[row]
    lenience = _ROUNDING + _PULL * np.sqrt(odd.leverage) * pull
    # Few counts are skewed.
    skewness = noise.skewness(expected[:, 1], variance[:, 1], row)
    left, own, right = (odd.distance / np.sqrt(variance + odd.uncertainty)).T
    share = np.sqrt(1 - odd.leverage)
    single, pair = (
        share * limit(width, threshold, skewness) / np.sqrt(width) - lenience for width in (1, 2)
    )
    beside = np.maximum(left, right)
    likely = (own < single) & ((beside < EACH - lenience) | (0.5 * (own + beside) < pair))
    return np.unique(row[odd.asked & (own > 0) & ~likely])
