# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the kinetics tool: dose axis, processing and fit, each as arguments of a call."""

from __future__ import annotations

from typing import Any

import numpy as np
import traits.api as t

from hyperspy_dosekin.signals.axes.dose import SERIES_WORDS, dose_unit_factor, find_dose_axis
from hyperspy_dosekin.signals.processing.record import record_of
from hyperspy_dosekin.signals.processing.unprocessed import signs_of_raw


class DoseControls(t.HasTraits):
    """Where the doses come from.

    Attributes
    ----------
    source
        ``"signal"``: the axis as it is calibrated; ``"rate"``: dose rate and frame time.
    axis
        Which navigation axis counts the frames: one of `axes`, its place among them.
    dose_rate
        In e⁻/Å²/s.
    frame_time
        In s.
    pre_exposure
        Dose before the first frame, in e⁻/Å².
    at
        Moment of a frame whose dose counts.
    """

    source = t.Enum("signal", "rate")
    axis = t.Int(0)
    dose_rate = t.Float(0.0, label="Dose rate (e⁻/Å²/s)")
    frame_time = t.Float(0.0, label="Frame time (s)")
    pre_exposure = t.Float(0.0, label="Pre-exposure (e⁻/Å²)")
    at = t.Enum("end", "middle", "start")

    def __init__(self, signal: Any) -> None:
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
        self._recorded = float(recorded or 0.0)
        self._doses = ()
        if found is not None:
            factor = dose_unit_factor(found.units) or 1.0
            self._doses = tuple(np.asarray(found.axis, dtype=np.float64) * factor)
        time = signal.metadata.get_item("Acquisition_instrument.TEM.Detector.EELS.exposure", 0.0)
        super().__init__(
            source="signal" if self.has_dose else "rate",
            axis=axes.index(chosen),
            frame_time=float(time or 0.0),
            pre_exposure=self._recorded,
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
                    "no axis of the signal holds doses; give the dose rate (e⁻/Å²/s) and the "
                    "frame time (s)."
                )
            if self.pre_exposure == self._recorded:
                return {}
            # The doses themselves, so that the call can be repeated without adding up.
            first = [float(f"{dose - self._recorded:.12g}") for dose in self._doses]
            return {"dose": first, "axis": self.axis, "pre_exposure": float(self.pre_exposure)}
        missing = [
            f"{what} ({unit})"
            for what, unit, value in (
                ("dose rate", "e⁻/Å²/s", self.dose_rate),
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


def _series_axis(axes: Any) -> Any:
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

    def __init__(self, signal: Any) -> None:
        super().__init__(on=_looks_raw(signal))

    def arguments(self) -> dict[str, Any] | None:
        """Arguments of `process_low_loss`, those that differ from its own; ``None`` for no call."""
        if not self.on:
            return None
        arguments: dict[str, Any] = {step: False for step in self._STEPS if not getattr(self, step)}
        if self.background:
            arguments["background"] = (float(self.background_left), float(self.background_right))
        if self.resolution != "zero_loss":
            arguments["resolution"] = self.resolution
        return arguments


def _looks_raw(signal: Any) -> bool:
    """Whether spectra look unprocessed, with the zero-loss peak on the axis."""
    axis = signal.axes_manager.signal_axes[0]
    return bool(
        axis.is_uniform
        and axis.low_value < 0 < axis.high_value
        and record_of(signal) is None
        and "eV)" not in str(signal.metadata.get_item("Signal.quantity", ""))
        and signs_of_raw(signal, axis)
    )


class FitControls(t.HasTraits):
    """What is known before the fit, and who makes it.

    Attributes
    ----------
    estimator
        ``"exact"`` or ``"pinn"``: what Apply keeps. The live figure is always exact.
    extent
        ``"region"``: the mean over what the figure shows; ``"pixels"``: maps of every pixel.
    offset_known, offset
        Whether b is known, and b: one number, or one for each window with commas between them.
    exponent, exponent_value
        ``"free"``, ``"known"`` with its value, or ``"shared"`` by all windows.
    hierarchy, faster, slower
        Whether k of one window is held above that of another.
    protocol
        Training of the network.
    """

    estimator = t.Enum("exact", "pinn")
    extent = t.Enum("region", "pixels")
    offset_known = t.Bool(False, label="Offset b known")
    offset = t.Str("0")
    exponent = t.Enum("free", "known", "shared")
    exponent_value = t.Float(1.0, label="Exponent p")
    hierarchy = t.Bool(True, label="Hierarchy")
    faster = t.Str("C–O")
    slower = t.Str("C–C")
    protocol = t.Enum("fast", "paper")

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = dict(given)
        traits: dict[str, Any] = {}
        if "law" in given:
            raise ValueError(
                "the tool fits the power law; fit other laws with s.fit_dose_pinn(law=…)."
            )
        if "spatial" in given:
            raise ValueError("the tool has a control for the region; leave spatial= out.")
        if self.given.get("offset") is not None:
            values = np.atleast_1d(np.asarray(self.given["offset"], dtype=np.float64))
            traits |= {"offset_known": True, "offset": ", ".join(f"{v:.12g}" for v in values)}
        if self.given.get("exponent") is not None:
            exponent = self.given["exponent"]
            if exponent == "shared":
                traits["exponent"] = "shared"
            else:
                traits |= {"exponent": "known", "exponent_value": float(exponent)}
        if "hierarchy" in self.given:
            pairs = tuple(tuple(pair) for pair in self.given["hierarchy"] or ())
            if len(pairs) > 1:
                raise ValueError("the tool holds one pair of the hierarchy; pass one.")
            traits["hierarchy"] = bool(pairs)
            if pairs:
                traits |= {"faster": str(pairs[0][0]), "slower": str(pairs[0][1])}
        traits |= {n: self.given[n] for n in ("estimator", "protocol") if self.given.get(n)}
        held = ("offset", "exponent", "hierarchy", "estimator", "protocol")
        self.given = {name: value for name, value in self.given.items() if name not in held}
        super().__init__(**traits)

    def offset_values(self, n_window: int) -> float | tuple[float, ...] | None:
        """The known offset as `fit_dose_pinn` takes it.

        Raises
        ------
        ValueError
            If the text holds no numbers, or not one or one for each window.
        """
        if not self.offset_known:
            return None
        try:
            values = tuple(float(part) for part in self.offset.split(",") if part.strip())
        except ValueError:
            values = ()
        if len(values) not in (1, n_window) or not all(map(np.isfinite, values)):
            raise ValueError(
                f"offset b: {self.offset!r} is neither a number nor {n_window} numbers with commas "
                "between them, one for each window, in the unit of the areas."
            )
        return values[0] if len(values) == 1 else values

    def options(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Arguments of `fit_dose_pinn` that differ from its own, without estimator and extent.

        Parameters
        ----------
        names
            Names of the windows.

        Raises
        ------
        ValueError
            As `offset_values`, or if the exponent is out of range.
        """
        options = dict(self.given)
        offset = self.offset_values(len(names))
        if offset is not None:
            options["offset"] = offset
        if self.exponent == "shared":
            options["exponent"] = "shared"
        elif self.exponent == "known":
            if not 0 <= self.exponent_value <= 10:
                raise ValueError(
                    f"exponent p = {self.exponent_value:g} must lie between 0 and 10; 1 is first "
                    "order."
                )
            options["exponent"] = float(self.exponent_value)
        pair = (self.faster, self.slower)
        if not self.hierarchy:
            options["hierarchy"] = ()
        elif pair != ("C–O", "C–C"):
            if pair[0] == pair[1]:
                raise ValueError("hierarchy: choose two different windows.")
            options["hierarchy"] = (pair,)
        return options

    def renamed(self, old: str, new: str) -> None:
        """Follow a window that has got another name."""
        self.trait_set(**{side: new for side in ("faster", "slower") if getattr(self, side) == old})
