# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dividing by the zero-loss peak may do wrong to a dose series.

Single scattering over I₀ is right where every electron that left a window shows in I₀ as Poisson's
law says. Where the electrons lost with dose come back into the zero-loss peak otherwise, or leave
the collection angle, areas per incident electron are right, and those divided by I₀ drift against
them as I₀ over the whole does, exp(-t/λ). Which of the two holds, the spectra do not say: the
share of that drift that is wrong is anything between none and all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.signals.axes.dose_axis import doses_of
from hyperspy_dosekin.signals.axes.energy import ev_per_unit
from hyperspy_dosekin.signals.axes.shared_error import DRIFT_SHARE
from hyperspy_dosekin.signals.processing.record import record_of

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal


#: Name of the error.
NAME = "normalisation"
#: Frames that a drift needs.
FEWEST = 3


def normalisation_error(signal: BaseSignal, dose_axis: Any) -> dict[str, Any]:
    """Relative drift of the areas of single scattering that the normalisation may have made.

    Areas per zero-loss electron and areas per electron differ along the dose as the share does that
    the zero-loss peak has of the spectrum. One standard deviation is `DRIFT_SHARE` of that drift.
    It is a straight line, since that of a single pixel is too noisy for more, and since what is
    wrong need not bend as a decay does; a line moves D½ further than a drift that does.

    Parameters
    ----------
    signal
        What `process_low_loss` returned; all others have no such error.
    dose_axis
        Its navigation axis of dose.

    Returns
    -------
    dict
        Empty, or `NAME` with an array ``(…space…, 1, dose)``.
    """
    if dose_axis.size < FEWEST:
        return {}
    whole = thickness_of(signal)
    if whole is None:
        return {}
    dose, _ = doses_of(dose_axis.axis, dose_axis.units)
    return {NAME: error_of(np.moveaxis(whole, dose_axis.index_in_array, -1), dose)}


def thickness_of(signal: BaseSignal) -> Any:
    """The t/λ of each spectrum that `process_low_loss` divided by its zero-loss peak.

    Parameters
    ----------
    signal
        Such a signal; of all others it is ``None``.

    Returns
    -------
    Array ``(…navigation…)``, lazy where the signal is, or ``None``.
    """
    record = record_of(signal)
    if record is None or record.chain != "process_low_loss" or "normalise" not in record.steps:
        return None
    if not str(record.get_item("normalise.to", "")).startswith("area of the zero-loss peak"):
        return None
    axis = signal.axes_manager.signal_axes[0]
    return map_blocks(
        _integral,
        "(e)->()",
        signal.data,
        output_dtypes=(np.float64,),
        method="integrate_windows",
        width_ev=_widths(axis) * ev_per_unit(axis),
        single="deconvolve" in record.steps,
    )


def error_of(whole: Any, dose: np.ndarray) -> Any:
    """The error that a drift of t/λ along the dose may have made, ``(…space…, 1, dose)``.

    Parameters
    ----------
    whole
        What `thickness_of` gives of each frame, ``(…space…, dose)``.
    dose
        Doses of the frames.
    """
    drift = map_blocks(
        _line,
        "(d)->(d)",
        whole,
        output_dtypes=(np.float64,),
        method="integrate_windows",
        place=np.asarray(dose, dtype=np.float64),
    )
    return DRIFT_SHARE * drift[..., np.newaxis, :]


def _widths(axis: Any) -> Any:
    """Widths of the channels of an axis, one number if they are all the same."""
    return float(axis.scale) if axis.is_uniform else np.gradient(np.asarray(axis.axis, float))


def _integral(spectra: np.ndarray, width_ev: Any, single: bool) -> np.ndarray:
    """The t/λ of each spectrum: the integral of single scattering, or the logarithm of all."""
    if np.ndim(width_ev):
        spectra, width_ev = spectra * width_ev, 1.0
    total = spectra.sum(axis=-1, dtype=np.float64) * width_ev
    if single:
        return total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(total)


def _line(thickness: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Straight line of t/λ along the last axis, with a mean of 0; 0 where it is not known."""
    known = np.isfinite(thickness)
    number = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    middle = np.where(known, place, 0.0).sum(axis=-1, keepdims=True) / number
    mean = np.where(known, thickness, 0.0).sum(axis=-1, keepdims=True) / number
    away = np.where(known, place - middle, 0.0)
    size = (away**2).sum(axis=-1, keepdims=True)
    slope = (away * np.where(known, thickness - mean, 0.0)).sum(axis=-1, keepdims=True)
    return slope / np.where(size > 0, size, 1.0) * (place - middle)
