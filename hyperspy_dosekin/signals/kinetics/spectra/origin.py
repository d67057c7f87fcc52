# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the spectra of a fit of whole spectra come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.model.dose_error import EXACT, DoseError


@dataclass(frozen=True, eq=False)
class SpectraOrigin:
    """Where the fitted spectra come from, and what was done to them.

    Parameters
    ----------
    energy_axis
        HyperSpy's description of the energy axis of the fit.
    used
        Channels of it that have a value in every frame.
    dose_unit, title, quantity
        As in the data.
    pixels
        Number of pixels that each spectrum is the mean of.
    left_out
        Number of frames without values.
    doses_differ
        Whether the pixels have received different doses.
    dose_error
        How well the doses are known.
    frame_error
        Relative standard deviation of the intensity of each frame.
    drifts
        Whether a drift of the normalisation is in the intervals.
    exposure_known
        Whether the exposure before the first frame is recorded.
    processing
        What was done to the spectra before, as `processing_of` reads it.
    """

    energy_axis: dict[str, Any]
    used: np.ndarray
    dose_unit: str = ""
    title: str = ""
    quantity: str = "Intensity"
    pixels: int = 1
    left_out: int = 0
    doses_differ: bool = False
    dose_error: DoseError = EXACT
    frame_error: float = 0.0
    drifts: bool = False
    exposure_known: bool = True
    processing: Mapping[str, Any] = field(default_factory=dict)

    @property
    def energy(self) -> np.ndarray:
        """Energies of the channels, in units of the axis."""
        axis = self.energy_axis
        if "axis" in axis:
            return np.asarray(axis["axis"])
        return axis["offset"] + axis["scale"] * np.arange(axis["size"])
