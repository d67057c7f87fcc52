# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth behind a simulation, as numbers and arrays that HyperSpy files can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.power_law import half_dose

from .recipe import RECIPE_VERSION
from .scene import Scene


def describe(scene: Scene, *, image: bool) -> dict[str, Any]:
    """Content of ``metadata.Simulation``.

    Parameters
    ----------
    image
        Whether arrays keep their axes y and x.

    Returns
    -------
    Nested dictionary. Maps are ``(window, [y, x])``, curves ``([y, x,] window, dose)``, and what
    belongs to a spectrum has the navigation shape of the data, ``(dose, [y, x])``.
    """
    recipe = scene.recipe
    bands = list(recipe.bands.values())
    integrity = scene.integrity()
    shares = scene.shares(integrity)
    # (window, dose, y, x)
    local = scene.thickness * np.moveaxis(shares, -1, 0)
    spectrometer = scene.spectrometer
    areas = np.tensordot(spectrometer.scattering.areas(), local, axes=1)
    resolved = np.tensordot(spectrometer.areas_at_resolution(), local, axes=1)

    def as_map(values: np.ndarray) -> np.ndarray:
        return values if image else values[..., 0, 0]

    def as_curves(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, (0, 1), (-2, -1)) if image else values[..., 0, 0]

    amplitude = np.multiply.outer([band.a for band in bands], scene.thickness)
    exponent = np.array([band.p for band in bands])
    half = half_dose(scene.rate, exponent[:, None, None]) * recipe.dose_max
    truth: dict[str, Any] = {
        "recipe_version": RECIPE_VERSION,
        "seed": int(recipe.seed),
        "processed": bool(recipe.processed),
        "noise": bool(recipe.noise),
        "window_names": list(recipe.window_names),
        "window_ranges": recipe.window_ranges,
        "dose": recipe.true_dose,
        "recorded_dose": recipe.dose,
        "dose_max": recipe.dose_max,
        "pre_exposure": float(recipe.pre_exposure),
        "rate": as_map(scene.rate),
        "rate_per_dose": as_map(scene.rate / recipe.dose_max),
        "exponent": exponent,
        "amplitude": as_map(amplitude),
        "offset": as_map(areas[:, 0] - amplitude * integrity[:, 0]),
        "band_amplitude": np.array([band.a for band in bands], dtype=np.float64),
        "band_offset": np.array([band.b for band in bands], dtype=np.float64),
        "half_integrity_dose": as_map(np.where(np.isfinite(half), half, np.nan)),
        "integrity": as_curves(integrity),
        "window_areas": as_curves(areas),
        "window_areas_at_resolution": as_curves(resolved),
        "t_over_lambda": as_map(local.sum(axis=0)),
        "electrons": as_map(scene.electrons),
        "gain": float(recipe.gain),
        "read_noise": float(recipe.read_noise),
        "intensity_variation": float(recipe.intensity_variation),
        "zero_loss_position": as_map(
            np.zeros_like(scene.shift) if recipe.processed else scene.shift
        ),
        "zero_loss_fwhm": float(recipe.zero_loss_fwhm),
        "zero_loss_asymmetry": float(recipe.zero_loss_asymmetry),
        "zero_loss_tail": float(recipe.zero_loss_tail),
        "channel_response": recipe.channel_response,
        "plasmon_energy": float(recipe.plasmon_energy),
        "plasmon_width": float(recipe.plasmon_width),
        "pedestal": float(recipe.pedestal),
        "average_of": int(recipe.average_of),
        "normalise": recipe.normalise,
        "claimed_noise": recipe.claimed_noise,
        "number_of_spikes": len(scene.spikes.channel),
    }
    # Files hold no empty arrays.
    if recipe.camera.dead_channels:
        truth["dead_channels"] = list(recipe.camera.dead_channels)
    if len(recipe.vibrations):
        truth |= {"vibrations": recipe.vibrations, "temperature": float(recipe.temperature)}
    if truth["number_of_spikes"]:
        position = scene.spikes.position
        truth["spikes"] = {
            "position": position if image else position[:, :1],
            "channel": scene.spikes.channel,
            "width": scene.spikes.width,
            "height": float(recipe.spike_height),
        }
    return truth
