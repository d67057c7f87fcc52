# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes single spectra differ from their references, and its description by few numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperspy_dosekin.classification.noise import NoiseModel

#: Names of the distributions of the intensity scale.
SCALE_SHAPES = ("normal", "uniform", "lognormal")
#: Half width of a uniform distribution in units of its standard deviation.
HALF_WIDTH = float(np.sqrt(3))
#: Exponents of the power laws whose span models a residual background.
_EXPONENTS = np.linspace(0.5, 7.0, 14)


@dataclass(frozen=True, eq=False)
class Nuisances:
    """Everything but the class that shapes a measured spectrum.

    A spectrum is ``scale · reference(E − shift) + background(E) + noise``, the reference a
    mixture of those of its class with weights uniform on the simplex.

    Parameters
    ----------
    noise
        Gain and read noise.
    scale_mean, scale_sd, scale_shape
        Distribution of the intensity (thickness) factor; ``"normal"``, ``"uniform"`` or, for wide
        ones, ``"lognormal"``. Never negative.
    shift_mean_ev, shift_sd_ev
        Normal distribution of the energy shift, eV.
    background_basis
        Smooth residual backgrounds, ``(n_basis, n_channels)``.
    background_mean, background_covariance
        Normal distribution of their coefficients, ``(n_basis,)`` and ``(n_basis, n_basis)``.
    class_share
        Share of each class among the spectra they were estimated from, ``(n_class,)``.
    strange_share
        Share of spectra, of those they were estimated from, that no class explains.
    n_misfit
        How many of the backgrounds, the last ones, are what most spectra leave of the references.

    Raises
    ------
    ValueError
        If a standard deviation is negative or the shape of the scale is unknown.
    """

    noise: NoiseModel
    scale_mean: float
    scale_sd: float
    shift_mean_ev: float
    shift_sd_ev: float
    background_basis: np.ndarray
    background_mean: np.ndarray
    background_covariance: np.ndarray
    class_share: np.ndarray
    scale_shape: str = "normal"
    notes: tuple[str, ...] = field(default=())
    strange_share: float = 0.0
    n_misfit: int = 0

    def __post_init__(self) -> None:
        for name in ("scale_sd", "shift_sd_ev"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be zero or more.")
        if not self.scale_mean > 0:
            raise ValueError(f"scale_mean={self.scale_mean} must be positive.")
        if self.scale_shape not in SCALE_SHAPES:
            raise ValueError(
                f"scale_shape={self.scale_shape!r} must be one of {list(SCALE_SHAPES)}."
            )

    def summary(self) -> dict[str, Any]:
        """The numbers that a report shows."""
        smooth = slice(len(self.background_mean) - self.n_misfit)
        basis = self.background_basis[smooth]
        covariance = self.background_covariance[smooth, smooth]
        background = np.einsum("ic,ij,jc->c", basis, covariance, basis)
        return {
            "scale_mean": self.scale_mean,
            "scale_sd": self.scale_sd,
            "scale_shape": self.scale_shape,
            "shift_mean_ev": self.shift_mean_ev,
            "shift_sd_ev": self.shift_sd_ev,
            "background_sd": float(np.sqrt(background.mean())),
            "background_mean": float((self.background_mean[smooth] @ basis).mean()),
            "noise_gain": float(self.noise.gain),
            "noise_sd_at_zero": float(np.sqrt(self.noise.offset.mean())),
        }

    def misfit(self, basis: np.ndarray) -> np.ndarray:
        """Mean square of what most spectra leave of the references, ``(n_channels,)``.

        Parameters
        ----------
        basis
            `background_basis`, or what a filter makes of it.
        """
        curves = slice(len(self.background_mean) - self.n_misfit, None)
        mean = self.background_mean[curves]
        moments = self.background_covariance[curves, curves] + np.outer(mean, mean)
        return np.einsum("ic,ij,jc->c", basis[curves], moments, basis[curves])


def background_basis(energy_ev: np.ndarray, number: int = 2) -> np.ndarray:
    """Orthogonal curves, of unit mean square, that span power laws of the energy.

    Parameters
    ----------
    energy_ev
        Shape ``(n_channels,)``.
    """
    # Near the zero-loss peak a power law of the energy itself would diverge.
    span = energy_ev[-1] - energy_ev[0]
    relative = (energy_ev - energy_ev[0]) / max(energy_ev[0], span / 2) + 1
    laws = relative[None] ** -_EXPONENTS[:, None]
    _, _, vectors = np.linalg.svd(laws, full_matrices=False)
    vectors = vectors[:number] * np.sqrt(energy_ev.size)
    return vectors * np.sign(vectors[:, :1])


def shift_templates(templates: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Templates moved towards higher channels, linearly interpolated, end values held.

    Parameters
    ----------
    templates
        Shape ``(n_template, n_channels)``.
    shifts
        In channels, ``(n_shift,)``.

    Returns
    -------
    Shape ``(n_template, n_shift, n_channels)``.
    """
    n_channels = templates.shape[-1]
    place = np.clip(np.arange(n_channels) - np.asarray(shifts)[:, None], 0, n_channels - 1)
    left = np.minimum(place.astype(int), n_channels - 2)
    part = place - left
    return templates[:, left] * (1 - part) + templates[:, left + 1] * part
