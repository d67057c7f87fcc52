# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is counted in all low-loss spectra before they are processed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.lazy.blocks import (
    compute,
    cpu_count,
    is_lazy,
    map_blocks,
    sum_of_spectra,
)
from hyperspy_dosekin.processing.low_loss.survey import (
    SURVEY,
    common_place,
    survey_low_loss,
    type_of_peak,
)
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV
from hyperspy_dosekin.signals.processing.recorded import Recorded
from hyperspy_dosekin.signals.progress import dask_progress

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array

#: Spectra, about, from which their common structure is taken.
_SOME = 100


@dataclass(frozen=True, eq=False)
class Look:
    """What was counted in all spectra, of which a survey is made.

    Parameters
    ----------
    numbers
        The entries of `SURVEY`, shape ``(…, 7)``.
    peaks
        Peak of each spectrum, shape ``(…, n_peak)``; of lazy data their sum, shape ``(n_peak,)``.
    total
        Sum of all spectra, shape ``(n_channels,)``.
    some, variance
        Those of `some_of`, and their variance if that is recorded.
    near
        Channels in which the peaks are, if they agree.
    """

    numbers: np.ndarray
    peaks: np.ndarray
    total: np.ndarray
    some: np.ndarray
    variance: np.ndarray | None
    near: slice | None


def look_at(
    recorded: Recorded, search: slice = slice(None), show_progressbar: bool | None = None
) -> Look:
    """Find the zero-loss peak of every spectrum, in one pass that is made at once.

    Parameters
    ----------
    search
        Channels in which the peak is.
    show_progressbar
        For lazy data.
    """
    look = _look_at_all(recorded, search, None, show_progressbar)
    near = _near(look.numbers, search)
    if near is None:
        return look
    look = replace(look, near=near)
    places = np.flatnonzero(_elsewhere(look.numbers, near))
    return _look_at_some(look, recorded, places, search, show_progressbar) if places.size else look


def look_again(
    look: Look,
    recorded: Recorded,
    places: np.ndarray,
    search: slice = slice(None),
    show_progressbar: bool | None = None,
) -> Look:
    """Look again at some of the spectra, with what is known of where the others have their peak.

    Lazy data are read again as a whole, block by block.

    Parameters
    ----------
    look
        The first one.
    recorded
        The spectra as they are now; only those at `places` may be others than at first.
    places
        Of spectra among all, shape ``(n,)``.
    search, show_progressbar
        As for `look_at`.
    """
    look = _look_at_some(look, recorded, places, search, show_progressbar)
    if is_lazy(recorded.data):
        return look
    data = recorded.data
    return replace(look, total=sum_of_spectra(data), some=data[some_of(data)])


def _look_at_some(
    look: Look,
    recorded: Recorded,
    places: np.ndarray,
    search: slice,
    show_progressbar: bool | None,
) -> Look:
    data = recorded.data
    if is_lazy(data):
        return _look_at_all(recorded, search, look.near, show_progressbar)
    some = data.reshape(-1, data.shape[-1])[places]
    numbers, peaks = _seen_in(some, recorded, search, look.near)
    for whole, part in ((look.numbers, numbers), (look.peaks, peaks)):
        whole.reshape(-1, whole.shape[-1])[places] = part
    return look


def _look_at_all(
    recorded: Recorded, search: slice, near: slice | None, show_progressbar: bool | None
) -> Look:
    data = recorded.data
    numbers, peaks = _seen_in(data, recorded, search, near)
    variance = None if recorded.variance is None else recorded.variance[some_of(data)]
    peaks = sum_of_spectra(peaks) if is_lazy(peaks) else peaks
    with dask_progress(show_progressbar):
        return Look(
            *compute(numbers, peaks, sum_of_spectra(data), data[some_of(data)], variance), near=near
        )


def _seen_in(
    data: Array, recorded: Recorded, search: slice, near: slice | None
) -> tuple[Array, ...]:
    """Numbers and peaks of all of the spectra, or some of them, as lazy as they are."""
    widest, kind = WIDEST_EV / recorded.scale_ev, np.dtype(data.dtype)
    reach = int(min(np.ceil(widest), data.shape[-1] - 1))
    return map_blocks(
        survey_low_loss,
        "(e)->(q),(p)",
        data,
        output_sizes={"q": len(SURVEY), "p": 2 * reach + 1},
        output_dtypes=(np.float64, type_of_peak(kind)),
        eager_options={"workers": cpu_count()},
        widest=widest,
        search=search,
        largest_value=float(np.iinfo(kind).max) if kind.kind in "iu" else np.inf,
        reach=reach,
        gain=counted_gain(recorded),
        near=near,
        device=recorded.device,
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
