# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera and its software make of electrons, and what the file says of the noise."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import check_fields

from .check import checked_channels, require

#: Exposure of a frame, in s.
EXPOSURE = 44.0
#: What recorded spectra may be divided by.
NORMALISATIONS = ("none", "maximum", "sum", "exposure")
#: What a file may say of its noise.
CLAIMS = ("true", "inverse", "counts", "none")


@dataclass(frozen=True)
class Camera:
    """Camera and file; the parameters are those of `hyperspy_dosekin.data.dose_series`.

    Raises
    ------
    ValueError
        If an option is out of its range.
    """

    channels: int
    gain: float = 1.0
    read_noise: float = 0.0
    pedestal: float = 0.0
    average_of: int = 1
    normalise: str = "none"
    claimed_noise: str = "true"
    dead_channels: tuple[int, ...] = ()
    dead_value: float = np.nan

    def __post_init__(self) -> None:
        check_fields(self)
        dead = checked_channels(self.dead_channels)
        value = self.gain
        require(0 < value <= 1e9, "gain", value, "must be positive, at most 1e9")
        value = self.read_noise
        require(0 <= value <= 1e15, "read_noise", value, "must not be negative, at most 1e15")
        require(
            abs(self.pedestal) <= 1e15, "pedestal", self.pedestal, "must be at most 1e15 counts"
        )
        require(
            1 <= self.average_of <= 10**9,
            "average_of",
            self.average_of,
            "must be a number of exposures, one or more",
        )
        for name, known in (("normalise", NORMALISATIONS), ("claimed_noise", CLAIMS)):
            require(getattr(self, name) in known, name, getattr(self, name), f"must be in {known}")
        require(
            all(isinstance(one, Integral) and 0 <= one < self.channels for one in dead),
            "dead_channels",
            self.dead_channels,
            f"must be indices of channels, 0…{self.channels - 1}",
        )
        object.__setattr__(self, "dead_channels", dead)

    @property
    def is_plain(self) -> bool:
        """Whether spectra are what was read out, channel by channel."""
        changes = (self.pedestal, self.average_of, self.normalise, self.claimed_noise)
        return changes == (0.0, 1, "none", "true") and not self.dead_channels

    @property
    def whole_numbers(self) -> bool:
        """Whether recorded counts are integers, as those of a camera are."""
        blind = bool(self.dead_channels) and not float(self.dead_value).is_integer()
        return self.average_of == 1 and self.normalise == "none" and not blind

    def variance(self, electrons: np.ndarray) -> np.ndarray:
        """Variance of the counts of expected `electrons`, before a normalisation."""
        return (self.gain**2 * electrons + self.read_noise**2) / self.average_of

    def expect(self, electrons: np.ndarray) -> np.ndarray:
        """Mean counts of expected `electrons`, before a normalisation."""
        return self.gain * electrons + self.pedestal

    def record(self, electrons: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw the counts of one spectrum, before rounding and normalisation.

        Parameters
        ----------
        electrons
            Expected electrons, shape ``(channels,)``.
        generator
            Source of chance.
        """
        number = self.average_of
        counts = self.gain * generator.poisson(electrons * number) / number
        if self.read_noise:
            noise = self.read_noise * generator.standard_normal(electrons.size)
            counts += noise if number == 1 else noise / np.sqrt(number)
        return counts + self.pedestal

    def finish(self, counts: np.ndarray) -> np.ndarray:
        """What is written into the file of `counts`, shape ``(n_spectrum, channels)``."""
        divisor: Any = 1.0
        if self.normalise == "exposure":
            divisor = EXPOSURE
        elif self.normalise == "maximum":
            divisor = counts.max(axis=-1, keepdims=True)
        elif self.normalise == "sum":
            divisor = counts.sum(axis=-1, keepdims=True)
        if self.normalise != "none":
            counts = counts / divisor
        if self.dead_channels:
            counts = counts.copy()
            counts[..., list(self.dead_channels)] = self.dead_value
        return counts

    def claims(self) -> tuple[str, dict[str, float] | None]:
        """Quantity, and linear model of the variance, that the file has; ``None``: it has none."""
        counts = "Electrons (Counts)"
        if self.claimed_noise == "counts":
            return counts, _linear(1.0, 0.0)
        if self.normalise in ("maximum", "sum"):
            # Every spectrum has a factor of its own: no one line holds for all.
            return "Intensity", None
        if self.claimed_noise == "none":
            return counts, None
        if self.claimed_noise == "inverse":
            return counts, _linear(1.0 / self.gain, 0.0)
        factor = EXPOSURE if self.normalise == "exposure" else 1.0
        gain = self.gain / self.average_of
        # HyperSpy takes no negative offset, so that a pedestal cannot be part of the model.
        offset = self.read_noise**2 / self.average_of
        quantity = counts if factor == 1.0 else "Electrons (Counts/s)"
        return quantity, _linear(gain / factor, offset / factor**2)


def _linear(gain_factor: float, gain_offset: float) -> dict[str, float]:
    # What `estimate_poissonian_noise_variance` reads.
    return {
        "gain_factor": float(gain_factor),
        "gain_offset": float(gain_offset),
        "correlation_factor": 1.0,
    }


class SpectrumNoise:
    """Random numbers that belong to a spectrum, not to the block in which it is computed.

    Parameters
    ----------
    seed
        Source of the key that all spectra share.
    """

    def __init__(self, seed: np.random.SeedSequence) -> None:
        self._key = seed.generate_state(2, np.uint64)

    def generator(self, index: int) -> np.random.Generator:
        """Make the generator of one spectrum; streams are 2^192 numbers apart."""
        counter = np.array([0, 0, 0, index], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=self._key, counter=counter))

    def record(self, electrons: np.ndarray, indices: np.ndarray, camera: Camera) -> np.ndarray:
        """Draw the counts of the camera, before rounding.

        Parameters
        ----------
        electrons
            Expected electrons, shape ``(n_spectrum, channels)``.
        indices
            Index of every spectrum in the whole data set, shape ``(n_spectrum,)``.

        Returns
        -------
        Shape ``(n_spectrum, channels)``, float64.
        """
        counts = np.empty_like(electrons)
        for row, index in enumerate(indices):
            counts[row] = camera.record(electrons[row], self.generator(int(index)))
        return counts

    def disturb(self, values: np.ndarray, variance: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Add normal noise of the given variance; shapes as for `record`."""
        noise = np.stack(
            [self.generator(int(index)).standard_normal(values.shape[-1]) for index in indices]
        )
        return values + np.sqrt(variance) * noise
