# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at all low-loss spectra: where their zero-loss peaks are, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, cpu_count, map_blocks, sum_of_spectra
from hyperspy_dosekin.processing.low_loss.survey import (
    SURVEY,
    common_place,
    noise_from_scatter,
    survey_low_loss,
    type_of_peak,
)
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, protected_channels
from hyperspy_dosekin.processing.spikes.removal import learn_subspace
from hyperspy_dosekin.processing.spikes.subspace import Subspace
from hyperspy_dosekin.signals.processing.recorded import Recorded
from hyperspy_dosekin.signals.progress import dask_progress

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

#: Spectra, about, from which their common structure is taken.
_SOME = 100
#: Peaks wider than this, in eV, are losses where the axis begins beyond 0 eV.
_WIDE_EV = 2.0
#: Spectra, at most, that are processed first to see what becomes of them.
_FEW = 32


@dataclass(frozen=True, eq=False)
class Survey:
    """What all spectra look like; arrays of the navigation shape, never lazy.

    Parameters
    ----------
    position, fwhm
        Channel and full width at half maximum, in channels, of the zero-loss peak; NaN where there
        is none.
    found, saturated
        Whether there is one, and whether it has a flat top.
    negative
        Share of channels below zero.
    gain, offset
        Noise variance: `gain` times the intensity plus `offset`, from the metadata or estimated.
    peak
        Mean zero-loss peak in the middle of a few eV, shape ``(n_peak,)``.
    total
        Sum of all spectra as they are, shape ``(n_channels,)``.
    subspace
        What the spectra have in common, from `learn_subspace`, or ``None``.
    pedestal, height
        Level on which each spectrum stands, and the height of the peak above it.
    near
        Channels in which the peaks are, if they agree.
    sample, sample_position, sample_fwhm
        Some of the spectra that have a peak, shape ``(n, n_channels)``, and where theirs is.
    """

    position: np.ndarray
    fwhm: np.ndarray
    found: np.ndarray
    saturated: np.ndarray
    negative: np.ndarray
    gain: float
    offset: float
    peak: np.ndarray
    total: np.ndarray
    subspace: Subspace | None
    pedestal: np.ndarray
    height: np.ndarray
    near: slice | None
    sample: np.ndarray
    sample_position: np.ndarray
    sample_fwhm: np.ndarray


def look_at(
    recorded: Recorded,
    search: slice = slice(None),
    show_progressbar: bool | None = None,
    *,
    spikes: bool = True,
) -> Survey:
    """Find the zero-loss peak of every spectrum, in one pass that is made at once.

    Parameters
    ----------
    recorded
        The spectra.
    search
        Channels in which the peak is.
    show_progressbar
        For lazy data.
    spikes
        Whether to learn what tells spikes.
    """
    data = recorded.data
    widest = WIDEST_EV / recorded.scale_ev
    reach = int(min(np.ceil(widest), data.shape[-1] - 1))
    kind = np.dtype(data.dtype)
    largest = float(np.iinfo(kind).max) if kind.kind in "iu" else np.inf

    def look(near: slice | None) -> tuple[Array, ...]:
        return map_blocks(
            survey_low_loss,
            "(e)->(q),(p)",
            data,
            output_sizes={"q": len(SURVEY), "p": 2 * reach + 1},
            output_dtypes=(np.float64, type_of_peak(kind)),
            eager_options={"workers": cpu_count()},
            widest=widest,
            search=search,
            largest_value=largest,
            reach=reach,
            gain=counted_gain(recorded),
            near=near,
        )

    numbers, peak = look(None)
    variance = None if recorded.variance is None else recorded.variance[some_of(data)]
    with dask_progress(show_progressbar):
        numbers, peak, total, some, variance = compute(
            numbers, sum_of_spectra(peak), sum_of_spectra(data), data[some_of(data)], variance
        )
    near = _near(numbers, search)
    if near is not None and _elsewhere(numbers, near).any():
        numbers, peak = look(near)
        with dask_progress(show_progressbar):
            numbers, peak = compute(numbers, sum_of_spectra(peak))
    seen = dict(zip(SURVEY, np.moveaxis(numbers, -1, 0), strict=True))
    if recorded.energy_ev[0] > 0 and search == slice(0, data.shape[-1]):
        # Without 0 eV on the axis there are wide losses, and uncalibrated peaks, which are narrow.
        seen["found"] *= seen["fwhm"] * recorded.scale_ev <= _WIDE_EV
    found = seen["found"] > 0
    taken = (seen["position"] * np.where(found, 1.0, np.nan))[some_of(data)].ravel()
    some = np.asarray(some, dtype=np.float64).reshape(-1, data.shape[-1])
    usable = np.isfinite(taken) & np.isfinite(some).all(axis=-1)
    gain, offset = recorded.gain, recorded.offset
    if recorded.variance is not None:
        # Of use only where the structure of the spectra is told from noise.
        gain, offset = 1.0, 0.0
    elif not recorded.knows_noise:
        gain, offset = 1.0, 0.0
        if usable.any():
            width = seen["fwhm"][some_of(data)].ravel()[usable]
            estimates = noise_from_scatter(some[usable], taken[usable], width)
            gain, offset = (float(np.median(each)) for each in estimates)
    width = seen["fwhm"][some_of(data)].ravel()[usable]
    some, taken = some[usable], taken[usable]
    tried = np.unique(np.linspace(0, len(some) - 1, min(_FEW, len(some))).astype(np.intp))
    subspace = None
    if spikes:
        noise: dict[str, Any] = {"gain": gain, "offset": offset}
        if variance is not None:
            variance = np.asarray(variance, dtype=np.float64).reshape(-1, data.shape[-1])
            noise = {"gain": 0.0, "offset": variance[usable]}
        protected = protected_channels(taken, width)
        subspace = learn_subspace(some, taken, width, **noise, protected=protected)
    return Survey(
        position=np.where(found, seen["position"], np.nan),
        fwhm=np.where(found, seen["fwhm"], np.nan),
        found=found,
        saturated=seen["saturated"] > 0,
        negative=seen["negative"],
        gain=gain,
        offset=offset,
        subspace=subspace,
        peak=peak / max(found.sum(), 1),
        total=total,
        pedestal=seen["pedestal"],
        height=seen["height"],
        near=near,
        sample=some[tried],
        sample_position=taken[tried],
        sample_fwhm=width[tried],
    )


def counted_gain(recorded: Recorded) -> float:
    """Gain of the counts, 0 where it is not known."""
    return recorded.gain if np.isfinite(recorded.gain) else 0.0


def _near(numbers: np.ndarray, search: slice) -> slice | None:
    """Channels in which the peaks are, if they agree, of those in which they may be."""
    position, fwhm, found = (
        numbers[..., SURVEY.index(name)].ravel() for name in ("position", "fwhm", "found")
    )
    place = common_place(np.where(found > 0, position, np.nan), fwhm)
    if place is None:
        return None
    start = max(place[0], search.start)
    return slice(start, max(min(place[1], search.stop), start + 3))


def _elsewhere(numbers: np.ndarray, near: slice) -> np.ndarray:
    position, found = (numbers[..., SURVEY.index(name)] for name in ("position", "found"))
    return (found == 0) | (position < near.start) | (position > near.stop - 1)


def some_of(array: Array) -> tuple[slice, ...]:
    """Return slices that take some spectra, evenly spaced, of an array ``(…, energy)``."""
    leading = array.shape[:-1]
    each, number, axes = 1, float(_SOME), sorted(leading)
    while axes:
        each = max(round(number ** (1 / len(axes))), 1)
        if axes[0] >= each:
            break
        # What a short axis has not, the others give.
        number /= axes.pop(0)
    return tuple(slice(None, None, -(-size // each)) for size in leading)


def check_found(survey: Survey, recorded: Recorded, search_ev: Any) -> None:
    """Refuse spectra without zero-loss peaks.

    Raises
    ------
    ValueError
        If none of the spectra has one.
    """
    if survey.found.any():
        return
    _refuse_missing(recorded)
    first, last = recorded.energy_ev[[0, -1]]
    where = f"the axis, {first:g} to {last:g} eV," if search_ev is None else f"{search_ev} eV"
    raise ValueError(
        f"there is no zero-loss peak in {where} of any spectrum: no maximum narrower than "
        f"{WIDEST_EV:g} eV, clearly above noise and away from the ends. Pass zero_loss= a spectrum "
        "of the zero-loss peak recorded with the same exposure, or zero_loss_range=(left, right) "
        "if something else comes before it."
    )


def _refuse_missing(recorded: Recorded) -> None:
    """Name missing values as what leaves no peak."""
    missing = ~np.isfinite(recorded.data)
    spectra, channels = missing.any(axis=-1), missing
    for _ in range(missing.ndim - 1):
        channels = channels.sum(axis=0)
    number, by_channel = compute(spectra.sum(), channels)
    if number < spectra.size:
        return
    channel = int(np.asarray(by_channel).argmax())
    raise ValueError(
        f"the result would be NaN everywhere: {int(number)} of {spectra.size} spectra hold NaN or "
        f"infinite values, most often in channel {channel} ({recorded.energy_ev[channel]:g} eV), "
        "in the zero-loss peak or too many side by side to be bridged. Crop them away with "
        "s.isig[…], or interpolate them."
    )
