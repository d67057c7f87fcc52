# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-loss peaks of which a channel is not as in the other spectra: it is bridged, and named."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import as_lazy_as_navigation, compute, map_blocks
from hyperspy_dosekin.processing.low_loss.odd_channels import (
    channels_near,
    odd_channels_of,
    put_there,
    smoothness_of,
)
from hyperspy_dosekin.processing.low_loss.unlike_widths import unlike_others
from hyperspy_dosekin.signals.axes.variance import warn_user
from hyperspy_dosekin.signals.processing.look import look_again, look_at
from hyperspy_dosekin.signals.processing.recorded import Recorded
from hyperspy_dosekin.signals.processing.survey import Survey, survey_of, with_subspace

#: Spectra, at most, from which it is learned how a peak is; widths and channels that are looked at.
_SOME, _WIDTHS, _MOST = 200, 2.5, 400
#: Odd channels of one peak that are bridged, one after the other.
_ROUNDS = 3
#: If more spectra have an odd channel, it is the peak, or the detector.
_USUAL = 0.34
_logger = logging.getLogger(__name__)


def look_at_bridged(
    recorded: Recorded,
    search: slice,
    show_progressbar: bool | None,
    *,
    spikes: bool,
    part: bool,
) -> tuple[Recorded, Survey]:
    """Look at spectra, and again at those of which a channel of the peak had to be bridged.

    Parameters
    ----------
    recorded, search, show_progressbar, spikes
        As for `look_at`.
    part
        Whether they are but a part of the spectra.

    Returns
    -------
    The spectra whose peaks are as those of the others, the same object if all are; and the survey.
    """
    look = look_at(recorded, search, show_progressbar)
    survey = survey_of(look, recorded, search)
    peaks = _Peaks.of(recorded, survey)
    for _ in range(_ROUNDS):
        better, places = _without_odd_channels(recorded, survey, peaks, part=part)
        if not places.size:
            break
        recorded = better
        look = look_again(look, recorded, places, search, show_progressbar)
        survey = survey_of(look, recorded, search)
        peaks = _Peaks.of(recorded, survey)
    _warn_of_other_shapes(peaks, survey)
    return recorded, with_subspace(survey, look) if spikes else survey


@dataclass(frozen=True, eq=False)
class _Peaks:
    """Channels around the zero-loss peaks that were found.

    Parameters
    ----------
    place
        Of each spectrum among all, shape ``(n,)``.
    around
        Intensities, NaN beyond the axis, shape ``(n, m)``.
    first
        Channel of the axis with which they begin, shape ``(n,)``.
    position
        Of the peak in them, same shape.
    fwhm
        Width of a typical peak in channels.
    """

    place: np.ndarray
    around: np.ndarray
    first: np.ndarray
    position: np.ndarray
    fwhm: float

    @classmethod
    def of(cls, recorded: Recorded, survey: Survey) -> _Peaks:
        """Read them; of lazy data once more."""
        place = np.flatnonzero(survey.found)
        if not place.size:
            return cls(place, np.empty((0, 1)), place, place, np.nan)
        fwhm = float(np.nanmedian(survey.fwhm))
        reach = int(min(np.ceil(_WIDTHS * fwhm) + 3, _MOST))
        (around,) = compute(
            map_blocks(
                channels_near,
                "(e),()->(c)",
                recorded.data,
                as_lazy_as_navigation(survey.position, recorded.data),
                output_sizes={"c": 2 * reach + 1},
                output_dtypes=(recorded.data.dtype,),
                reach=reach,
            )
        )
        around = np.asarray(around, dtype=np.float64).reshape(-1, 2 * reach + 1)[place]
        position = survey.position.ravel()[place]
        first = np.round(position) - reach
        last = recorded.energy_ev.size - 1
        for row in np.flatnonzero((first < 0) | (first + 2 * reach > last)):
            channel = first[row] + np.arange(2 * reach + 1)
            around[row, (channel < 0) | (channel > last)] = np.nan
        return cls(place, around, first, position - first, fwhm)


def _without_odd_channels(
    recorded: Recorded, survey: Survey, peaks: _Peaks, *, part: bool
) -> tuple[Recorded, np.ndarray]:
    """Spectra with one odd channel of each peak, or two, less; and the places of those spectra."""
    gain, offset = np.nan_to_num((survey.gain, survey.offset))
    saturated = survey.saturated.ravel()[peaks.place]
    usable, none = np.flatnonzero(~saturated), np.empty(0, dtype=np.intp)
    if not usable.size or not gain >= 0 <= offset:
        return recorded, none
    some = usable[np.linspace(0, usable.size - 1, min(_SOME, usable.size)).astype(np.intp)]
    noise: tuple[float, float] = (float(gain), float(offset))
    around, position = peaks.around, peaks.position
    shape = smoothness_of(around[some], position[some], peaks.fwhm, *noise)
    if shape is None:
        return recorded, none
    odd, values = odd_channels_of(around, position, peaks.fwhm, shape, *noise)
    odd[saturated] = -1
    number = int(np.count_nonzero(odd >= 0))
    if not number or number > max(_USUAL * odd.size, 1) or (1 < number == odd.size):
        return recorded, none
    return _bridged(recorded, peaks, odd, values, part=part), peaks.place[odd >= 0]


def _warn_of_other_shapes(peaks: _Peaks, survey: Survey) -> None:
    """Log peaks that are wider or narrower than the others; saturated ones are named anyhow."""
    if not np.isfinite(peaks.fwhm):
        return
    level = survey.pedestal.ravel()[peaks.place, np.newaxis]
    factor = unlike_others(peaks.around - level, peaks.position, peaks.fwhm)
    factor[survey.saturated.ravel()[peaks.place]] = 1.0
    rows = np.flatnonzero(factor != 1)
    if rows.size:
        worst = rows[np.abs(np.log(factor[rows])).argmax()]
        _logger.warning(
            "The zero-loss peak of %d of %d spectra is not as wide as those of the others: %s, "
            "%.2g times the usual width where it is worst. It may have moved within a frame, lost "
            "what the camera did not count, or be missing, and all areas of these spectra may be "
            "wrong: look at them, or leave them out.",
            rows.size,
            survey.found.size,
            _named(peaks.place[rows], survey.found.shape),
            float(np.sqrt(factor[worst])),
        )


def _named(places: np.ndarray, shape: tuple[int, ...]) -> str:
    """The first spectra by their indices."""
    some = [str(tuple(map(int, np.unravel_index(each, shape)))) for each in places[:5]]
    return f"{', '.join(some)}{' and more' if places.size > 5 else ''}"


def _bridged(
    recorded: Recorded, peaks: _Peaks, odd: np.ndarray, values: np.ndarray, *, part: bool
) -> Recorded:
    """Say what is odd, and put there what belongs there."""
    rows = np.flatnonzero(odd >= 0)
    shape = recorded.data.shape[:-1]
    spectra = peaks.place[rows]
    channel = np.full(math.prod(shape), -1)
    channel[spectra] = (peaks.first[rows] + odd[rows]).astype(int)
    value = np.full((channel.size, 2), np.nan)
    value[spectra] = values[rows]
    named = [
        f"channel {channel[each]} ({recorded.energy_ev[channel[each]]:.4g} eV)"
        + (f" of spectrum {tuple(map(int, np.unravel_index(each, shape)))}" if shape else "")
        for each in spectra[:5]
    ]
    warn_user(
        f"{spectra.size} zero-loss peaks hold a value that is not as in the others: "
        f"{', '.join(named)}{' and more' if spectra.size > 5 else ''}, "
        f"{peaks.around[rows[0], odd[rows[0]]]:.4g} where {values[rows[0], 0]:.4g} is expected. "
        + (
            "Only a part of the spectra was looked at, and areas of such spectra are wrong: pass "
            "survey='all', which bridges them."
            if part
            else "It is taken for a fault of recording, and bridged."
        )
    )
    data: Any = map_blocks(
        put_there,
        "(e),(),(),()->(e)",
        recorded.data,
        *(
            as_lazy_as_navigation(each.reshape(shape), recorded.data)
            for each in (channel, *value.T)
        ),
        output_dtypes=(recorded.data.dtype,),
    )
    return replace(recorded, data=data)
