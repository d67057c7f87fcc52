# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Process a few spectra first and say what looks wrong, for lazy data as for eager ones."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.low_loss.chain import DIAGNOSTICS, process_spectra
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.signals.processing.result_warnings import (
    warn_if_negative,
    warn_of_impossible,
    warn_of_residue,
)
from hyperspy_dosekin.signals.processing.survey import Survey

_logger = logging.getLogger(__name__)

#: Alternation from channel to channel that is ringing: so much of the intensity, so many times that
#: of the recorded spectra, and so many times what noise makes.
_RINGING, _TIMES, _ERRORS_OF_RINGING = 0.05, 3.0, 5.0


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
