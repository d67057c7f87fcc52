# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a navigation axis the axis of cumulative dose."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.dose.composition import atoms_of
from hyperspy_dosekin.kinetics.model.dose_error import DoseError
from hyperspy_dosekin.signals.axes.cumulative_dose import cumulative_dose
from hyperspy_dosekin.signals.axes.dose_axis import (
    DOSE_NAME,
    DOSE_UNITS,
    SERIES_WORDS,
    axis_label,
    describe_navigation_axes,
    navigation_axis,
)
from hyperspy_dosekin.signals.axes.dose_numbers import listed
from hyperspy_dosekin.signals.axes.units import has_dimension
from hyperspy_dosekin.signals.axes.variance import share_axes, variance_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.signals.axes.cumulative_dose import At
    from hyperspy_dosekin.signals.axes.dose_axis import AxisLike

#: Doses that differ from an even spacing by less than this share of a step are evenly spaced.
UNIFORM_TOLERANCE = 1e-8


def set_dose_axis(
    self: Any,
    dose: npt.ArrayLike | None = None,
    *,
    axis: AxisLike | None = None,
    dose_rate: npt.ArrayLike | None = None,
    frame_time: npt.ArrayLike | None = None,
    beam_current: float | None = None,
    area: float | None = None,
    probe_area: float | None = None,
    pre_exposure: float | Mapping[str, float] | Sequence[float | Mapping[str, float]] = 0.0,
    at: At = "end",
    dose_map: npt.ArrayLike | None = None,
    composition: str | Mapping[str, float] | None = None,
    uncertainty: float | Mapping[str, float] | None = None,
) -> None:
    r"""Make a navigation axis the axis of cumulative dose.

    The dose of a frame is all that the specimen has received since it was first exposed, before the
    series too: degradation that happened earlier shifts every kinetic parameter. It comes from one
    of three sources,

    * `dose`, as it is;
    * `dose_rate` × `frame_time`, added up over the frames;
    * `beam_current` / *e* / `area` × `frame_time`, added up over the frames,

    and `pre_exposure` is added. Where none of them is given, dose rate, current, area and time are
    those that the file holds, and a line of the log says what was taken.

    What is called dose here is a *fluence*, electrons through an area. The absorbed dose in grays
    follows with `composition`; see `hyperspy_dosekin.dose.convert`.

    Parameters
    ----------
    dose
        Cumulative dose of each frame in e⁻/Å², shape ``(n_frame,)``. Frames that are not in order
        of dose are sorted, data and noise variance with them, and a warning says so.
    axis
        The navigation axis: its name, its index as in ``s.axes_manager[index]`` or the axis itself.
        By default the one called dose, frame, time, stack or similar, else the one in units of
        time, else the last navigation axis that is not in units of length, the one that stacking
        adds; where there are several, a warning says which it is.
    dose_rate
        Dose rate at the specimen in e⁻/Å²/s, a number or one for each frame. By default that in the
        file, as Velox writes it, where neither a current nor an area is given.
    frame_time
        Time between the starts of frames in s, during which the beam is on, a number or one for
        each frame. By default the scale of the frame axis where that is in units of time, or the
        time in the file (``Acquisition_instrument.TEM.Detector.EELS.exposure``, a dwell time, or
        the frame time of Velox). A file holds the time of one spectrum: where `area` is found from
        the pixels of a scan it is multiplied by their number. With a dose rate averaged over the
        scanned area give the time of a whole frame, and where the beam stays on between frames the
        time from one frame to the next.
    beam_current
        Beam current in A; more than 1 µA and less than 1 fA are questioned. By default that in the
        file: ``Acquisition_instrument.TEM.beam_current`` in nA, DigitalMicrograph's probe current
        or Velox's screen current. Zero means that it was not recorded.
    area
        Irradiated area in nm², for a scanned frame the whole scanned area. By default that of the
        pixels, where the other navigation axes are in units of length, otherwise that of the probe.
    probe_area
        Area of the probe in nm², by default that in the file
        (``Acquisition_instrument.TEM.probe_area``, or DigitalMicrograph's probe size). Where it is
        smaller than a pixel, the dose is that of the places which the probe meets, and a warning
        says how much more than the mean that is. For one axis of a scan the area is the length of
        the line times the diameter of the probe.
    pre_exposure
        Dose in e⁻/Å² before the first frame. Or what happened, such as scans to find the place: a
        mapping with ``time`` (s) and either ``dose_rate`` (e⁻/Å²/s) or ``beam_current`` (A) and
        ``area`` (nm²), and with ``number`` where it was repeated; or a list of these.
    at
        Moment of a frame whose dose counts: its ``"end"``, ``"middle"`` or ``"start"``. Only for
        doses computed from a rate.
    dose_map
        Dose of each pixel relative to the dose on the axis, such as the shape of the beam: an array
        of the shape of the other navigation axes (in the order of the array), or a signal with that
        shape. Maps of doses and of rate constants for each dose are then those of the dose that the
        pixel has received.
    composition
        What the specimen consists of, for absorbed doses in MGy beside fluences in the tables: a
        chemical formula such as ``"Zn(C4H5N2)2"``, or a mapping of symbols to numbers of atoms. The
        beam energy is that in the metadata (``Acquisition_instrument.TEM.beam_energy``, keV).
    uncertainty
        How well the doses are known, one standard deviation: a number for their scale (relative:
        current, area, calibration), or a mapping of ``"scale"``, ``"frame"`` (relative, the
        reading of each frame), ``"increment"`` (relative, what each frame received, which adds
        up) and ``"pre_exposure"`` (in e⁻/Å²). Fits take it into intervals and flags.

    Raises
    ------
    TypeError
        If an argument is not numeric.
    ValueError
        If the sources are contradictory or incomplete, a value is negative, zero where it cannot be
        or not finite, the number of doses is not that of frames, doses repeat, or the axis is not a
        navigation axis. The signal is as it was then.

    Warns
    -----
    UserWarning
        If frames were not in order of dose and have been sorted, if it is not clear which axis
        counts the frames, or if the beam current is above 1 µA.

    Notes
    -----
    The axis is called "dose", in e⁻/Å², uniform where doses are evenly spaced and a ``DataAxis``
    otherwise. ``metadata.Dose`` records ``pre_exposure``, ``source``, ``at`` and, where they apply,
    ``dose_rate``, ``frame_time``, ``area``, ``taken`` (what was read from the file, and where),
    ``map``, ``composition``, ``beam_energy``, ``uncertainty`` and ``frame_order`` (the original
    place of each frame, if sorted). Otherwise nothing changes; an open plot is drawn again.

    Examples
    --------
    >>> import exspy
    >>> s = exspy.signals.EELSSpectrum(np.ones((9, 1024)))
    >>> s.set_dose_axis(dose_rate=3.45, frame_time=44.0)
    >>> s.axes_manager["dose"].axis[[0, -1]]
    array([ 151.8, 1366.2])

    50 pA spread over a disc of 100 nm diameter, after 20 e⁻/Å² for finding the place:

    >>> area = np.pi * 50**2
    >>> s.set_dose_axis(beam_current=50e-12, area=area, frame_time=0.5, pre_exposure=20)
    >>> print(s.axes_manager["dose"].axis[0])
    218.67

    Three scans for finding the place, each as long as a frame:

    >>> scans = {"dose_rate": 3.45, "time": 44.0, "number": 3}
    >>> s.set_dose_axis(dose_rate=3.45, frame_time=44.0, pre_exposure=scans)
    >>> print(s.axes_manager["dose"].axis[0].round(1))
    607.2
    """
    series_axis = _choose_axis(self, axis)
    n_frame = series_axis.size
    computed = cumulative_dose(
        self,
        n_frame,
        dose=dose,
        dose_rate=dose_rate,
        frame_time=frame_time,
        beam_current=beam_current,
        area=area,
        probe_area=probe_area,
        pre_exposure=pre_exposure,
        at=at,
        frame_axis=series_axis,
    )
    values, record = computed.values, dict(computed.record)
    if dose_map is not None:
        record["map"] = _relative_doses(self, series_axis, dose_map)
    if composition is not None:
        record["composition"] = atoms_of(composition)
        beam_energy = self.metadata.get_item("Acquisition_instrument.TEM.beam_energy")
        if beam_energy:
            record["beam_energy"] = float(beam_energy)
    if known := DoseError.of(uncertainty).record:
        record["uncertainty"] = known
    order = np.argsort(values, kind="stable")
    _refuse_repeated(values, order)

    # Everything has been checked: from here on the signal changes.
    earlier = self.metadata.get_item("Dose.frame_order")
    if not isinstance(earlier, list | tuple | np.ndarray) or sorted(map(str, earlier)) != sorted(
        map(str, range(n_frame))
    ):
        earlier = range(n_frame)
    if not np.array_equal(order, np.arange(n_frame)):
        warnings.warn(
            f"the doses {listed(values)} are not ascending; the frames have been sorted by dose, "
            f"in the order {order.tolist()}.",
            UserWarning,
            stacklevel=2,
        )
        _sort_frames(self, series_axis, order)
    original = [int(earlier[place]) for place in order]
    if original != list(range(n_frame)):
        record["frame_order"] = original
    # Slices of the variance, which go by its own axes, must be those of the data.
    share_axes(self)
    _calibrate(self, series_axis, values[order])
    self.metadata.set_item("Dose", record)
    if self._plot is not None and self._plot.is_active:
        # The open navigator points at an axis that is no more.
        self.plot()


def _relative_doses(
    signal: BaseSignal, series_axis: object, dose_map: npt.ArrayLike | None
) -> np.ndarray:
    """The map of relative doses as an array of the shape of the other navigation axes."""
    values: Any = getattr(dose_map, "data", dose_map)
    if not isinstance(dose_map, np.ndarray) and hasattr(values, "compute"):
        values = values.compute()
    try:
        values = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError("dose_map= is not numeric; give the relative dose of each pixel.") from None
    axes = [axis for axis in signal.axes_manager._axes if axis.navigate and axis is not series_axis]
    shape = tuple(axis.size for axis in axes)
    if values.shape != shape or not shape:
        raise ValueError(
            f"dose_map= has the shape {values.shape}, but the pixels have the shape {shape}; give "
            "one relative dose for each pixel, in the order of the array."
        )
    if not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError("dose_map= must be finite and positive everywhere: 1 is the dose itself.")
    return values


def _choose_axis(signal: BaseSignal, axis: AxisLike | None) -> Any:
    if axis is not None:
        return navigation_axis(signal, axis, "axis")
    axes = signal.axes_manager.navigation_axes
    if not axes:
        signal_axes = ", ".join(axis_label(axis) for axis in signal.axes_manager.signal_axes)
        raise ValueError(
            f"the signal has no navigation axis to carry the dose, only the signal axis "
            f"{signal_axes}; stack the frames of the series with hyperspy.api.stack first."
        )
    for word in SERIES_WORDS:
        for candidate in axes:
            if word in re.split(r"[^a-z]+", str(candidate.name).lower()):
                return candidate
    timed = [candidate for candidate in axes if has_dimension(candidate.units, "s")]
    if len(timed) == 1:
        return timed[0]
    # The one that stacking adds, unless it is a position.
    others = [candidate for candidate in axes if not has_dimension(candidate.units, "m")]
    chosen = (others or axes)[-1]
    if len(axes) > 1:
        warnings.warn(
            f"the axis {axis_label(chosen)} is taken for the frames, one of "
            f"{describe_navigation_axes(signal)}: none is called dose, frame, time or stack, and "
            "none alone is in units of time. Name the right one with axis=….",
            UserWarning,
            stacklevel=4,
        )
    elif any(has_dimension(chosen.units, unit) for unit in ("m", "1/m", "K", "eV")):
        warnings.warn(
            f"the axis {axis_label(chosen)} is in {chosen.units} and taken for the frames, since "
            "there is no other. If it is a line of positions, these spectra are no dose series.",
            UserWarning,
            stacklevel=4,
        )
    return chosen


def _refuse_repeated(values: np.ndarray, order: np.ndarray) -> None:
    """HyperSpy axes hold distinct values only."""
    same = np.flatnonzero(np.diff(values[order]) == 0)
    if same.size:
        frames = sorted({int(frame) for place in same for frame in order[place : place + 2]})
        raise ValueError(
            f"frames {frames} have the same dose ({listed(values[frames])} e⁻/Å²), which an axis "
            "cannot hold; average these frames, or give the dose that each has received."
        )


def _sort_frames(signal: BaseSignal, axis: Any, order: np.ndarray) -> None:
    """Replace the data, and the noise variance that goes with them, by reordered copies."""
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.lazy.blocks import take

    place = axis.index_in_array
    variance = variance_of(signal)
    if isinstance(variance, BaseSignal):
        # A new signal, because the caller may hold the old one.
        signal.set_noise_variance(
            type(variance)(
                take(variance.data, order, place),
                axes=list(signal.axes_manager.as_dictionary().values()),
                metadata=variance.metadata.as_dictionary(),
            )
        )
    signal.data = take(signal.data, order, place)
    signal.events.data_changed.trigger(obj=signal)


def _calibrate(signal: BaseSignal, axis: Any, values: np.ndarray) -> None:
    """Replace the axis by one with the doses."""
    from hyperspy.axes import DataAxis, UniformDataAxis

    common = {"name": DOSE_NAME, "units": DOSE_UNITS, "navigate": True}
    n = values.size
    step = (values[-1] - values[0]) / (n - 1) if n > 1 else (values[0] or 1.0)
    even = values[0] + step * np.arange(n)
    if np.all(np.abs(values - even) <= UNIFORM_TOLERANCE * step):
        new = UniformDataAxis(size=n, offset=values[0], scale=step, **common)
    else:
        new = DataAxis(axis=values, **common)
    new.is_binned = axis.is_binned
    signal.axes_manager.set_axis(new, axis.index_in_array)
