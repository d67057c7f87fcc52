# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The areas of a growing series as `integrate_windows` makes them of a whole one."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.signals.axes.processed import RECORD
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.axes.variance import attach_variance
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series
from hyperspy_dosekin.signals.processing.normalisation import FEWEST, error_of
from hyperspy_dosekin.signals.processing.normalisation import NAME as NORMALISATION
from hyperspy_dosekin.signals.processing.zero_loss_error import NAME as ZERO_LOSS

from .frames import FrameReader
from .growing import Exposure, GrowingSeries

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries

#: Where the series has the t/λ of its frames, if they have one.
THICKNESS = "Dosekin.thickness"


def as_dose_series(
    series: GrowingSeries, reader: FrameReader, exposure: Exposure, dose_unit: str
) -> DoseSeries:
    """A `DoseSeries` of all frames so far, by dose.

    Parameters
    ----------
    exposure, dose_unit
        How doses follow, and their unit.

    Raises
    ------
    ValueError
        If two frames have the same dose.
    """
    same = np.flatnonzero(np.diff(series.dose) <= 0)
    if same.size:
        pair = series.index[same[0] : same[0] + 2]
        raise ValueError(
            f"frames {pair[0]} and {pair[1]} have the same dose {series.dose[same[0]]:.3g}, and "
            "the doses of a series must rise; give the cumulative dose of each frame, "
            "update(frame, dose=…)."
        )
    shape = (series.n_frame, *(reader.shape or ())[:-1], len(reader.names))
    dose_metadata: dict[str, Any] = {
        **reader.metadata.get("Dose", {}),
        "pre_exposure": exposure.pre_exposure,
        "source": "LiveKinetics",
        "at": "end",
    }
    if exposure.dose_rate is not None:
        dose_metadata["dose_rate"] = exposure.dose_rate
        dose_metadata["frame_time"] = exposure.frame_time
    if not reader.areas_given:
        dose_metadata["window_ranges"] = [[w.left, w.right] for w in reader.windows]
        dose_metadata["window_units"] = "eV"

    def in_order(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(array.reshape(shape), 0, -1))

    made: Any = make_dose_series(
        in_order(series.values),
        series.dose,
        reader.space_axes,
        reader.names,
        title="Window areas",
        quantity=reader.quantity,
        dose_unit=dose_unit,
        dose_metadata=dose_metadata,
    )
    if series.variance is not None:
        attach_variance(made, in_order(series.variance))
    if reader.steps and not reader.areas_given:
        told = {"chain": "LiveKinetics", "version": version("hyperspy_dosekin")}
        made.metadata.set_item(RECORD, {**told, "steps": [f"live_{each}" for each in reader.steps]})
    errors: dict[str, Any] = {}
    thickness = series.thickness
    if thickness is not None:
        made.metadata.set_item(THICKNESS, thickness)
        if series.n_frame >= FEWEST:
            errors[NORMALISATION] = error_of(thickness, series.dose)
    if reader.residue is not None:
        made.metadata.set_item("Dosekin.zero_loss_residue", reader.residue)
        areas = np.where(made.data == 0, np.inf, made.data)
        errors[ZERO_LOSS] = reader.residue[:, np.newaxis] / areas
    attach_shared_errors(made, errors)
    return made
