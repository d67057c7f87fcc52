# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From single scattering to what reaches a camera: plural scattering, zero-loss peak, channels."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft
from scipy.interpolate import CubicSpline

from .recipe import Recipe
from .single_scattering import HIGHEST_ENERGY, SingleScattering

# Spectra transformed at once: the work arrays stay in the processor's cache, which doubles the
# speed, whatever the size of a block.
_BATCH = 16
# The zero-loss transform at the highest frequency kept is e^-_DECAY; less would ring visibly in
# the empty channels before the peak.
_DECAY = 30.0
_BOLTZMANN = 8.617333262e-5  # eV/K


class Spectrometer:
    """Expected spectra of specimens with plural scattering.

    With S the single-scattering distribution relative to the zero-loss peak and Λ its integral,
    t/λ, the spectrum of N electrons is ``N exp(−Λ) F⁻¹[Z(f) exp S(f)]``: the orders of scattering
    are Poisson distributed. The energy axis is padded and subdivided for the transforms, so that
    neither wrap-around nor the channel width shapes the result.

    Parameters
    ----------
    recipe
        Energy axis and zero-loss peak.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        highest = max(HIGHEST_ENERGY, float(recipe.energy[-1]))
        plasmon = (recipe.plasmon_energy, recipe.plasmon_width)
        self.scattering = SingleScattering(recipe.window_ranges, highest, plasmon)
        sigma = recipe.zero_loss_fwhm / math.sqrt(8 * math.log(2))
        # exp(−2π²σ²f²) = e^-_DECAY at f = 1/(2 step).
        widest_step = math.pi * sigma / math.sqrt(2 * _DECAY)
        self.subdivision = math.ceil(recipe.energy_scale / widest_step)
        self.step = recipe.energy_scale / self.subdivision
        # Twice scattered electrons still fit; the third order beyond that is negligible.
        period = 2 * highest - recipe.energy_offset + 20 * recipe.zero_loss_fwhm
        # By their signatures, functions of scipy.fft return nothing that is an array or a number.
        self.length = int(np.asarray(fft.next_fast_len(math.ceil(period / self.step), real=True)))
        self.frequency = fft.rfftfreq(self.length, self.step)
        shapes = self.scattering.shapes(self.step * np.arange(self.length))
        self.transforms = self.step * np.asarray(fft.rfft(shapes, axis=-1))
        self.zero_loss = self._zero_loss_transform(sigma)
        if recipe.channel_response == "integrated":
            # A channel is the integral of the density over its width.
            self.zero_loss = self.zero_loss * np.sinc(self.frequency * recipe.energy_scale)
        self.elastic = self.zero_loss * self._vibration_transform()

    def _zero_loss_transform(self, sigma: float) -> np.ndarray:
        """Transform of the zero-loss peak, 1 at f = 0.

        Gaussian core, drawn out to the loss side by an exponential if asymmetric, plus a share
        with Lorentzian tails. The centroid of the core is at zero.
        """
        recipe, cycle = self.recipe, 2 * np.pi * self.frequency
        gaussian = np.exp(-0.5 * (sigma * cycle) ** 2)
        decay = recipe.zero_loss_asymmetry
        core = np.exp(1j * cycle * decay) / (1 + 1j * cycle * decay)
        lorentzian = np.exp(-0.5 * cycle * recipe.zero_loss_fwhm)
        tail = recipe.zero_loss_tail
        return gaussian * ((1 - tail) * core + tail * lorentzian)

    def _vibration_transform(self) -> np.ndarray | float:
        """Transform of what vibrations do to the zero-loss peak, 1 at f = 0.

        Lorentzian losses, and gains weaker by the Boltzmann factor (detailed balance), in
        Poisson-distributed numbers as for every excitation of independent oscillators.
        """
        exponent: np.ndarray | float = 0.0
        cycle = 2 * np.pi * self.frequency
        for energy, share, width in np.asarray(self.recipe.vibrations):
            gain = math.exp(-energy / (_BOLTZMANN * self.recipe.temperature))
            damped = share * np.exp(-0.5 * cycle * width)
            turn = np.exp(1j * cycle * energy)
            exponent = exponent + damped * (turn.conj() + gain * turn) - share * (1 + gain)
        return np.exp(exponent)

    def expected_electrons(
        self, shares: np.ndarray, thickness: np.ndarray, electrons: np.ndarray, shift: np.ndarray
    ) -> np.ndarray:
        """Mean number of electrons in every channel.

        Parameters
        ----------
        shares
            Share of each shape in the single scattering, shape ``(n_spectrum, n_shape)``.
        thickness
            t/λ of the undamaged specimen, shape ``(n_spectrum,)``.
        electrons
            Electrons of each spectrum, over all energies, shape ``(n_spectrum,)``.
        shift
            Position of the zero-loss peak on the axis, in eV, shape ``(n_spectrum,)``.

        Returns
        -------
        Shape ``(n_spectrum, channels)``.
        """
        recipe = self.recipe
        result = np.empty((len(shares), recipe.channels))
        cycle = 2j * np.pi * self.frequency
        for start in range(0, len(shares), _BATCH):
            part = slice(start, start + _BATCH)
            weights = thickness[part, None] * shares[part]
            exponent = weights @ self.transforms
            exponent -= exponent[:, :1].real
            exponent += cycle * (recipe.energy_offset - shift[part, None])
            spectrum = np.asarray(fft.irfft(np.exp(exponent) * self.elastic, self.length, axis=-1))
            sampled = spectrum[:, : recipe.channels * self.subdivision : self.subdivision]
            # Density per eV is spectrum/step; a channel holds density times its width.
            result[part] = sampled * (electrons[part, None] * self.subdivision)
        # Rounding leaves about ±1e-16 of the peak where there is nothing.
        return np.maximum(result, 0.0, out=result)

    def areas_at_resolution(self) -> np.ndarray:
        """Like `SingleScattering.areas`, for shapes broadened by the zero-loss peak."""
        broadened = np.asarray(fft.irfft(self.transforms * self.zero_loss, self.length, axis=-1))
        broadened /= self.step
        last = math.ceil(self.scattering.windows.max() / self.step) + 2
        energy = self.step * np.arange(last)
        spline = CubicSpline(energy, broadened[:, :last], axis=-1)
        return np.stack([spline.integrate(*window) for window in self.scattering.windows])
