# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Process a few spectra first and say what looks wrong, for lazy data as for eager ones."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from hyperspy_dosekin.processing.low_loss.chain import DIAGNOSTICS, process_spectra
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.signals.processing.survey import Survey

_logger = logging.getLogger(__name__)

#: Alternation from channel to channel that is ringing: so much of the intensity, so many times that
#: of the recorded spectra, and so many times what noise makes.
_RINGING, _TIMES, _ERRORS_OF_RINGING = 0.05, 3.0, 5.0
#: t/λ below zero that noise does not explain: so much, and so many standard errors.
_BELOW_ZERO, _ERRORS = 0.01, 4.0
#: Widths from the peak from where losses are looked at; share of them that is much to be wrong; and
#: share of the zero-loss peak below which nothing matters.
_BEYOND_WIDTHS, _MUCH_RESIDUE, _MATTERS = 1.25, 0.33, 1e-4
#: Single scattering below zero: means over so many eV, by so much of the largest, and so many
#: standard errors.
_MEAN_EV, _IMPOSSIBLE, _ERRORS_OF_LOSSES = 3.0, 0.04, 6.0


def try_out(
    chain: LowLossChain, survey: Survey, zero_loss: Any, residue: np.ndarray | None = None
) -> np.ndarray | None:
    """Run the chain on the sample of a survey and log what is wrong with the results.

    The mean single scattering is returned, on the channels kept, if there is any.

    Parameters
    ----------
    survey
        Of the spectra.
    zero_loss
        What the user asked for, to be named in messages.
    residue
        What the model of the zero-loss peak may leave among the losses, share of the peak per eV,
        on the channels kept.
    """
    if not len(survey.sample):
        return None
    before: list[Any] = []

    def watch(name: str, made: Any) -> None:
        if name == "align":
            before.append(made["alternation"])

    place = survey.sample_position, survey.sample_fwhm
    spectra, numbers = process_spectra(survey.sample, *place, chain=chain, watch=watch)[:2]
    found = dict(zip(DIAGNOSTICS, numbers.T, strict=True))
    recorded, mean = (np.abs(each) for each in before[0])
    with np.errstate(invalid="ignore"):
        made = found["ringing"] * mean + recorded
    taper = chain.ringing_taper
    noise = np.sqrt(max(chain.gain, 0.0) * mean * taper.max() + chain.offset * (taper**2).sum())
    limit = np.maximum(_TIMES * recorded, _ERRORS_OF_RINGING * noise)
    ringing = float(np.nanmedian(found["ringing"]))
    share = float(np.nanmedian(recorded / np.where(mean > 0, mean, np.nan)))
    if ringing > _RINGING and np.nanmedian(made - limit) > 0:
        remedy = "deconvolution makes noise of it; pass deconvolve=False, and rely on thin places"
        if chain.align == "fourier":
            remedy = "align='fourier' needs more than 3; leave align as it is by default"
        _logger.warning(
            "Processing makes the spectra ring: from channel to channel they alternate by %.0f %% "
            "of their intensity beyond the zero-loss peak, as recorded by %.1f %%. The peak is "
            "%.1f channels wide, and %s.",
            100 * (ringing + share),
            100 * share,
            chain.fwhm,
            remedy,
        )
    if chain.deconvolve or chain.normalise:
        warn_if_negative(found["t_over_lambda"], found["zero_loss_intensity"], chain, zero_loss)
    if chain.deconvolve:
        warn_of_impossible(spectra, found["t_over_lambda"], chain)
    if residue is None or not chain.deconvolve or chain.normalise != "zero_loss":
        return None
    # Without a word of NumPy where no spectrum has a channel.
    seen = np.isfinite(spectra)
    number = np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    single = np.where(seen, spectra, 0.0).sum(axis=0) / number
    warn_of_residue(single, residue, chain)
    return single


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
