# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas of energy windows of spectra, as a signal."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.misc.utils import DictionaryTreeBrowser
from hyperspy.signals import BaseSignal

from hyperspy_dosekin.lazy.blocks import wrap
from hyperspy_dosekin.numerics.arguments import check_arguments
from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.signals.axes.dose_axis import doses_of, find_dose_axis
from hyperspy_dosekin.signals.axes.noise_check import NOISE
from hyperspy_dosekin.signals.axes.origin import remember
from hyperspy_dosekin.signals.axes.quantity import area_quantity
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.axes.variance import attach_variance
from hyperspy_dosekin.signals.chunk_advice import advise_on_chunks
from hyperspy_dosekin.signals.kinetics.data.window_map import LazyWindowAreas, WindowAreas
from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries, LazyDoseSeries
from hyperspy_dosekin.signals.processing.normalisation import normalisation_error
from hyperspy_dosekin.signals.processing.record import Diagnostics
from hyperspy_dosekin.signals.processing.result import CONTEXT
from hyperspy_dosekin.signals.processing.zero_loss_drift import NAME as DRIFT
from hyperspy_dosekin.signals.processing.zero_loss_drift import band_beside_zero_loss, drift_error
from hyperspy_dosekin.signals.processing.zero_loss_error import NAME as ZERO_LOSS
from hyperspy_dosekin.signals.windows.areas import (
    check_intensities,
    claimed_and_checked,
    left_of_zero_loss,
    window_areas,
    window_weights_of,
)

if TYPE_CHECKING:
    import torch

    from hyperspy_dosekin.signals.axes.dose_axis import AxisLike
    from hyperspy_dosekin.windows.definitions import WindowsLike


def integrate_windows(
    self: Any,
    windows: WindowsLike | None = None,
    *,
    dose_axis: AxisLike | None = None,
    device: str | torch.device = "cpu",
) -> DoseSeries | WindowAreas:
    r"""Integrate the spectra over energy windows.

    The area is the integral of the straight lines through neighbouring channels (the trapezoidal
    rule), with the ends of the window interpolated inside a channel, so that it changes
    continuously with the limits. Where the energy axis is binned, as it is by default in EELS,
    intensities are the contents of channels and areas have the same unit, such as counts;
    otherwise, or where the unit in ``metadata.Signal.quantity`` is per eV, areas are in
    intensity × eV. Areas are relative intensities of fixed windows, and the names of windows are
    labels, not bond assignments.

    The noise variance of the areas is attached to the result where the noise of the signal is
    known: from ``metadata.Signal.Noise_properties``, else as Poisson noise where the data are
    counts (integers, or ``metadata.Signal.quantity`` names counts). Channels are taken as
    independent. What is known is compared with the scatter of the data between neighbouring
    spectra and channels; beyond a factor of two the data are believed, and a warning says so (for
    lazy signals when the variance is computed).

    With a dose axis, areas of single scattering that `process_low_loss` has divided by the
    zero-loss peak carry the error that this may have made, which the fit takes into its intervals:
    a drift along the dose, between none and all of that of the share of the zero-loss peak in the
    spectrum (one standard deviation is 0.58 of it).
    What the model of the zero-loss peak, mirrored or fitted, may have left in a window is carried,
    too. What all frames have of it only a known or bounded offset feels; it is in
    ``metadata.Dosekin.zero_loss_residue``, one standard deviation, together with what it would
    move of the losses, since areas are at the resolution of the peak. What some frames have more
    than others is seen beside the peak, from 1.25 to 1.6 of its widths, and continued into the
    windows as the model leaves it there; losses that change beside the peak are taken for it.

    Parameters
    ----------
    windows
        Mapping ``{name: (left, right)}`` in units of the energy axis, a list of
        :class:`hyperspy.api.roi.SpanROI` or of pairs ``(left, right)``, called "1", "2", …, or
        ``None`` for ``hyperspy_dosekin.LOW_LOSS_WINDOWS``, which are in eV on any axis.
    dose_axis
        The navigation axis of cumulative dose: its name, index or the axis itself. By default the
        one called "dose" or in units of dose, which `set_dose_axis` makes.
    device
        Where spectra are summed. ``"cpu"``: by NumPy. ``"cuda"``, ``"cuda:1"``: by Torch on a
        graphics card, in float64; ``"auto"``: on a card if there is one. Bringing intensities to a
        card costs about as much as their sum. A `torch.device` is always Torch's.

    Returns
    -------
    DoseSeries or WindowAreas
        With a dose axis a `DoseSeries`, array ``(…space…, window, dose)``. Without one
        `WindowAreas`, array ``(…navigation…, window)``, all of it navigation. Both are float64, and
        lazy if the signal is; then nothing has been computed. Names and limits (eV) of the windows
        are in ``metadata.Dose.window_names`` and ``metadata.Dose.window_ranges``.

    Raises
    ------
    TypeError
        If the data are complex, ragged or not numeric, or `windows` is of another kind.
    ValueError
        If a window lies outside the energy axis, is reversed, empty or narrower than one channel,
        a name repeats, the energy axis is not in units of energy, `dose_axis` is no navigation
        axis, several axes could be the dose, or a device is not there.

    References
    ----------
    Windows of low-loss EELS against dose: arXiv:2605.01697.

    Examples
    --------
    >>> import exspy
    >>> s = exspy.signals.EELSSpectrum(np.ones((9, 3, 2, 1024), dtype="uint16"))
    >>> s.axes_manager[-1].scale = 0.05
    >>> s.axes_manager[-1].units = "eV"
    >>> s.set_dose_axis(dose_rate=3.45, frame_time=44.0)
    >>> s.integrate_windows()
    <DoseSeries, title: Window areas, dimensions: (4, 2, 3|9)>
    >>> areas = s.integrate_windows({"plasmon": (18, 26)})
    >>> print(areas.data[0, 0, 0, 0].round(3))
    160.0
    """
    check_arguments(integrate_windows, locals())
    tensors_on(device)
    check_intensities(self)
    advise_on_chunks(self, "integrate_windows", whole="energy", stacklevel=3)
    chosen, weights = window_weights_of(self, windows)
    dose = find_dose_axis(self, dose_axis)
    noise, numbers, record = claimed_and_checked(self)
    areas, variance = window_areas(self, weights, noise=noise, numbers=numbers, device=device)

    # Deep, because an uneven axis would hand over the very array of its values.
    axes = [
        copy.deepcopy(axis.get_axis_dictionary())
        for axis in reversed(self.axes_manager.navigation_axes)
    ]
    window_axis = {"size": len(chosen), "name": "window", "offset": 0, "scale": 1, "navigate": True}
    metadata = _metadata(self, chosen)
    if dose is None:
        classes = (WindowAreas, LazyWindowAreas)
        metadata["Signal"]["signal_type"] = "WindowMap"
        axes = [*axes, window_axis]
    else:
        classes = (DoseSeries, LazyDoseSeries)
        place = dose.index_in_array
        signal_axis = _in_dose_units(axes.pop(place))
        axes = [*axes, window_axis, signal_axis]
        areas = np.moveaxis(areas, place, -1)
        variance = None if variance is None else np.moveaxis(variance, place, -1)
    result = wrap(*classes, areas, axes=axes, metadata=metadata)
    history = self.metadata.get_item("Dosekin")
    if history is not None:
        result.metadata.add_dictionary({"Dosekin": _branch(history)})
    attach_variance(result, variance, classes)
    left = left_of_zero_loss(self, weights)
    if left is not None:
        # All frames have it, so that it is no noise.
        moved = left_of_zero_loss(self, weights, "moved_per_ev")
        claimed = left if moved is None else np.hypot(left, moved)
        result.metadata.set_item("Dosekin.zero_loss_residue", claimed)
    if dose is not None:
        errors = normalisation_error(self, dose)
        if left is not None:
            divisor: Any = areas
            divisor = np.where(divisor == 0, np.inf, divisor)
            claims: dict[str, Any] = {ZERO_LOSS: left[:, np.newaxis]}
            band = band_beside_zero_loss(self)
            if band is not None:
                seen = window_areas(self, band, noise=noise, numbers=numbers)
                claims[DRIFT] = drift_error(self, weights, band, *seen, dose.index_in_array)
            errors |= {name: claim / divisor for name, claim in claims.items()}
        attach_shared_errors(result, errors)
        remember(result, self, getattr(self, CONTEXT, {}))
    if record:
        result.metadata.set_item(NOISE, record)
    if variance is not None:
        result.get_noise_variance().metadata.Dose = copy.deepcopy(metadata["Dose"])
    return result


def _in_dose_units(axis: dict[str, Any]) -> dict[str, Any]:
    """Turn a navigation axis into the signal axis of dose, in e⁻/Å² if its units are known."""
    axis = {**axis, "navigate": False}
    for calibration in ("scale", "offset", "axis"):
        if calibration in axis:
            values, unit = doses_of(axis[calibration], axis["units"])
            axis[calibration] = values if values.ndim else float(values)
    # An axis of frames or seconds says so still; one that says nothing keeps what it has.
    axis["units"] = unit or axis["units"]
    return axis


def _branch(node: DictionaryTreeBrowser) -> DictionaryTreeBrowser:
    """Copy a branch of metadata, but not its signals: HyperSpy takes milliseconds for each."""

    def copied(value: Any) -> Any:
        if isinstance(value, Diagnostics) and value._lazy_attributes:
            return value.unmade()
        if isinstance(value, DictionaryTreeBrowser):
            return _branch(value)
        return value if isinstance(value, BaseSignal) else copy.deepcopy(value)

    return DictionaryTreeBrowser({name: copied(value) for name, value in node}, lazy=False)


def _metadata(signal: BaseSignal, windows: Any) -> dict[str, Any]:
    """Metadata of the result: what describes the experiment, and the windows."""
    # Noise, markers and navigator are those of the spectra, and may be as large as the data.
    metadata = {
        name: copy.deepcopy(node.as_dictionary() if hasattr(node, "as_dictionary") else node)
        for name, node in signal.metadata
        if name not in ("Signal", "Markers", "_HyperSpy", "Dosekin")
    }
    title = signal.metadata.get_item("General.title", "")
    general = metadata.setdefault("General", {})
    general["title"] = f"Window areas of {title}" if title else "Window areas"
    metadata["Signal"] = {"quantity": area_quantity(signal)}
    metadata["Dose"] = {
        **metadata.get("Dose", {}),
        "window_names": [window.name for window in windows],
        "window_ranges": [[window.left, window.right] for window in windows],
        "window_units": windows[0].unit,
    }
    return metadata
