# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``zero_loss=`` of `process_low_loss` may be."""

from __future__ import annotations

import logging
from numbers import Real
from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.processing.low_loss.deconvolution import band_of
from hyperspy_dosekin.processing.low_loss.gain_side import (
    continued,
    ends_in_flank,
    share_without_features,
    tail_of,
)
from hyperspy_dosekin.processing.low_loss.left_again import with_second_order
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.processing.low_loss.peak_shape import PER_CHANNEL, PeakShape, fit_zero_loss
from hyperspy_dosekin.processing.low_loss.residue import (
    excess_of,
    residue_of,
    residue_of_model,
)
from hyperspy_dosekin.signals.processing.measured_peak import MeasuredPeak
from hyperspy_dosekin.signals.processing.survey import Survey

MODELS = ("auto", "reflected", "fitted")
#: Widths of gain side without which a peak cannot be reflected, and without which its flank ends
#: somewhere that nobody sees.
_FEWEST_WIDTHS, _SHORT = 1.0, 3.0
#: Share of the peak in a tail that was continued beyond the gain side, above which that is said.
_MUCH_TAIL = 2e-4
#: Pedestal, as a share of the height of the peak, below which it may be losses.
_SMALL_PEDESTAL = 0.01
_logger = logging.getLogger(__name__)
_REMEDY = (
    "pass 'auto', 'reflected', 'fitted', an energy in eV at which the zero-loss peak ends, or a "
    "signal of the zero-loss peak."
)


def check_zero_loss(zero_loss: Any) -> None:
    """Refuse what is no description of a zero-loss peak.

    Raises
    ------
    ValueError, TypeError
        If it is an unknown word, not a positive energy, or of another kind.
    """
    if isinstance(zero_loss, str):
        if zero_loss not in MODELS:
            raise ValueError(f"zero_loss={zero_loss!r} is not known; {_REMEDY}")
    elif isinstance(zero_loss, Real) and not isinstance(zero_loss, bool):
        real_number("zero_loss", zero_loss, _REMEDY.rstrip("."), above=0.0, most=1e6)
    elif not hasattr(zero_loss, "axes_manager"):
        raise TypeError(f"zero_loss={zero_loss!r} describes no zero-loss peak; {_REMEDY}")


def model_shape(zero_loss: Any, measured: MeasuredPeak | None, survey: Survey, reach: int) -> Any:
    """Return what the chain takes as its model of the zero-loss peak.

    Parameters
    ----------
    zero_loss
        As the user gave it, in eV where it is an energy.
    measured
        The peak, if it was measured.
    survey
        Of the data.
    reach
        Channels on either side of the peak that the result has at most.
    """
    if measured is not None:
        return PeakShape.sampled(measured.counts / measured.counts.sum(), measured.origin)
    if zero_loss != "fitted":
        return zero_loss
    middle = survey.peak.size // 2
    where = np.arange(-reach * PER_CHANNEL, reach * PER_CHANNEL + 1) / PER_CHANNEL
    values = fit_zero_loss(
        _peak_on_nothing(survey), middle, float(np.nanmedian(survey.fwhm)), where
    )
    return PeakShape(values * (PER_CHANNEL / values.sum()), reach * PER_CHANNEL)


def _peak_on_nothing(survey: Survey) -> np.ndarray:
    """The mean peak as it stands in the spectra, but for a pedestal that is one.

    What all spectra have at both ends is subtracted from it. If that is little, it may as well be
    losses at the end of the axis, and the flank of a peak that the axis cuts.
    """
    level = float(np.mean(survey.pedestal[survey.found]))
    return survey.peak + (level if level < _SMALL_PEDESTAL * survey.peak.max() else 0.0)


def choose_model(zero_loss: Any, survey: Survey) -> Any:
    """Return the model that ``"auto"`` stands for: the reflected peak if its gain side is long."""
    if not (isinstance(zero_loss, str) and zero_loss == "auto"):
        return zero_loss
    position, fwhm = np.nanmin(survey.position), np.nanmedian(survey.fwhm)
    if position < _SHORT * fwhm:
        _logger.warning(
            "The axis begins %.2g widths below the zero-loss peak, in its flank, and how that goes "
            "on is not seen: windows near the peak may be wrong by what is claimed of it, or by "
            "more. Record %g widths and more of the gain side, or pass zero_loss= a spectrum in "
            "vacuum.",
            position / fwhm,
            _SHORT,
        )
    return "reflected" if position >= _FEWEST_WIDTHS * fwhm else "fitted"


def look_at_gain_side(
    survey: Survey, start: int, reach: int, scale_ev: float, *, noise_known: bool
) -> dict[str, Any]:
    """What a reflected peak needs to know of the gain side, and log what is wrong there.

    Parameters
    ----------
    survey
        Of the data.
    start
        First channel of the axis that is kept.
    reach
        Channels that the tails of the peak may reach.
    scale_ev
        Width of a channel.
    noise_known
        Whether gain and offset of the survey are those of the noise.

    Returns
    -------
    dict
        `share`, `tail`, `excess` and `band` of a `LowLossChain`; nothing where no gain side is
        left.
    """
    middle = survey.peak.size // 2
    length = int(np.floor(np.nanmin(survey.position))) - start
    if length < 0:
        return {}
    fwhm = float(np.nanmedian(survey.fwhm))
    peak = _peak_on_nothing(survey) if ends_in_flank(length, fwhm) else survey.peak
    side = peak[middle::-1][: min(length, middle) + 1]
    variance = None
    if noise_known:
        number = survey.found.sum()
        # Electrons of the pedestal make noise too, and where none is seen there may be one.
        level = float(np.median(survey.pedestal[survey.found])) + survey.gain / number
        variance = (survey.gain * np.maximum(side + level, 0.0) + survey.offset) / number
    share = share_without_features(side, fwhm, variance)
    if share is not None:
        where = np.flatnonzero(share < 1) * scale_ev
        _logger.warning(
            "The gain side of the zero-loss peak rises between %.3g and %.3g eV below the peak: "
            "energy gains there are not mirrored into the losses.",
            where[-1],
            where[0],
        )
        side = side * share
    tail = tail_of(side, fwhm) if length < min(reach, middle) else None
    if tail is not None and tail.area > _MUCH_TAIL:
        _logger.warning(
            "The gain side of the zero-loss peak ends %.3g eV below it, where its tail has not: "
            "the tail is continued as E^-%.1f from %.3g eV on, which is %.1e of the zero-loss "
            "peak, and may be wrong by as much. Pass zero_loss= a spectrum in vacuum, or record "
            "more of the gain side.",
            length * scale_ev,
            tail.exponent,
            length * scale_ev,
            tail.area,
        )
    area = float(2 * side.sum() - side[0])
    loss_side = peak[middle:]
    longer = continued(side, fwhm, loss_side.size)
    excess = excess_of(longer, loss_side[: longer.size], fwhm) if area > 0 else None
    whole = np.concatenate([side[:0:-1], side])
    if excess is not None:
        whole[side.size - 1 :][: excess.size] += excess[: side.size]
    # The mirror image has the noise of the gain side once more.
    noise = (survey.gain * max(area, 0.0) + survey.offset * whole.size) / survey.found.sum()
    return {
        "share": share,
        "tail": tail,
        "excess": None if excess is None else excess / area,
        "band": band_of(whole, survey.fwhm[survey.found], 2 * noise),
    }


def residue_in(survey: Survey, chain: LowLossChain, *, measured: bool) -> np.ndarray | None:
    """What a mirrored or fitted peak may leave among the losses, on the channels kept.

    Parameters
    ----------
    survey
        Of the data.
    measured
        Whether the peak was measured, and leaves nothing.

    Returns
    -------
    numpy.ndarray or None
        Share of the zero-loss peak, per eV, shape ``(stop - start,)``; ``None`` for other models.
    """
    if isinstance(chain.zero_loss, PeakShape) and not measured:
        place = float(chain.origin - chain.start)
        (model,) = chain.zero_loss.at(np.array([place]), chain.stop - chain.start)
        middle = survey.peak.size // 2
        (there,) = chain.zero_loss.at(np.array([float(middle)]), survey.peak.size)
        # As high as the mean peak where losses have no part.
        core = slice(max(middle - round(1.5 * chain.fwhm), 0), middle + 1)
        peak = _peak_on_nothing(survey)
        height = peak[core].sum() / there[core].sum()
        left = residue_of_model(
            model,
            place,
            chain.fwhm,
            *_sides(survey, chain),
            loss_side=peak[middle:] / height,
        )
        return _per_ev(left[chain.origin - chain.start :], chain)
    if not isinstance(chain.zero_loss, str) or survey.total.size < chain.stop:
        return None
    origin = chain.origin
    number = int(survey.found.sum())
    # Far from the peak it does not matter that the sum of all is of spectra that drift.
    total = survey.total / max(number, 1)
    if chain.n_dark:
        total = total - total[: chain.start + chain.n_dark].mean()
    gain_side = total[origin::-1]
    after = residue_of(
        gain_side,
        *_sides(survey, chain),
        chain.fwhm,
        number=chain.stop - origin,
        ended=chain.n_dark > 0,
        reach=chain.reach,
        loss_side=total[origin:],
        continued=0.0 if chain.tail is None else chain.tail.at(np.arange(chain.stop - origin)),
    )
    return _per_ev(after, chain)


def _per_ev(after: np.ndarray, chain: LowLossChain) -> np.ndarray:
    """What is left, from the peak outward, on the channels kept and per eV."""
    after = with_second_order(after, chain.fwhm)
    return np.concatenate([np.zeros(chain.origin - chain.start), after]) / chain.scale_ev


def _sides(survey: Survey, chain: LowLossChain) -> tuple[np.ndarray, np.ndarray]:
    """Gain and loss side of the mean peak, from its middle outward."""
    middle = survey.peak.size // 2
    near = min(middle, chain.origin) + 1
    peak = _peak_on_nothing(survey) if ends_in_flank(near - 1, chain.fwhm) else survey.peak
    gain_side = continued(peak[middle::-1][:near], chain.fwhm, middle + 1)
    return gain_side, peak[middle:][: gain_side.size]
