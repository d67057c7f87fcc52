# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of `process_core_loss`, and one look at all spectra for their shifts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, crop_last, map_blocks, sum_of_spectra
from hyperspy_dosekin.lazy.sampling import spread_boxes
from hyperspy_dosekin.processing.background import (
    FEWEST_CHANNELS,
    fit_power_law,
    spikes_in_background,
)
from hyperspy_dosekin.processing.core_loss.edge_alignment import EdgeShifts, align_on_edge
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, find_zero_loss
from hyperspy_dosekin.signals.axes.dose_axis import find_dose_axis
from hyperspy_dosekin.signals.processing.core_loss_spikes import (
    places_of_spikes,
    warn_of_spikes_in_edges,
)
from hyperspy_dosekin.signals.processing.recorded import Recorded
from hyperspy_dosekin.signals.progress import dask_progress

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

_logger = logging.getLogger(__name__)

Window = tuple[float, float]

#: An edge whose structure is weaker than this, in standard deviations of its noise, is not there.
_PRESENT = 2.0
#: A background that misses the end of its own window by so much touches the edge.
_TOUCHING_SHARE, _TOUCHING_SIGMA = 0.01, 5.0
#: Standard errors below zero at which a background is no background.
_BELOW = 8.0
#: Axes of core losses begin above this energy, in eV; a zero-loss peak is nearer to zero than that,
#: however badly the axis is calibrated.
_FIRST_LOSS_EV, _NEAR_ZERO_EV = 5.0, 15.0


def refuse_low_loss(recorded: Recorded) -> None:
    """Name spectra with the zero-loss peak on their axis as those of the other chain.

    Raises
    ------
    ValueError
        If there is a zero-loss peak near 0 eV.
    """
    energy, data = recorded.energy_ev, recorded.data
    if not energy[0] < _FIRST_LOSS_EV or not data.size:
        return
    boxes = spread_boxes(data.shape[:-1], 2, 16) if data.ndim > 1 else [()]
    some = [np.asarray(part, dtype=np.float64) for part in compute(*(data[box] for box in boxes))]
    total = sum(np.nan_to_num(part).reshape(-1, energy.size).sum(axis=0) for part in some)
    seen = find_zero_loss(np.asarray(total), widest=WIDEST_EV / recorded.scale_ev)
    place = energy[0] + float(seen.position) * recorded.scale_ev
    if seen.found and abs(place) < _NEAR_ZERO_EV:
        raise ValueError(
            f"these are low-loss spectra, with a zero-loss peak at {place:.3g} eV, and "
            "process_core_loss is for edges on a background; use s.process_low_loss(). For an edge "
            f"at low energies cut the peak off first, s.isig[{_NEAR_ZERO_EV}:]."
        )


def window_channels(recorded: Recorded, limits: Window | None, name: str) -> slice | None:
    """Return the channels of a window.

    Raises
    ------
    ValueError
        If it is not inside the axis or too narrow.
    """
    if limits is None:
        return None
    left, right = (float(limit) for limit in limits)
    energy, half = recorded.energy_ev, 0.5 * recorded.scale_ev
    if not left < right or left < energy[0] - half or right > energy[-1] + half:
        raise ValueError(
            f"{name}=({left:g}, {right:g}) eV is no window of the axis, which runs from "
            f"{energy[0]:g} to {energy[-1]:g} eV; move it inside."
        )
    tolerance = 1e-6 * recorded.scale_ev
    inside = np.flatnonzero((energy >= left - tolerance) & (energy <= right + tolerance))
    if inside.size < FEWEST_CHANNELS:
        raise ValueError(
            f"{name}=({left:g}, {right:g}) eV holds {inside.size} channel(s), and at least "
            f"{FEWEST_CHANNELS} are needed; widen it."
        )
    return slice(int(inside[0]), int(inside[-1]) + 1)


def check_windows(
    recorded: Recorded,
    reference: Window | None,
    reference_background: Window | None,
    background: Window | None,
    edge: float | None,
    crop: Window | None,
) -> None:
    """Refuse backgrounds that touch an edge."""
    onset = edge if edge is not None else (crop[0] if crop is not None else None)
    for name, window, limit, what in (
        ("background", background, onset, "the edge"),
        (
            "reference_background",
            reference_background,
            None if reference is None else reference[0],
            "the reference edge",
        ),
    ):
        if window is None or limit is None:
            continue
        if window[1] > limit:
            raise ValueError(
                f"{name}=({window[0]:g}, {window[1]:g}) eV reaches into {what}, which begins at "
                f"{limit:g} eV; end it below."
            )
        if window[0] <= 0:
            raise ValueError(
                f"{name}=({window[0]:g}, {window[1]:g}) eV must lie at positive energies."
            )
    if (
        background is not None
        and reference is not None
        and max(background[0], reference[0]) < min(background[1], reference[1])
    ):
        raise ValueError(
            f"background=({background[0]:g}, {background[1]:g}) eV overlaps the reference edge "
            f"({reference[0]:g}, {reference[1]:g}) eV; fit the background elsewhere."
        )
    if reference_background is not None and reference is None:
        raise ValueError("reference_background needs reference=(left, right), the edge above it.")


def look_at_edge(
    signal: BaseSignal,
    recorded: Recorded,
    windows: dict[str, slice | None],
    align: bool,
    max_shift: float,
    local_average: float | None,
    show_progressbar: bool | None,
) -> tuple[np.ndarray, EdgeShifts | None]:
    """Sum of all spectra, and their shifts, in one pass that is made at once."""
    wanted: list[object] = [sum_of_spectra(recorded.data), places_of_spikes(recorded)]
    edge = windows["reference"]
    levels = []
    for name in ("background", "reference_background"):
        window = windows[name]
        if window is not None:
            part = crop_last(recorded.data, window)
            levels.append((name, map_blocks(_level, "(e)->()", part)))
            levels.append((name, map_blocks(_spikes, "(e)->()", part)))
    if align and edge is not None:
        wanted.append(crop_last(recorded.data, edge))
        if recorded.variance is not None:
            wanted.append(sum_of_spectra(crop_last(recorded.variance, edge)))
    with dask_progress(show_progressbar):
        total, spikes, *rest = compute(*wanted, *(level for _, level in levels))
    made_of = [each for each in (windows["crop"] or slice(0, total.size), edge) if each is not None]
    warn_of_spikes_in_edges(np.asarray(spikes), recorded, made_of)
    for name, _ in reversed(levels[::2]):
        _warn_of_spikes(rest.pop(), name)
        _warn_if_below_zero(rest.pop(), name)
    if edge is None or not rest:
        return total, None
    window = np.asarray(rest[0], dtype=np.float64)
    n_spectra = max(window[..., 0].size, 1)
    variance: float | None = None
    if len(rest) > 1:
        variance = float(rest[1].mean()) / n_spectra
    elif recorded.knows_noise:
        variance = recorded.gain * max(float(np.nanmean(window)), 0.0) + recorded.offset
    limit = float(max_shift) / recorded.scale_ev
    if not 0 < limit < 0.5 * window.shape[-1]:
        raise ValueError(
            f"max_shift={max_shift:g} eV must be positive and less than half of the reference "
            f"window, {0.5 * window.shape[-1] * recorded.scale_ev:g} eV; widen reference=…."
        )
    dose = find_dose_axis(signal)
    axes = tuple(
        axis for axis in range(window.ndim - 1) if dose is None or axis != dose.index_in_array
    )
    shifts = align_on_edge(window, variance, max_shift=limit, width=local_average, smooth_axes=axes)
    strength = np.nan_to_num(shifts.signal_to_noise)
    shape = window.reshape(-1, window.shape[-1]).mean(axis=0)
    line = np.linspace(shape[:3].mean(), shape[-3:].mean(), shape.size)
    absent = float((strength < _PRESENT).mean())
    # A bare background sags below the straight line through its ends.
    if absent > 0.5 or (shape - line).sum() < 0:
        left, right = recorded.energy_ev[edge.start], recorded.energy_ev[edge.stop - 1]
        raise ValueError(
            f"the reference edge ({left:g}, {right:g}) eV does not stand out of noise and "
            f"background in {100 * max(absent, 0.5):.0f} % or more of the spectra; pass another "
            "reference=…, average spectra first, or align=False."
        )
    if absent > 0:
        _logger.warning(
            "The reference edge does not stand out of the noise in %.0f %% of the spectra; their "
            "shifts are those of their neighbours.",
            100 * absent,
        )
    return total, shifts


def _level(window: np.ndarray) -> np.ndarray:
    """Mean of a window of each spectrum in standard errors; NaN where it has a NaN."""
    n_channels = window.shape[-1]
    window = window.astype(np.float64)
    with np.errstate(invalid="ignore"):
        # By the change from channel to channel: a background falls.
        change = (np.diff(window, axis=-1) ** 2).mean(axis=-1) if n_channels > 1 else np.zeros(1)
        error = np.sqrt(change / 2 / n_channels)
        return window.mean(axis=-1) / np.maximum(error, np.finfo(float).tiny)


def _spikes(window: np.ndarray) -> np.ndarray:
    """How many channels of a window of each spectrum are spikes."""
    rows = np.nan_to_num(window.reshape(-1, window.shape[-1]).astype(np.float64))
    return spikes_in_background(rows).sum(axis=-1).reshape(window.shape[:-1]).astype(np.float64)


def _warn_of_spikes(number: np.ndarray, name: str) -> None:
    """Log spectra whose background window has spikes in it."""
    if number.any():
        _logger.warning(
            "%d of %d spectra have spikes in %s=, %d channels in all: the background is fitted "
            "without them. They stay in the spectra; s.spikes_removal_tool removes them.",
            np.count_nonzero(number),
            number.size,
            name,
            int(number.sum()),
        )


def _warn_if_below_zero(level: np.ndarray, name: str) -> None:
    """Log spectra of which the background window lies below zero, clearly so."""
    below = int((level < -_BELOW).sum())
    if below:
        _logger.warning(
            "The mean in %s= is below zero in %d of %d spectra, by more than noise explains: no "
            "power law can be fitted there, and their edges are too large. Leave these spectra "
            "out, or correct their dark reference.",
            name,
            below,
            level.size,
        )
    missing = int(np.isnan(level).sum())
    if missing:
        _logger.warning(
            "%d of %d spectra hold NaN or infinite values in %s=, more side by side than can be "
            "bridged: they are NaN in the result.",
            missing,
            level.size,
            name,
        )


def check_positive(recorded: Recorded, window: slice | None, total: np.ndarray, name: str) -> None:
    """Refuse a background window in which there is nothing.

    Raises
    ------
    ValueError
        If the mean of all spectra there is not positive.
    """
    if window is None or np.mean(total[window]) > 0:
        return
    left, right = recorded.energy_ev[window.start], recorded.energy_ev[window.stop - 1]
    raise ValueError(
        f"the mean of the spectra in {name}=({left:g}, {right:g}) eV is not positive, so that no "
        "power law can be fitted there: the dark reference seems too high, or a background has "
        f"been subtracted before. Correct that, move the window, or leave {name} out."
    )


def warn_if_touching(recorded: Recorded, window: slice | None, total: np.ndarray) -> None:
    """Log if the mean spectrum departs from a power law at the right end of the fit window."""
    assert window is not None
    energy, values = recorded.energy_ev[window], total[window]
    n_last = max(energy.size // 5, 2)
    if energy.size - n_last < FEWEST_CHANNELS or not np.all(values > 0):
        return
    fit = fit_power_law(values[:-n_last], energy[:-n_last])
    last, expected = values[-n_last:].sum(), fit.at(energy[-n_last:]).sum()
    gain = recorded.gain if np.isfinite(recorded.gain) and recorded.gain > 0 else 1.0
    error = np.sqrt(gain * (expected + gain * fit.area_variance(energy[-n_last:])))
    if last - expected > max(_TOUCHING_SHARE * expected, _TOUCHING_SIGMA * error):
        _logger.warning(
            "The mean spectrum exceeds the power law by %.1f %% at the right end of the background "
            "window, near %g eV: the window seems to touch an edge. End it earlier.",
            100 * (last / expected - 1),
            energy[-1],
        )
