# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A zero-loss peak that was measured by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, prepend
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, find_zero_loss
from hyperspy_dosekin.processing.shifting import shift_peak
from hyperspy_dosekin.signals.processing.recorded import Recorded, read


@dataclass(frozen=True, eq=False)
class MeasuredPeak:
    """A measured zero-loss peak.

    Parameters
    ----------
    counts
        Mean spectrum with the peak at the channel `origin`, shape ``(n_channels,)``.
    origin
        Channel of the peak.
    fwhm
        Its full width at half maximum in channels.
    """

    counts: np.ndarray
    origin: int
    fwhm: float

    def on(self, channels: np.ndarray) -> np.ndarray:
        """Give the counts at channels relative to the peak; zero where nothing was measured."""
        index = channels + self.origin
        inside = (index >= 0) & (index < self.counts.size)
        return np.where(inside, self.counts[np.clip(index, 0, self.counts.size - 1)], 0.0)


def read_measured(zero_loss: Any, recorded: Recorded) -> MeasuredPeak:
    """Find the peak in a measured spectrum, or in the mean of several.

    Parameters
    ----------
    zero_loss
        Signal with channels as wide as those of the data.

    Raises
    ------
    ValueError
        If its channels have another width, or there is no zero-loss peak in it.
    """
    measured = read(zero_loss, "zero_loss=", as_it_is=True)
    if not np.isclose(measured.scale_ev, recorded.scale_ev, rtol=1e-3):
        raise ValueError(
            f"the channels of zero_loss are {measured.scale_ev:g} eV wide, those of the data "
            f"{recorded.scale_ev:g} eV; rebin one of them with s.rebin(scale=…)."
        )
    (data,) = compute(measured.data)
    spectra = np.asarray(data, dtype=np.float64).reshape(-1, data.shape[-1])
    seen = find_zero_loss(spectra, widest=WIDEST_EV / measured.scale_ev)
    if not seen.found.any():
        raise ValueError(
            "there is no zero-loss peak in zero_loss: no maximum narrower than "
            f"{WIDEST_EV:g} eV away from its ends; pass a spectrum of the zero-loss peak."
        )
    spectra, position = spectra[seen.found], seen.position[seen.found]
    origin = round(float(np.median(position)))
    mean = shift_peak(spectra, origin - position).mean(axis=0)
    return MeasuredPeak(np.maximum(mean, 0.0), origin, float(np.median(seen.fwhm[seen.found])))


def splice(recorded: Recorded, measured: MeasuredPeak) -> tuple[Recorded, np.ndarray, int]:
    """Put a measured zero-loss peak before spectra that begin beyond it.

    Parameters
    ----------
    recorded
        Spectra on a calibrated axis.
    measured
        The peak, of the same exposure.

    Returns
    -------
    recorded : Recorded
        Spectra that begin with the peak.
    zero_loss : numpy.ndarray
        The peak on all their channels.
    origin : int
        Its channel.

    Raises
    ------
    ValueError
        If the axis of the spectra begins below or at the peak.
    """
    start = round(float(recorded.energy_ev[0]) / recorded.scale_ev)
    if start <= 1:
        raise ValueError(
            f"the axis begins at {recorded.energy_ev[0]:g} eV, so that the zero-loss peak should "
            "be on it, but none was found; calibrate the axis, or leave these spectra out."
        )
    before = np.arange(-measured.origin, start)
    data = prepend(measured.on(before), recorded.data)
    variance = recorded.variance
    if variance is not None:
        variance = prepend(np.zeros(before.size), variance)
    every = np.arange(-measured.origin, start + recorded.data.shape[-1])
    spliced = replace(
        recorded,
        data=data,
        energy_ev=every * recorded.scale_ev,
        variance=variance,
    )
    return spliced, measured.on(every), measured.origin
