# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe with all its chance decided but the noise, and the spectra it leads to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity

from .camera import SpectrumNoise
from .recipe import Recipe
from .spectrometer import Spectrometer

#: Slices of frame, y and x.
Part = tuple[slice, slice, slice]

# Share of the variance of ln k that all windows have in common: regions that suffer, suffer in
# every window.
_COMMON_SHARE = 0.8


@dataclass(frozen=True)
class Spikes:
    """X-ray spikes, one row each.

    Parameters
    ----------
    position
        Indices (frame, y, x), shape ``(n_spike, 3)``.
    channel
        First channel, shape ``(n_spike,)``.
    width
        Number of channels, 1 or 2, shape ``(n_spike,)``.
    """

    position: np.ndarray
    channel: np.ndarray
    width: np.ndarray


def smooth_field(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Sum of the lowest cosines over the field of view.

    Mean 0 and standard deviation 1 over a finely sampled field; the same specimen whatever the
    number of pixels.
    """
    y, x = ((np.arange(size) + 0.5) / size for size in shape)
    field, variance = np.zeros(shape), 0.0
    for m, n in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0)):
        coefficient = generator.standard_normal() / (m * m + n * n)
        field += coefficient * np.outer(np.cos(np.pi * m * y), np.cos(np.pi * n * x))
        variance += coefficient**2 * (0.5 if m else 1.0) * (0.5 if n else 1.0)
    return field / np.sqrt(variance)


def _to_field(value: ArrayLike, shape: tuple[int, int], name: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), shape):
        raise ValueError(
            f"{name} of shape {array.shape} must be a number or, in an image, an array of its "
            f"shape (y, x) = {shape}."
        )
    return np.broadcast_to(array, shape)


class Scene:
    """Specimen and recording conditions of every spectrum.

    Parameters
    ----------
    recipe
        The options.
    shape
        Pixels (y, x) of the image; (1, 1) for a series.
    rate_variation, thickness_variation
        Standard deviation of ln k and of ln t/λ over the field. Values that are given as arrays
        are taken as they are.

    Attributes
    ----------
    rate
        k, shape ``(n_window, y, x)``.
    thickness
        t/λ of the undamaged specimen, shape ``(y, x)``.
    shift, electrons
        Position of the zero-loss peak in eV, electrons over all energies, shape ``(n_dose, y, x)``.
    spikes
        The X-ray spikes.
    """

    def __init__(
        self,
        recipe: Recipe,
        shape: tuple[int, int],
        rate_variation: float = 0.0,
        thickness_variation: float = 0.0,
    ) -> None:
        self.recipe = recipe
        self.shape = shape
        field_seed, beam_seed, spike_seed, noise_seed = np.random.SeedSequence(recipe.seed).spawn(4)
        self.noise = SpectrumNoise(noise_seed)
        self.spectrometer = Spectrometer(recipe)

        generator = np.random.default_rng(field_seed)
        thickness_field = smooth_field(shape, generator)
        common = smooth_field(shape, generator)
        self.thickness = _to_field(recipe.t_over_lambda, shape, "t_over_lambda")
        if np.ndim(recipe.t_over_lambda) == 0:
            self.thickness = self.thickness * np.exp(thickness_variation * thickness_field)
        rates = []
        for name, band in recipe.bands.items():
            own = smooth_field(shape, generator)
            rate = _to_field(band.k, shape, f"kinetics[{name!r}]['k']")
            if np.ndim(band.k) == 0:
                spread = np.sqrt(_COMMON_SHARE) * common + np.sqrt(1 - _COMMON_SHARE) * own
                rate = rate * np.exp(rate_variation * spread)
            rates.append(rate)
        self.rate = np.stack(rates)

        beam = np.random.default_rng(beam_seed)
        full = self.full_shape
        self.electrons = recipe.electrons * np.exp(
            recipe.intensity_variation * beam.standard_normal(full)
        )
        self.shift = self._drift() + recipe.shift_jitter * beam.standard_normal(full)
        self.spikes = self._spikes(np.random.default_rng(spike_seed))

    @property
    def full_shape(self) -> tuple[int, int, int]:
        """Shape (n_dose, y, x) of the navigation space."""
        return (self.recipe.dose.size, *self.shape)

    @property
    def whole(self) -> Part:
        """All of the scene, as a part of it."""
        frames, rows, columns = self.full_shape
        return slice(0, frames), slice(0, rows), slice(0, columns)

    def _drift(self) -> np.ndarray:
        drift = np.asarray(self.recipe.drift, dtype=np.float64)
        frames = self.recipe.dose.size
        if drift.ndim == 0:
            drift = drift * np.arange(frames)
        if drift.shape == (frames,):
            drift = drift[:, None, None]
        if drift.ndim != 3 or np.broadcast_shapes(drift.shape, (1, 1, 1))[0] != frames:
            raise ValueError(
                f"drift of shape {drift.shape} must be one number (eV per frame) or the position "
                f"of the zero-loss peak in each of the {frames} frames, in eV."
            )
        return drift

    def _spikes(self, generator: np.random.Generator) -> Spikes:
        recipe = self.recipe
        rate = 0.0 if recipe.processed else recipe.spike_rate
        number = generator.poisson(rate, size=self.full_shape)
        position = np.repeat(np.argwhere(number), number[number > 0], axis=0)
        return Spikes(
            position,
            generator.integers(0, recipe.channels - 1, len(position)),
            generator.integers(1, 3, len(position)),
        )

    def integrity(self, part: Part = (slice(None), slice(None), slice(None))) -> np.ndarray:
        """Integrity of the bands, shape ``(n_window, n_dose, y, x)``, or of a part of the scene."""
        frames, rows, columns = part
        dose = self.recipe.true_dose[frames, None, None] / self.recipe.dose_max
        exponent = np.array([band.p for band in self.recipe.bands.values()])
        rate = self.rate[:, None, rows, columns]
        return power_law_integrity(dose, rate, exponent[:, None, None, None])

    def shares(self, integrity: np.ndarray) -> np.ndarray:
        """Shares of the shapes in the single scattering.

        Parameters
        ----------
        integrity
            Shape ``(n_window, …)``.

        Returns
        -------
        Shape ``(…, 1 + n_window)``, in units of the undamaged specimen's scattering.
        """
        bands = list(self.recipe.bands.values())
        rest = 1 - sum(band.a + band.b for band in bands)
        held = [band.a * part + band.b for band, part in zip(bands, integrity, strict=True)]
        return np.stack([np.full(integrity.shape[1:], max(rest, 0.0)), *held], axis=-1)

    def block(self, part: Part, *, variance: bool = False) -> np.ndarray:
        """Spectra of a part of the scene.

        Parameters
        ----------
        part
            Slices of frame, y and x, with start and stop.
        variance
            Give the noise variance of processed spectra instead of the spectra.

        Returns
        -------
        Shape ``(n_dose, y, x, channels)`` of the part.
        """
        recipe = self.recipe
        size = tuple(piece.stop - piece.start for piece in part)
        shares = self.shares(self.integrity(part)).reshape(-1, 1 + len(self.rate))
        thickness = np.broadcast_to(self.thickness[part[1:]], size).ravel()
        electrons = self.electrons[part].ravel()
        grid = np.ix_(*(np.arange(piece.start, piece.stop) for piece in part))
        indices = np.ravel_multi_index(np.broadcast_arrays(*grid), self.full_shape).ravel()
        if recipe.processed:
            values = self._processed(shares, thickness, electrons, indices, variance)
        else:
            shift = self.shift[part].ravel()
            values = self._recorded(shares, thickness, electrons, shift, indices)
        return values.reshape(*size, recipe.channels).astype(recipe.stored, copy=False)

    def _processed(
        self,
        shares: np.ndarray,
        thickness: np.ndarray,
        electrons: np.ndarray,
        indices: np.ndarray,
        variance: bool,
    ) -> np.ndarray:
        recipe = self.recipe
        values = (thickness[:, None] * shares) @ self.spectrometer.scattering.shapes(recipe.energy)
        if not recipe.noise:
            return np.zeros_like(values) if variance else values
        # What a deconvolution does at best: the noise of the recorded counts, in units of the
        # zero-loss peak.
        aligned = np.zeros_like(electrons)
        expected = self.spectrometer.expected_electrons(shares, thickness, electrons, aligned)
        zero_loss = electrons * np.exp(-thickness * shares.sum(axis=-1))
        unit = recipe.gain * zero_loss * recipe.energy_scale
        noise = recipe.camera.variance(expected) / unit[:, None] ** 2
        return noise if variance else self.noise.disturb(values, noise, indices)

    def _recorded(
        self,
        shares: np.ndarray,
        thickness: np.ndarray,
        electrons: np.ndarray,
        shift: np.ndarray,
        indices: np.ndarray,
    ) -> np.ndarray:
        recipe = self.recipe
        expected = self.spectrometer.expected_electrons(shares, thickness, electrons, shift)
        if recipe.noise:
            counts = self.noise.record(expected, indices, recipe.camera)
        else:
            counts = recipe.camera.expect(expected)
        self._add_spikes(counts, expected, indices)
        counts = recipe.camera.finish(counts)
        if recipe.stored.kind in "iu":
            limits = np.iinfo(recipe.stored)
            # A camera saturates; it does not wrap around.
            counts = np.clip(np.rint(counts), limits.min, limits.max)
        return counts

    def _add_spikes(self, counts: np.ndarray, expected: np.ndarray, indices: np.ndarray) -> None:
        recipe, spikes = self.recipe, self.spikes
        if not len(spikes.channel):
            return
        flat = np.ravel_multi_index(tuple(spikes.position.T), self.full_shape)
        # Indices of a block ascend.
        row = np.minimum(np.searchsorted(indices, flat), len(indices) - 1)
        here = indices[row] == flat
        for which, channel, width in zip(
            row[here], spikes.channel[here], spikes.width[here], strict=True
        ):
            noise = np.sqrt(recipe.camera.variance(expected[which, channel]))
            counts[which, channel : channel + width] += recipe.spike_height * max(noise, 1.0)
