# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``zero_loss=`` of `process_low_loss` may be."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, prepend
from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.processing.low_loss.deconvolution import band_of
from hyperspy_dosekin.processing.low_loss.gain_side import share_without_features, tail_of
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.processing.low_loss.peak_shape import PER_CHANNEL, PeakShape, fit_zero_loss
from hyperspy_dosekin.processing.low_loss.residue import (
    excess_of,
    residue_of,
    residue_of_model,
    with_second_order,
)
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, find_zero_loss
from hyperspy_dosekin.processing.shifting import shift_peak
from hyperspy_dosekin.signals.processing.recorded import Recorded, read
from hyperspy_dosekin.signals.processing.survey import Survey

MODELS = ("auto", "reflected", "fitted")
#: Widths of gain side without which a peak cannot be reflected.
_FEWEST_WIDTHS = 3.0
#: Share of the peak in a tail that was continued beyond the gain side, above which that is said.
_MUCH_TAIL = 2e-4
#: Pedestal, as a share of the height of the peak, below which it may be losses.
_SMALL_PEDESTAL = 0.01
_logger = logging.getLogger(__name__)
_REMEDY = (
    "pass 'auto', 'reflected', 'fitted', an energy in eV at which the zero-loss peak ends, or a "
    "signal of the zero-loss peak."
)


@dataclass(frozen=True, eq=False)
class MeasuredPeak:
    """A measured zero-loss peak.

    Parameters
    ----------
    counts
        Mean spectrum with the peak at the channel `origin`, shape ``(n_channels,)``.
    origin
        Channel of the peak.
    fwhm
        Its full width at half maximum in channels.
    """

    counts: np.ndarray
    origin: int
    fwhm: float

    def on(self, channels: np.ndarray) -> np.ndarray:
        """Give the counts at channels relative to the peak; zero where nothing was measured."""
        index = channels + self.origin
        inside = (index >= 0) & (index < self.counts.size)
        return np.where(inside, self.counts[np.clip(index, 0, self.counts.size - 1)], 0.0)


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


def read_measured(zero_loss: Any, recorded: Recorded) -> MeasuredPeak:
    """Find the peak in a measured spectrum, or in the mean of several.

    Parameters
    ----------
    zero_loss
        Signal with channels as wide as those of the data.
    recorded
        The data.

    Raises
    ------
    ValueError
        If its channels have another width, or there is no zero-loss peak in it.
    """
    measured = read(zero_loss, "zero_loss=", as_it_is=True)
    if not np.isclose(measured.scale_ev, recorded.scale_ev, rtol=1e-3):
        raise ValueError(
            f"the channels of zero_loss are {measured.scale_ev:g} eV wide, those of the data "
            f"{recorded.scale_ev:g} eV; rebin one of them with s.rebin(scale=…)."
        )
    (data,) = compute(measured.data)
    spectra = np.asarray(data, dtype=np.float64).reshape(-1, data.shape[-1])
    seen = find_zero_loss(spectra, widest=WIDEST_EV / measured.scale_ev)
    if not seen.found.any():
        raise ValueError(
            "there is no zero-loss peak in zero_loss: no maximum narrower than "
            f"{WIDEST_EV:g} eV away from its ends; pass a spectrum of the zero-loss peak."
        )
    spectra, position = spectra[seen.found], seen.position[seen.found]
    origin = round(float(np.median(position)))
    mean = shift_peak(spectra, origin - position).mean(axis=0)
    return MeasuredPeak(np.maximum(mean, 0.0), origin, float(np.median(seen.fwhm[seen.found])))


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
    position, fwhm = np.nanmedian(survey.position), np.nanmedian(survey.fwhm)
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
    side = survey.peak[middle::-1][: min(length, middle) + 1]
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
    excess = excess_of(side, survey.peak[middle:][: side.size], fwhm) if area > 0 else None
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
    chain
        The steps.
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
    gain_side = survey.total[origin::-1][: origin + 1] / max(number, 1)
    if chain.n_dark:
        gain_side = gain_side - gain_side[-chain.n_dark - chain.start :].mean()
    after = residue_of(
        gain_side,
        *_sides(survey, chain),
        chain.fwhm,
        number=chain.stop - origin,
        ended=chain.n_dark > 0,
        reach=chain.reach,
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
    return survey.peak[middle::-1][:near], survey.peak[middle:][:near]


def splice(recorded: Recorded, measured: MeasuredPeak) -> tuple[Recorded, np.ndarray, int]:
    """Put a measured zero-loss peak before spectra that begin beyond it.

    Parameters
    ----------
    recorded
        Spectra on a calibrated axis.
    measured
        The peak, of the same exposure.

    Returns
    -------
    recorded : Recorded
        Spectra that begin with the peak.
    zero_loss : numpy.ndarray
        The peak on all their channels.
    origin : int
        Its channel.

    Raises
    ------
    ValueError
        If the axis of the spectra begins below or at the peak.
    """
    start = round(float(recorded.energy_ev[0]) / recorded.scale_ev)
    if start <= 1:
        raise ValueError(
            f"the axis begins at {recorded.energy_ev[0]:g} eV, so that the zero-loss peak should "
            "be on it, but none was found; calibrate the axis, or leave these spectra out."
        )
    before = np.arange(-measured.origin, start)
    data = prepend(measured.on(before), recorded.data)
    variance = recorded.variance
    if variance is not None:
        variance = prepend(np.zeros(before.size), variance)
    every = np.arange(-measured.origin, start + recorded.data.shape[-1])
    spliced = replace(
        recorded,
        data=data,
        energy_ev=every * recorded.scale_ev,
        variance=variance,
    )
    return spliced, measured.on(every), measured.origin
