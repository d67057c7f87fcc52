# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of dose axis and processing in the kinetics tool, each as arguments of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traits.api as t

from hyperspy_dosekin.signals.axes.dose_axis import (
    DOSE_UNITS,
    SERIES_WORDS,
    doses_of,
    find_dose_axis,
)
from hyperspy_dosekin.signals.processing.record import record_of
from hyperspy_dosekin.signals.processing.unprocessed import signs_of_raw

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

#: What `set_dose_axis` takes rates in.
RATE_UNITS = f"{DOSE_UNITS}/s"


class DoseControls(t.HasTraits):
    """Where the doses come from.

    Attributes
    ----------
    source
        ``"signal"``: the axis as it is calibrated; ``"rate"``: dose rate and frame time.
    axis
        Which navigation axis counts the frames: one of `axes`, its place among them.
    dose_rate
        In `RATE_UNITS`, as `set_dose_axis` takes it.
    frame_time
        In s.
    pre_exposure
        Dose before the first frame, in `DOSE_UNITS`.
    at
        Moment of a frame whose dose counts.
    doses, unit, recorded
        Doses of the signal, their unit, and the pre-exposure that is among them.
    """

    source = t.Enum("signal", "rate")
    axis = t.Int(0)
    dose_rate = t.Float(0.0, label=f"Dose rate ({RATE_UNITS})")
    frame_time = t.Float(0.0, label="Frame time (s)")
    pre_exposure = t.Float(0.0, label=f"Pre-exposure ({DOSE_UNITS})")
    at = t.Enum("end", "middle", "start")

    def __init__(self, signal: BaseSignal) -> None:
        axes = signal.axes_manager.navigation_axes
        if not axes:
            raise ValueError(
                "the signal is a single spectrum, and degradation needs a series of them, at least "
                "four at different doses; stack them with hyperspy.api.stack first."
            )
        found = find_dose_axis(signal)
        self.has_dose = found is not None
        self.axes = tuple(
            f"{axis.name if isinstance(axis.name, str) and axis.name else place} ({axis.size})"
            for place, axis in enumerate(axes)
        )
        chosen = found if found is not None else _series_axis(axes)
        recorded = signal.metadata.get_item("Dose.pre_exposure", 0.0) if self.has_dose else 0.0
        self.recorded = float(recorded or 0.0)
        self.doses, self.unit = (), DOSE_UNITS
        if found is not None:
            doses, self.unit = doses_of(found.axis, found.units)
            self.doses = tuple(doses.tolist())
        time = signal.metadata.get_item("Acquisition_instrument.TEM.Detector.EELS.exposure", 0.0)
        super().__init__(
            source="signal" if self.has_dose else "rate",
            axis=axes.index(chosen),
            frame_time=float(time or 0.0),
            pre_exposure=self.recorded,
        )

    def arguments(self) -> dict[str, Any]:
        """Arguments of `set_dose_axis`; empty where the axis stays as it is.

        Raises
        ------
        ValueError
            If something is missing, saying what.
        """
        if self.source == "signal":
            if not self.has_dose:
                raise ValueError(
                    f"no axis of the signal holds doses; give the dose rate ({RATE_UNITS}) and "
                    "the frame time (s)."
                )
            if self.pre_exposure == self.recorded:
                return {}
            if self.unit != DOSE_UNITS:
                raise ValueError(
                    f"the dose axis is in {self.unit or 'no unit'}, which does not convert into "
                    f"{DOSE_UNITS}, the unit of the pre-exposure; leave that as it was."
                )
            # The doses themselves, so that the call can be repeated without adding up.
            first = [float(f"{dose - self.recorded:.12g}") for dose in self.doses]
            return {"dose": first, "axis": self.axis, "pre_exposure": float(self.pre_exposure)}
        missing = [
            f"{what} ({unit})"
            for what, unit, value in (
                ("dose rate", RATE_UNITS, self.dose_rate),
                ("frame time", "s", self.frame_time),
            )
            if not value > 0
        ]
        if missing:
            raise ValueError(f"give the {' and the '.join(missing)}: a number above zero.")
        arguments = {
            "axis": self.axis,
            "dose_rate": float(self.dose_rate),
            "frame_time": float(self.frame_time),
        }
        if self.pre_exposure:
            arguments["pre_exposure"] = float(self.pre_exposure)
        if self.at != "end":
            arguments["at"] = self.at
        return arguments


def _series_axis(axes: Any) -> object:
    """The axis that `set_dose_axis` would take."""
    for word in SERIES_WORDS:
        for axis in axes:
            if word in str(axis.name).lower():
                return axis
    return axes[-1]


class ProcessingControls(t.HasTraits):
    """Which steps of `process_low_loss` are made.

    Attributes
    ----------
    on
        Whether spectra are processed at all; at the start where they look as if they had not been.
    align, spikes, dark, deconvolve, normalise
        The steps.
    background
        Whether a power law is subtracted.
    background_left, background_right
        Window of that fit, in eV beyond the zero-loss peak.
    resolution
        What happens to the energy resolution.
    """

    on = t.Bool(False, label="Process low loss")
    align = t.Bool(True, label="Align zero-loss peak")
    spikes = t.Bool(True, label="Remove spikes")
    dark = t.Bool(True, label="Subtract dark level")
    deconvolve = t.Bool(True, label="Fourier-log deconvolution")
    normalise = t.Bool(True, label="Normalise to zero-loss peak")
    background = t.Bool(False, label="Power-law background")
    background_left = t.Float(1.0, label="from (eV)")
    background_right = t.Float(2.0, label="to (eV)")
    resolution = t.Enum("zero_loss", "sharpened")

    _STEPS = ("align", "spikes", "dark", "deconvolve", "normalise")

    def __init__(self, signal: BaseSignal) -> None:
        super().__init__(on=_looks_raw(signal))

    def arguments(self) -> dict[str, Any] | None:
        """Arguments of `process_low_loss`, those that differ from its own; ``None`` for no call."""
        if not self.on:
            return None
        arguments: dict[str, object] = {
            step: False for step in self._STEPS if not getattr(self, step)
        }
        if self.background:
            arguments["background"] = (float(self.background_left), float(self.background_right))
        if self.resolution != "zero_loss":
            arguments["resolution"] = self.resolution
        return arguments


def _looks_raw(signal: BaseSignal) -> bool:
    """Whether spectra look unprocessed, with the zero-loss peak on the axis."""
    axis = signal.axes_manager.signal_axes[0]
    return bool(
        axis.is_uniform
        and axis.low_value < 0 < axis.high_value
        and record_of(signal) is None
        and "eV)" not in str(signal.metadata.get_item("Signal.quantity", ""))
        and signs_of_raw(signal, axis)
    )
