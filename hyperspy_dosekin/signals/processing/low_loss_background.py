# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of a power law below the losses: whether it is one, and whether a tail is in it."""

from __future__ import annotations

import logging

from hyperspy_dosekin.processing.background import FEWEST_CHANNELS as FEWEST_IN_BACKGROUND
from hyperspy_dosekin.processing.background import fit_power_law
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.signals.processing.survey import Survey

_logger = logging.getLogger(__name__)

#: Exponent of the flattest tail of a zero-loss peak; that of a Lorentzian is 2.
_FLATTEST_TAIL = 1.0


def check_background(chain: LowLossChain) -> None:
    """Refuse a window that is not on the axis beyond the peak, or has too few channels.

    Raises
    ------
    ValueError
        If it is so.
    """
    if chain.background is None:
        return
    left, right = chain.background
    energy = chain.energy_ev
    if not (0 < left < right and right <= energy[-1]):
        raise ValueError(
            f"background=({left:g}, {right:g}) eV must be a window of the axis beyond the "
            f"zero-loss peak, between 0 and {energy[-1]:g} eV; move it."
        )
    number = int(((energy >= left) & (energy <= right)).sum())
    if number < FEWEST_IN_BACKGROUND:
        raise ValueError(
            f"background=({left:g}, {right:g}) eV holds {number} channel(s), and a power law needs "
            f"{FEWEST_IN_BACKGROUND}; widen it."
        )


def warn_if_no_tail(chain: LowLossChain, survey: Survey) -> None:
    """Log if the mean spectrum does not fall in the window of the background as a tail does."""
    if chain.background is None or survey.total.size < chain.stop:
        return
    energy = chain.energy_ev
    window = (energy >= chain.background[0]) & (energy <= chain.background[1])
    fit = fit_power_law(survey.total[chain.start : chain.stop][window], energy[window])
    if not fit.exponent > _FLATTEST_TAIL:
        _logger.warning(
            "The mean spectrum falls as E^-%.2f only in the background window (%g, %g) eV: losses, "
            "not the tail of the zero-loss peak, are fitted there, and subtracted everywhere. Move "
            "the window, or leave background out: deconvolution removes the zero-loss peak anyway.",
            fit.exponent,
            *chain.background,
        )
