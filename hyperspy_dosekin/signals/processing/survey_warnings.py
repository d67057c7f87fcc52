# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of low-loss spectra after the look at them, before they are processed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, is_lazy
from hyperspy_dosekin.processing.low_loss.flat_top import odd_in_peak
from hyperspy_dosekin.processing.spikes.channel_gain import odd_channels

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.processing.recorded import Recorded
    from hyperspy_dosekin.signals.processing.survey import Survey

_logger = logging.getLogger(__name__)

#: Share of negative values that counting and a fair dark reference do not make.
_MANY_NEGATIVE = 0.3
#: Negative intensities of so much of the largest one are no noise: integers have run over.
_WRAPPED = 0.5
#: Widths beyond which another peak is none of the zero-loss peak, and by which it is as narrow.
_APART, _AS_NARROW = 3.0, 1.15
#: Pedestal that is said, as a share of the height of the zero-loss peak, or of all intensity.
_PEDESTAL = 0.02


def warn_of_trouble(survey: Survey, recorded: Recorded) -> None:
    """Log what spoils the results without making them impossible."""
    number = survey.found.size
    lost = number - int(survey.found.sum())
    if lost:
        held = _with_missing(survey, recorded)
        _logger.warning(
            "%d of %d spectra have no zero-loss peak%s; they are NaN in the result.",
            lost,
            number,
            f" that could be looked for, {held} of them since they hold NaN" if held else "",
        )
    if survey.near is not None:
        away = survey.position[survey.found]
        away = (away < survey.near.start) | (away > survey.near.stop - 1)
        if away.any():
            _logger.warning(
                "The zero-loss peak of %d of %d spectra is far from that of the others, and there "
                "is none near theirs: leave these spectra out, or look at them.",
                int(away.sum()),
                number,
            )
    saturated = int(survey.saturated.sum())
    if saturated:
        _logger.warning(
            "The zero-loss peak of %d of %d spectra has a flat top and is probably saturated: its "
            "intensity is too low, t/λ and all areas are too high there. Record shorter frames, "
            "or pass zero_loss= a spectrum that is not saturated, scaled to the same exposure.",
            saturated,
            number,
        )
    if recorded.energy_ev[0] > 0:
        place = recorded.energy_ev[0] + float(np.nanmedian(survey.position)) * recorded.scale_ev
        _logger.warning(
            "0 eV is not on the axis, which begins at %.4g eV: the peak at %.4g eV is taken for "
            "the zero-loss peak, and the axis moved. If it is a loss, pass zero_loss= a spectrum "
            "of the zero-loss peak, or record it.",
            recorded.energy_ev[0],
            place,
        )
    _warn_of_odd_channels_in_peaks(survey, recorded)
    _warn_of_a_higher_peak(survey, recorded)
    _warn_if_wrapped(survey, recorded)
    negative = float(survey.negative.mean())
    if negative > _MANY_NEGATIVE:
        _logger.warning(
            "%.0f %% of the intensities are negative, more than noise around zero explains where "
            "there are losses: the dark reference seems too high. Correct it before processing.",
            100 * negative,
        )
    centre = np.nanmedian(survey.position)
    span = np.nanmax(np.abs(survey.position - centre)) + 3 * np.nanmedian(survey.fwhm)
    protected = np.abs(np.arange(survey.total.size) - centre) < span
    variance = survey.gain * np.maximum(survey.total, 0.0) + survey.offset * number
    odd = _in_most_spectra(odd_channels(survey.total, variance, protected), recorded.data)
    if odd.size:
        _logger.warning(
            "Channels %s differ from their neighbours by more than 2 %% in the sum of all "
            "spectra: their gain seems shifted. Apply a gain reference, or interpolate over them, "
            "before processing.",
            ", ".join(str(channel) for channel in odd[:10]) + (" …" if odd.size > 10 else ""),
        )


def _with_missing(survey: Survey, recorded: Recorded) -> int:
    """Of the spectra without a peak those that hold NaN; of lazy ones nothing is read for it."""
    if is_lazy(recorded.data) or np.dtype(recorded.data.dtype).kind != "f":
        return 0
    return int((~np.isfinite(recorded.data[~survey.found]).all(axis=-1)).sum())


def _warn_of_odd_channels_in_peaks(survey: Survey, recorded: Recorded) -> None:
    """Log a channel in most zero-loss peaks that is far from its neighbours."""
    gain, offset = np.nan_to_num((survey.gain, survey.offset))
    each = zip(survey.sample, survey.sample_position, survey.sample_fwhm, strict=True)
    found = [odd_in_peak(*spectrum, gain, offset) for spectrum in each]
    odd = [one for one in found if one is not None]
    if len(odd) < max(0.5 * len(found), 1):
        return
    channels = np.array([channel for channel, _ in odd])
    usual = int(np.bincount(channels).argmax())
    shares = [share for channel, share in odd if channel == usual]
    if len(shares) >= 0.5 * len(odd):
        _logger.warning(
            "Channel %d (%.4g eV), in the zero-loss peak, holds %.2g times what its neighbours let "
            "expect: its gain seems another, and t/λ and all areas are wrong. Set it to NaN, which "
            "is bridged by a curve, or apply a gain reference.",
            usual,
            recorded.energy_ev[usual],
            float(np.median(shares)),
        )
        return
    _logger.warning(
        "The zero-loss peak of %d of %d spectra that were looked at is not smooth, near channel "
        "%d: its counts may have been too large for the type in which they were written and have "
        "begun again at zero, or single channels have another gain. t/λ and all areas are wrong. "
        "Convert the data again from the recording, or record shorter frames.",
        len(odd),
        len(found),
        usual,
    )


def _warn_of_a_higher_peak(survey: Survey, recorded: Recorded) -> None:
    """Log a peak that is higher than that taken for the zero-loss peak, and as narrow."""
    places = []
    for spectrum, position, fwhm in zip(
        survey.sample, survey.sample_position, survey.sample_fwhm, strict=True
    ):
        top = int(spectrum.argmax())
        if abs(top - position) < _APART * fwhm:
            continue
        # A loss is as wide as the zero-loss peak and more.
        half = np.flatnonzero(spectrum < 0.5 * spectrum[top])
        before, after = half[half < top], half[half > top]
        if before.size and after.size and after[0] - before[-1] - 1 <= _AS_NARROW * fwhm:
            places.append(top - position)
    if len(places) > 0.5 * len(survey.sample):
        _logger.warning(
            "The first peak of the spectra is taken for the zero-loss peak, though %.4g eV beyond "
            "it is a higher one that is as narrow, which no loss is. If that is the zero-loss "
            "peak, pass zero_loss_range=.",
            float(np.median(places)) * recorded.scale_ev,
        )


def _warn_if_wrapped(survey: Survey, recorded: Recorded) -> None:
    """Log intensities that are negative since they were too large for their type."""
    if np.dtype(recorded.data.dtype).kind not in "if" or not survey.sample.size:
        return
    lowest, highest = survey.sample.min(axis=-1), survey.sample.max(axis=-1)
    wrapped = int((-lowest > _WRAPPED * highest).sum())
    if wrapped:
        _logger.warning(
            "%d of %d spectra that were looked at fall to %.4g, as far below zero as they rise "
            "above it: their largest intensities were too large for the type in which they were "
            "written, and have become negative. Read the file as unsigned integers, such as "
            "s.data.view('uint16') of int16, or convert it again from the recording.",
            wrapped,
            len(survey.sample),
            float(lowest.min()),
        )


def warn_of_pedestal(survey: Survey, recorded: Recorded, subtracted: bool) -> None:
    """Log a pedestal, and whether it is subtracted."""
    # Where the axis begins in the peak, only the noise tells.
    by_noise = 0.0 if subtracted else float(recorded.noise_record.get("pedestal", 0.0))
    level = max(float(np.median(survey.pedestal[survey.found])), by_noise)
    share = level / float(np.median(survey.height[survey.found]))
    area = level * survey.total.size * survey.found.size
    if not max(share, area / max(float(survey.total.sum()), np.finfo(float).tiny)) > _PEDESTAL:
        return
    what = (
        "It is subtracted; see the diagnostic 'dark_level'."
        if subtracted
        else "It is NOT subtracted, since no channels below the peak have it alone: unless it is "
        "the losses at the end of the axis, t/λ and all areas are too large. Subtract a dark "
        "reference, or record more of the gain side."
    )
    _logger.warning(
        "The spectra stand on a pedestal of %.4g, %s the height of their zero-loss peak. %s",
        level,
        f"{100 * share:.2g} % of" if share < 0.995 else f"{share:.2g} times",
        what,
    )


def _in_most_spectra(channels: np.ndarray, data: Any) -> np.ndarray:
    """Return those channels that deviate in most spectra, and not by a spike in one of them."""
    kept = []
    for channel in channels:
        (around,) = compute(data[..., channel - 2 : channel + 3])
        around = np.asarray(around, dtype=np.float64).reshape(-1, 5)
        beside = around[:, [0, 1, 3, 4]] @ np.array([-1.0, 4.0, 4.0, -1.0]) / 6
        deviation = around[:, 2] - beside
        middle = np.median(deviation)
        error = 1.9 * np.median(np.abs(deviation - middle)) / np.sqrt(deviation.size)
        if abs(middle) > max(0.01 * around.mean(), 6 * error):
            kept.append(channel)
    return np.array(kept, dtype=np.intp)
