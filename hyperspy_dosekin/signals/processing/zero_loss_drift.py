# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What some frames have left of the zero-loss peak more than others.

The model of the peak is one for all spectra. Where a flank or a tail changes along the series, or
the place of the peak within a channel does, windows hold that change, and it has a course of its
own. Between the flank and the first losses that course is seen. Losses may change there, too, and
nothing tells them from a tail; but losses rise with the energy there, and a tail falls, so that
either makes little of a window further away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.lazy.sampling import spread_boxes
from hyperspy_dosekin.signals.axes.energy import energy_in_ev
from hyperspy_dosekin.signals.axes.quantity import holds_channel_contents
from hyperspy_dosekin.signals.processing.record import record_of
from hyperspy_dosekin.signals.processing.zero_loss_error import zero_loss_residue
from hyperspy_dosekin.windows.definitions import Window
from hyperspy_dosekin.windows.weights import WindowWeights, window_weights

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal


#: Name of the error.
NAME = "zero-loss drift"
#: Widths from the peak between which its drift is seen: nearer there is its flank, further losses.
_BAND = (1.25, 1.6)
#: Frames without which no course is told from noise.
_FEWEST = 4
#: Boxes of pixels that are looked at, and pixels of each, about.
_BOXES, _BOX = 8, 64


def band_beside_zero_loss(signal: BaseSignal) -> WindowWeights | None:
    """Weights of the band between the flank of the peak and the first losses.

    Parameters
    ----------
    signal
        What `process_low_loss` returned.

    Returns
    -------
    WindowWeights or None
        ``None`` where the signal does not say what the model of the peak leaves, or does not hold
        the band. That is not narrower than a channel.
    """
    record, residue = record_of(signal), zero_loss_residue(signal)
    fwhm = None if record is None else record.get_item("zero_loss.residue.fwhm_ev")
    energy_ev = energy_in_ev(signal.axes_manager.signal_axes[0])
    if residue is None or fwhm is None or energy_ev.size < 2:
        return None
    channel = float(np.abs(np.diff(energy_ev)).max())
    middle = 0.5 * (_BAND[0] + _BAND[1]) * fwhm
    half = 0.5 * max((_BAND[1] - _BAND[0]) * fwhm, channel)
    band = Window(NAME, middle - half, middle + half)
    if band.left < energy_ev.min() or band.right > energy_ev.max():
        return None
    return window_weights(energy_ev, [band], is_binned=holds_channel_contents(signal))


def drift_error(
    signal: BaseSignal,
    windows: WindowWeights,
    band: WindowWeights,
    areas: Any,
    variance: Any,
    place: int,
) -> Any:
    """One standard deviation of what drifts in each window.

    What the band shows goes on as what the model of the peak may leave, and falls as one over the
    energy at least.

    Parameters
    ----------
    signal
        As for `band_beside_zero_loss`.
    windows
        The windows.
    band
        What `band_beside_zero_loss` returned.
    areas
        Of the band, ``(…navigation…, 1)``.
    variance
        Theirs, same shape; where it is ``None`` what differs between neighbouring frames is noise.
    place
        Axis of the dose.

    Returns
    -------
    ``(window, dose)``, by some pixels for all, lazy where the areas are.
    """
    energy_ev = energy_in_ev(signal.axes_manager.signal_axes[0])
    residue = zero_loss_residue(signal)
    assert residue is not None
    weight, inside = band.weights[0], band.channels
    # Beside the peak not lower than further away.
    level = np.array([residue[energy_ev >= each].max() for each in energy_ev[inside]])
    there, middle = weight @ level, weight @ energy_ev[inside] / weight.sum()
    most = there / weight.sum() * middle / np.maximum(energy_ev, middle)
    reach = windows.weights @ np.minimum(residue, most)[windows.channels]
    share = reach / there if there > 0 else np.zeros(reach.size)
    return share[:, np.newaxis] * _course_of(areas[..., 0], variance, place)


def _course_of(areas: Any, variance: Any, place: int) -> Any:
    """Course of the band along the dose, ``(dose,)``, as far as it is more than noise."""
    shape = list(areas.shape)
    del shape[place]
    boxes = spread_boxes(shape, _BOXES, _BOX) if shape else [()]
    arrays = [areas] if variance is None else [areas, variance[..., 0]]
    sample = [array[(*box[:place], slice(None), *box[place:])] for array in arrays for box in boxes]
    # Axes of each box have names of their own, but for the dose.
    names = [[f"s{n}a{axis}" for axis in range(len(shape))] for n in range(len(boxes))]
    cores = [f"({','.join([*name[:place], 'd', *name[place:]])})" for name in names]
    return map_blocks(
        _beyond_noise,
        f"{','.join(cores * len(arrays))}->(d)",
        *sample,
        method="integrate_windows",
        number=len(boxes),
        place=place,
    )


def _beyond_noise(*sample: np.ndarray, number: int, place: int) -> np.ndarray:
    """Mean course of `number` boxes, after which their variances follow, about a mean of 0."""
    rows = [np.moveaxis(np.asarray(part), place, -1) for part in sample]
    rows = [row.reshape(-1, row.shape[-1]) for row in rows]
    values = np.concatenate(rows[:number])
    known = np.isfinite(values)
    pixels = np.maximum(known.sum(axis=0), 1)
    seen = known.any(axis=0)
    if seen.sum() < _FEWEST:
        return np.zeros(seen.size)
    mean = np.where(known, values, 0.0).sum(axis=0) / pixels
    course = np.where(seen, mean - mean[seen].mean(), 0.0)
    square = (course[seen] ** 2).mean()
    if len(rows) > number:
        spread = np.concatenate(rows[number:])
        noise = np.where(known & np.isfinite(spread), spread, 0.0).sum(axis=0) / pixels**2
        noise = noise[seen].mean()
    else:
        noise = 0.5 * (np.diff(course[seen]) ** 2).mean()
    return course * np.sqrt(max(1 - noise / square, 0.0)) if square > 0 else course
