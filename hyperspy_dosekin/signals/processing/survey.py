# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at all low-loss spectra: where their zero-loss peaks are, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, sum_of_spectra
from hyperspy_dosekin.processing.low_loss.survey import SURVEY, noise_from_scatter
from hyperspy_dosekin.processing.low_loss.zero_loss import WIDEST_EV, protected_channels
from hyperspy_dosekin.processing.spikes.removal import learn_subspace
from hyperspy_dosekin.processing.spikes.subspace import Subspace
from hyperspy_dosekin.signals.processing.look import Look, some_of
from hyperspy_dosekin.signals.processing.recorded import Recorded

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


def survey_of(look: Look, recorded: Recorded, search: slice = slice(None)) -> Survey:
    """Say what spectra look like; what tells spikes is still to be learned.

    Parameters
    ----------
    look, recorded, search
        From `look_at`, and what it was given.
    """
    numbers, data = look.numbers, recorded.data
    seen = dict(zip(SURVEY, np.moveaxis(numbers, -1, 0), strict=True))
    found = seen["found"] > 0
    if recorded.energy_ev[0] > 0 and search == slice(0, data.shape[-1]):
        # Without 0 eV on the axis there are wide losses, and uncalibrated peaks, which are narrow.
        found = found & (seen["fwhm"] * recorded.scale_ev <= _WIDE_EV)
    position, fwhm = (np.where(found, seen[name], np.nan) for name in ("position", "fwhm"))
    some, taken, width, _ = _sample_of(look, position, fwhm)
    gain, offset = recorded.gain, recorded.offset
    if recorded.variance is not None:
        # Of use only where the structure of the spectra is told from noise.
        gain, offset = 1.0, 0.0
    elif not recorded.knows_noise:
        gain, offset = 1.0, 0.0
        if len(some):
            estimates = noise_from_scatter(some, taken, width)
            gain, offset = (float(np.median(each)) for each in estimates)
    tried = np.unique(np.linspace(0, len(some) - 1, min(_FEW, len(some))).astype(np.intp))
    return Survey(
        position=position,
        fwhm=fwhm,
        found=found,
        saturated=seen["saturated"] > 0,
        negative=seen["negative"],
        gain=gain,
        offset=offset,
        subspace=None,
        peak=sum_of_spectra(look.peaks) / max(found.sum(), 1),
        total=look.total,
        pedestal=seen["pedestal"],
        height=seen["height"],
        near=look.near,
        sample=some[tried],
        sample_position=taken[tried],
        sample_fwhm=width[tried],
    )


def with_subspace(survey: Survey, look: Look) -> Survey:
    """Learn what tells spikes; of the look that the survey was made of."""
    some, taken, width, usable = _sample_of(look, survey.position, survey.fwhm)
    noise: dict[str, Any] = {"gain": survey.gain, "offset": survey.offset}
    if look.variance is not None:
        variance = np.asarray(look.variance, dtype=np.float64).reshape(-1, some.shape[-1])
        noise = {"gain": 0.0, "offset": variance[usable]}
    protected = protected_channels(taken, width)
    return replace(
        survey, subspace=learn_subspace(some, taken, width, **noise, protected=protected)
    )


def _sample_of(look: Look, position: np.ndarray, fwhm: np.ndarray) -> tuple[np.ndarray, ...]:
    """Some spectra that have a peak, where it is, its width, and which of the sample they are."""
    n_channels = look.some.shape[-1]
    chosen = some_of(np.broadcast_to(0, (*position.shape, n_channels)))
    some = np.asarray(look.some, dtype=np.float64).reshape(-1, n_channels)
    taken, width = position[chosen].ravel(), fwhm[chosen].ravel()
    usable = np.isfinite(taken) & np.isfinite(some).all(axis=-1)
    return some[usable], taken[usable], width[usable], usable


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
