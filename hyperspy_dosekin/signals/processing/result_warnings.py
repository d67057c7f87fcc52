# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of single scattering that no specimen makes, or that may not be of the specimen."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from hyperspy_dosekin.processing.low_loss.options import LowLossChain

_logger = logging.getLogger(__name__)

#: t/λ below zero that noise does not explain: so much, and so many standard errors.
_BELOW_ZERO, _ERRORS = 0.01, 4.0
#: Widths from the peak from where losses are looked at; share of them that is much to be wrong; and
#: share of the zero-loss peak below which nothing matters.
_BEYOND_WIDTHS, _MUCH_RESIDUE, _MATTERS = 1.25, 0.33, 1e-4
#: Single scattering below zero: means over so many eV, by so much of the largest, and so many
#: standard errors.
_MEAN_EV, _IMPOSSIBLE, _ERRORS_OF_LOSSES = 3.0, 0.04, 6.0


def warn_of_impossible(single: np.ndarray, thickness: np.ndarray, chain: LowLossChain) -> None:
    """Log where single scattering is below zero, which no specimen can make.

    Parameters
    ----------
    single
        Deconvolved spectra, ``(n, n_channels)``; NaN where there is nothing.
    thickness
        t/λ of each, ``(n,)``.
    """
    size = max(round(_MEAN_EV / chain.scale_ev), 2)
    begin = int(np.searchsorted(chain.energy_ev, _MEAN_EV + 2 * chain.fwhm * chain.scale_ev))
    number = (single.shape[1] - begin) // size
    there = np.isfinite(single).all(axis=1) & np.isfinite(thickness)
    if number < 3 or not there.any():
        return
    boxes = single[there, begin : begin + number * size].reshape(-1, number, size)
    mean = boxes.mean(axis=2)
    # Deconvolution makes slow noise larger by up to e^(t/λ), where losses are in antiphase.
    error = np.sqrt((np.diff(boxes, axis=2) ** 2).mean(axis=2) / (2 * size))
    error *= np.exp(np.maximum(thickness[there], 0.0))[:, None]
    largest = mean.max(axis=1, keepdims=True)
    below = (mean < -_IMPOSSIBLE * largest) & (mean < -_ERRORS_OF_LOSSES * error)
    if not below.any():
        return
    share = mean / np.where(largest > 0, largest, np.inf)
    place = int(np.argmin(np.where(below, share, 0.0).min(axis=0)))
    energy = chain.energy_ev[begin + place * size]
    _logger.warning(
        "Single scattering is below zero in %d of %d spectra that were looked at, down to %.0f %% "
        "of the largest loss, between %.3g and %.3g eV: these spectra are not made of their "
        "zero-loss peak and of what scatters once and more often, as deconvolution assumes, and "
        "areas may be wrong. The peak may be too small (saturated, not counted, of another "
        "exposure), plural scattering missing, or the specimen too thick. Pass zero_loss=, or "
        "deconvolve=False.",
        int(below.any(axis=1).sum()),
        len(boxes),
        100 * share[:, place].min(),
        energy,
        energy + _MEAN_EV,
    )


def warn_of_residue(single: np.ndarray, residue: np.ndarray, chain: LowLossChain) -> None:
    """Log up to which energy the losses may be no more than what is left of the zero-loss peak.

    Parameters
    ----------
    single
        Mean single scattering, ``(n_channels,)``.
    residue
        As for `try_out`.
    """
    energy = chain.energy_ev[: single.size]
    begin = np.searchsorted(energy, _BEYOND_WIDTHS * chain.fwhm * chain.scale_ev)
    # Over as much as the resolution: single channels are noisy.
    size = max(round(chain.fwhm), 1)
    if begin + 2 * size > single.size:
        return
    found, left = (uniform_filter1d(np.asarray(each[begin:]), size) for each in (single, residue))
    doubtful = left > _MUCH_RESIDUE * np.maximum(found, 0.0)
    # From the peak on, in one piece.
    number = int(np.argmin(doubtful)) if not doubtful.all() else doubtful.size
    end = energy[begin + number - 1] if number else 0.0
    if number < size or residue[begin : begin + number].sum() * chain.scale_ev < _MATTERS:
        return
    _logger.warning(
        "The zero-loss peak is not symmetric, or its tail is not known: up to %.3g eV a third and "
        "more of the losses may be what its model left of it, and windows there may be "
        "wrong by a factor. Pass zero_loss= a spectrum in vacuum, or leave these energies out.",
        end,
    )


def warn_if_negative(
    thickness: np.ndarray, intensity: np.ndarray, chain: LowLossChain, zero_loss: Any
) -> None:
    """Log if a zero-loss peak is larger than the whole spectrum that it is a part of."""
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(max(chain.gain, 0.0) / np.abs(intensity))
    limit = -np.maximum(_BELOW_ZERO, _ERRORS * np.nan_to_num(error))
    # No logarithm where the whole spectrum is not positive.
    below = (thickness < limit) | (np.isnan(thickness) & np.isfinite(intensity))
    if not below.any():
        return
    worst = np.nanmin(np.where(below, thickness, np.nan)) if np.isfinite(thickness).any() else 0.0
    described = zero_loss if isinstance(zero_loss, str | int | float) else "a signal"
    _logger.warning(
        "t/λ is below zero, down to %.3f, in %d of %d spectra that were looked at: the zero-loss "
        "peak of zero_loss=%r is larger than the whole spectrum, so that all areas are too small. "
        "Choose another zero_loss, or subtract what is below zero by itself, such as a dark "
        "reference that is too high.",
        worst,
        int(below.sum()),
        below.size,
        described,
    )
