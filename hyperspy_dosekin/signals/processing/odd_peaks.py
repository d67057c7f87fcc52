# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zero-loss peaks of which a channel is not as in the other spectra: it is bridged, and named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import as_lazy_as_navigation, compute, map_blocks
from hyperspy_dosekin.processing.low_loss.odd_channels import (
    channels_near,
    odd_channels_of,
    put_there,
    smoothness_of,
)
from hyperspy_dosekin.signals.axes.variance import warn_user
from hyperspy_dosekin.signals.processing.recorded import Recorded
from hyperspy_dosekin.signals.processing.survey import Survey, look_at

#: Spectra, at most, from which it is learned how a peak is; widths and channels that are looked at.
_SOME, _WIDTHS, _MOST = 200, 2.5, 400
#: Odd channels of one peak that are bridged, one after the other.
_ROUNDS = 3
#: If more spectra have an odd channel, it is the peak, or the detector.
_USUAL = 0.34


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
    survey = look_at(recorded, search, show_progressbar, spikes=spikes)
    for _ in range(_ROUNDS):
        better = _without_odd_channels(recorded, survey, part=part)
        if better is recorded:
            break
        recorded = better
        survey = look_at(recorded, search, show_progressbar, spikes=spikes)
    return recorded, survey


def _without_odd_channels(recorded: Recorded, survey: Survey, *, part: bool) -> Recorded:
    """Spectra with one odd channel of each peak less."""
    found = survey.found.ravel()
    gain, offset = np.nan_to_num((survey.gain, survey.offset))
    if not found.any() or not gain >= 0 <= offset:
        return recorded
    fwhm = float(np.nanmedian(survey.fwhm))
    reach = int(min(np.ceil(_WIDTHS * fwhm) + 3, _MOST))
    place = as_lazy_as_navigation(survey.position, recorded.data)
    (around,) = compute(
        map_blocks(
            channels_near,
            "(e),()->(c)",
            recorded.data,
            place,
            output_sizes={"c": 2 * reach + 1},
            output_dtypes=(recorded.data.dtype,),
            reach=reach,
        )
    )
    around = np.asarray(around, dtype=np.float64).reshape(-1, 2 * reach + 1)[found]
    first = np.round(survey.position.ravel()[found]) - reach
    channel = first[:, np.newaxis] + np.arange(2 * reach + 1)
    around[(channel < 0) | (channel >= recorded.energy_ev.size)] = np.nan
    position = survey.position.ravel()[found] - first
    usable = np.flatnonzero(~survey.saturated.ravel()[found])
    some = usable[np.linspace(0, usable.size - 1, min(_SOME, usable.size)).astype(np.intp)]
    noise: tuple[float, float] = (float(gain), float(offset))
    shape = smoothness_of(around[some], position[some], fwhm, *noise) if some.size else None
    if shape is None:
        return recorded
    odd, values = odd_channels_of(around, position, fwhm, shape, *noise)
    odd[survey.saturated.ravel()[found]] = -1
    number = int(np.count_nonzero(odd >= 0))
    if not number or number > max(_USUAL * odd.size, 1) or (1 < number == odd.size):
        return recorded
    return _bridged(recorded, found, first, odd, values, around, part=part)


def _bridged(
    recorded: Recorded,
    found: np.ndarray,
    first: np.ndarray,
    odd: np.ndarray,
    values: np.ndarray,
    around: np.ndarray,
    *,
    part: bool,
) -> Recorded:
    """Say what is odd, and put there what belongs there."""
    rows = np.flatnonzero(odd >= 0)
    channel = np.full(found.size, -1)
    channel[np.flatnonzero(found)[rows]] = (first[rows] + odd[rows]).astype(int)
    value = np.full((found.size, 2), np.nan)
    value[np.flatnonzero(found)[rows]] = values[rows]
    shape = recorded.data.shape[:-1]
    spectra = np.flatnonzero(channel >= 0)
    named = [
        f"channel {channel[each]} ({recorded.energy_ev[channel[each]]:.4g} eV)"
        + (f" of spectrum {tuple(map(int, np.unravel_index(each, shape)))}" if shape else "")
        for each in spectra[:5]
    ]
    warn_user(
        f"{spectra.size} zero-loss peaks hold a value that is not as in the others: "
        f"{', '.join(named)}{' and more' if spectra.size > 5 else ''}, "
        f"{around[rows[0], odd[rows[0]]]:.4g} where {values[rows[0], 0]:.4g} is expected. "
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
