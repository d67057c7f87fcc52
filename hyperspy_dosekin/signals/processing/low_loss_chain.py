# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of `process_low_loss` for the spectra that a survey has seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.processing.low_loss.coarse_peak import width_of_core
from hyperspy_dosekin.processing.low_loss.gain_side import channels_on_pedestal, common_level
from hyperspy_dosekin.processing.low_loss.options import FEWEST_DARK, LowLossChain
from hyperspy_dosekin.signals.processing.recorded import Recorded
from hyperspy_dosekin.signals.processing.survey import Survey
from hyperspy_dosekin.signals.processing.zero_loss_model import (
    choose_model,
    look_at_gain_side,
    model_shape,
)

#: How far the tails of the zero-loss peak reach: so many widths, or eV if that is more.
_TAIL_WIDTHS, _TAIL_EV = 15.0, 10.0
#: Widths from the peak from where losses are looked at, and channels of which the mean tells the
#: noise; what single precision leaves, as a share of the largest loss, by the length of transforms;
#: and how much of the noise in standard deviations is nothing.
_BEYOND_WIDTHS, _BLOCK = 3.0, 16
_ROUNDING, _HIDDEN = {2.0: 5e-8, 1.5: 3e-7}, 1e-3
#: Numbers whose squares single precision has.
_SMALLEST, _LARGEST = 1e-12, 1e15


def make_chain(
    recorded: Recorded,
    survey: Survey,
    align: str,
    zero_loss: Any,
    measured: Any,
    options: dict[str, Any],
    room: float,
) -> LowLossChain:
    """Put the steps together: the common axis, the pedestal and the model of the peak.

    Parameters
    ----------
    recorded, survey
        The spectra, and what a look at them has found.
    align
        One of the alignments.
    zero_loss, measured
        As the user gave it, and the peak if it was measured.
    options
        What else the chain takes.
    room
        Channels left on either side for drift that was not seen.

    Raises
    ------
    ValueError
        If the spectra have less than half of their channels in common.
    """
    n_channels = recorded.energy_ev.size
    origin = round(float(np.nanmedian(survey.position)))
    start, stop = 0, n_channels
    if align != "none":
        shift = origin - survey.position[survey.found]
        start = int(np.ceil(max(shift.max() + room, 0.0) - 1e-6))
        stop = n_channels - int(np.ceil(max(room - shift.min(), 0.0) - 1e-6))
    width = max(_TAIL_WIDTHS * float(np.nanmedian(survey.fwhm)), _TAIL_EV / recorded.scale_ev)
    fwhm = float(np.nanmedian(survey.fwhm))
    common = {
        "subspace": survey.subspace,
        "reach": int(np.ceil(min(width, n_channels))),
        "scale_ev": recorded.scale_ev,
        "origin": origin,
        "start": start,
        "stop": stop,
        "gain": survey.gain,
        "offset": survey.offset,
        "align": align,
        "fwhm": fwhm,
        **options,
    }
    if stop - start < n_channels // 2:
        raise ValueError(
            f"the zero-loss peak moves by {np.ptp(survey.position[survey.found]):.0f} of the "
            f"{n_channels} channels, so that the spectra have only {stop - start} channels in "
            "common; leave out spectra that do not belong, or pass zero_loss_range=(left, right)."
        )
    if options["dark"]:
        first = int(np.floor(np.nanmin(survey.position[survey.found])))
        number = channels_on_pedestal(survey.total[start:], first - start, fwhm)
        common["pedestal"] = number
        if number and origin - start - common["reach"] < FEWEST_DARK:
            common["level"] = common_level(survey.sample[:, start : start + number])
    zero_loss = choose_model(zero_loss, survey)
    model = model_shape(zero_loss, measured, survey, stop - start)
    if isinstance(model, str):
        common["core"] = width_of_core(survey.position[survey.found], fwhm)
        common |= look_at_gain_side(
            survey,
            start,
            common["reach"],
            recorded.scale_ev,
            noise_known=recorded.variance is None,
        )
    return LowLossChain(zero_loss=model, **common)


def precision(recorded: Recorded, survey: Survey, kind: np.dtype, *, asked: bool) -> dict[str, Any]:
    """Whether single precision is used, and how long transforms are: options of the chain.

    Single precision is used where it adds less than a thousandth to the noise of every loss. It
    leaves errors of 5e-8 of the largest loss in all channels, in the mean square: measured on
    spectra of counts from 1e4 to 1e8 electrons, a mean free path and less; of 1e3 electrons it is
    6e-7, which noise hides by far. With shorter transforms it is 1e-7, and 3e-7 in the last tenth
    of the channels (1e5 and 1e8 electrons, t/λ 0.4 and 1.5).

    Parameters
    ----------
    recorded, survey
        The spectra, and what a look at them has found.
    kind, asked
        Type of the result, and whether it was asked for: then it is the type of computing too.
    """
    hidden = _hidden_rounding(recorded, survey)
    single = hidden >= _ROUNDING[2.0] and (kind == np.float32 or not asked)
    # Of any type, so that results of all are the same but for rounding.
    return {"single": single, "longer": 1.5 if hidden >= _ROUNDING[1.5] else 2.0}


def _hidden_rounding(recorded: Recorded, survey: Survey) -> float:
    """Largest error, as a share of the largest loss, that the noise of all losses hides."""
    gain, offset = survey.gain, survey.offset
    if recorded.variance is not None or not len(survey.sample) or not gain >= 0 <= offset:
        return 0.0
    # From where on losses are told from the zero-loss peak, in all spectra.
    first = int(np.max(survey.sample_position + _BEYOND_WIDTHS * survey.sample_fwhm)) + 1
    losses = survey.sample[:, first:]
    number = losses.shape[-1] // _BLOCK
    if not number:
        return 0.0
    mean = losses[:, : number * _BLOCK].reshape(len(losses), number, _BLOCK).mean(axis=-1)
    # Half an electron more, as in the search for spikes: a single one is no noise of its own.
    least = np.sqrt(gain * max(float(mean.min()), 0.0) + offset + 0.5 * gain**2)
    # Squares have to have room too, and what is divided by the width of a channel.
    low, high = min(least, recorded.scale_ev), max(survey.sample.max(), recorded.scale_ev)
    if not (low > _SMALLEST and high < _LARGEST):
        return 0.0
    largest = float(losses.max())
    return _HIDDEN * least / largest if largest > 0 else np.inf
