# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Electrons that were scattered more than once: a core-loss spectrum convolved with the low loss.

R. F. Egerton, Electron Energy-Loss Spectroscopy in the Electron Microscope, section 4.3
(doi:10.1007/978-1-4419-9583-4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

#: Energy and half width of a plasmon that stands for those of most solids, eV.
_PLASMON, _PLASMON_WIDTH = 22.0, 6.0
#: Losses below so many widths of the zero-loss peak are taken for its own.
_WIDTHS = 2.0
#: A low loss has to reach so far, eV: to the plasmons of most solids.
_REACH = 20.0
#: A zero-loss peak lies at most so far from zero, eV.
_AWAY = 5.0


@dataclass(frozen=True, eq=False)
class Scattering:
    """How likely further losses are, relative to none.

    Parameters
    ----------
    loss_ev
        Losses, eV, ascending from 0, evenly spaced, ``(n,)``.
    density
        For each eV, ``(n,)``.
    """

    loss_ev: np.ndarray
    density: np.ndarray

    @property
    def step_ev(self) -> float:
        """Distance of the losses."""
        return float(self.loss_ev[1] - self.loss_ev[0])

    @property
    def strength(self) -> float:
        """Electrons with a further loss for each one without."""
        return float(self.density.sum() * self.step_ev)

    def scaled(self, factor: float) -> Scattering:
        """The same, more or less often."""
        return Scattering(self.loss_ev, self.density * factor)

    def again(self, energy_ev: np.ndarray, intensity: np.ndarray) -> np.ndarray:
        """What those electrons show of a spectrum, of the same shape.

        Parameters
        ----------
        energy_ev
            Energies, ascending, any steps, ``(n_channels,)``.
        intensity
            Spectrum without plural scattering; before its first channel it is taken to be as there,
            and that is no edge.
        """
        step = min(self.step_ev, float(np.diff(energy_ev).min()))
        axis = energy_ev[0] + step * np.arange(
            int((energy_ev[-1] - energy_ev[0]) / step + 1e-6) + 1
        )
        fine = np.interp(axis, energy_ev, intensity) - intensity[0]
        loss = step * np.arange(min(int(self.loss_ev[-1] / step) + 1, axis.size))
        density = np.interp(loss, self.loss_ev, self.density) * step
        return np.interp(energy_ev, axis, fftconvolve(fine, density)[: axis.size])


#: A plasmon, once, of any strength.
TYPICAL = Scattering(
    0.25 * np.arange(1200),
    1 / (1 + ((0.25 * np.arange(1200) - _PLASMON) / _PLASMON_WIDTH) ** 2),
)


def scattering_of(energy_ev: np.ndarray, low_loss: np.ndarray) -> Scattering:
    """Further losses as a measured low loss shows them.

    The zero-loss peak is taken to be symmetric: its half below zero, mirrored, is subtracted.

    Parameters
    ----------
    energy_ev
        Energies, eV, ascending and evenly spaced, with the zero-loss peak, ``(n,)``.
    low_loss
        Intensities, ``(n,)``.

    Raises
    ------
    ValueError
        If there is no zero-loss peak inside the axis, it does not reach the plasmons, or a value is
        not finite.
    """
    remedy = "give the low loss of the same region, with its zero-loss peak, up to 50 eV or more"
    if not np.isfinite(low_loss).all():
        raise ValueError(f"low_loss holds NaN or infinity; {remedy}.")
    place = int(low_loss.argmax())
    step = float(np.median(np.diff(energy_ev)))
    high = np.flatnonzero(low_loss[place:] < 0.5 * low_loss[place])
    width = 2 * int(high[0]) if high.size else low_loss.size
    reach = energy_ev[-1] - energy_ev[place]
    away = abs(float(energy_ev[place])) > _AWAY
    if not low_loss[place] > 0 or away or place < 2 * width or reach < _REACH:
        raise ValueError(
            f"low_loss covers {energy_ev[0]:g} to {energy_ev[-1]:g} eV with its highest peak at "
            f"{energy_ev[place]:g} eV, and shows no zero-loss peak with what lies below it and "
            f"{_REACH:g} eV above; {remedy}."
        )
    after = low_loss[place:]
    mirrored = np.zeros(after.size)
    number = min(place + 1, after.size)
    mirrored[:number] = low_loss[place::-1][:number]
    elastic = low_loss[:place].sum() + after[0] + mirrored[1:].sum()
    inelastic = after - mirrored
    inelastic[: int(np.ceil(_WIDTHS * width))] = 0.0
    return Scattering(step * np.arange(after.size), inelastic / (elastic * step))


def plural_curve(energy_ev: np.ndarray, mean: np.ndarray, scattering: Scattering) -> np.ndarray:
    """The mean reference as electrons show it that were scattered once more, unit mean square."""
    curve = scattering.again(energy_ev, mean)
    size = float(np.sqrt(np.mean(curve**2)))
    return curve / size if size > 0 else np.linspace(-1, 1, energy_ev.size) ** 3
