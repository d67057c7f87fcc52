# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Process a few spectra first and say what looks wrong, for lazy data as for eager ones."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.low_loss.chain import DIAGNOSTICS, process_spectra
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.signals.processing.survey import Survey

_logger = logging.getLogger(__name__)

#: Alternation from channel to channel that is ringing: so much of the intensity, so many times that
#: of the recorded spectra, and so many times what noise makes.
_RINGING, _TIMES, _ERRORS_OF_RINGING = 0.05, 3.0, 5.0
#: t/λ below zero that noise does not explain: so much, and so many standard errors.
_BELOW_ZERO, _ERRORS = 0.01, 4.0


def try_out(chain: LowLossChain, survey: Survey, zero_loss: Any) -> None:
    """Run the chain on the sample of a survey and log what is wrong with the results.

    Parameters
    ----------
    chain
        The steps.
    survey
        Of the spectra.
    zero_loss
        What the user asked for, to be named in messages.
    """
    if not len(survey.sample):
        return
    before: list[Any] = []

    def watch(name: str, made: Any) -> None:
        if name == "align":
            before.append(made["alternation"])

    place = survey.sample_position, survey.sample_fwhm
    _, numbers = process_spectra(survey.sample, *place, chain=chain, watch=watch)[:2]
    found = dict(zip(DIAGNOSTICS, numbers.T, strict=True))
    recorded, mean = (np.abs(each) for each in before[0])
    made = found["ringing"] * mean + recorded
    taper = chain.ringing_taper
    noise = np.sqrt(max(chain.gain, 0.0) * mean * taper.max() + chain.offset * (taper**2).sum())
    limit = np.maximum(_TIMES * recorded, _ERRORS_OF_RINGING * noise)
    ringing = float(np.nanmedian(found["ringing"]))
    share = float(np.nanmedian(recorded / np.where(mean > 0, mean, np.nan)))
    if ringing > _RINGING and np.nanmedian(made - limit) > 0:
        _logger.warning(
            "Processing makes the spectra ring: from channel to channel they alternate by %.0f %% "
            "of their intensity beyond the zero-loss peak, as recorded by %.1f %%. The peak is "
            "%.1f channels wide, and align='fourier' needs more than 3; leave align as it is by "
            "default.",
            100 * (ringing + share),
            100 * share,
            chain.fwhm,
        )
    if chain.deconvolve or chain.normalise:
        warn_if_negative(found["t_over_lambda"], found["zero_loss_intensity"], chain, zero_loss)


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
