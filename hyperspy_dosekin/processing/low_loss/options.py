# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the low-loss chain, and what they need to know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.low_loss.deconvolution import RESOLUTIONS
from hyperspy_dosekin.processing.low_loss.gain_side import Tail
from hyperspy_dosekin.processing.spikes.found import THRESHOLD
from hyperspy_dosekin.processing.spikes.subspace import Subspace

#: Fewer channels after the peak make no deconvolution.
FEWEST_CHANNELS = 32
#: What spectra are divided by: the area of the zero-loss peak, that of the spectrum, or nothing.
NORMALISATIONS = ("zero_loss", "total", "")
#: How spectra are moved.
ALIGNMENTS = ("cubic", "linear", "integer", "fourier", "none")
#: Channels without electrons that a dark level needs.
FEWEST_DARK = 16
#: Window in which ringing is looked for: it begins so many widths beyond the peak and is so wide,
#: in eV or channels, whatever is more.
_RINGING_WIDTHS, _RINGING_EV, _RINGING_CHANNELS = 3.0, 8.0, 16
#: Channels beside those kept that a cubic needs.
_MARGIN = 2
#: More than any spectrometer has.
_MOST_CHANNELS = 2**16


def check_options(resolution: str, threshold: float) -> None:
    """Refuse options that there are not, before any spectrum is looked at.

    Parameters
    ----------
    resolution
        Of the deconvolution.
    threshold
        Of spikes, in standard deviations.

    Raises
    ------
    ValueError
        If one is not known, or out of its range.
    """
    if resolution not in RESOLUTIONS:
        raise ValueError(
            f"resolution={resolution!r} is none of {RESOLUTIONS}; "
            "'zero_loss' is the classical choice."
        )
    # Beyond a thousand standard deviations nothing is a spike.
    if not 0 < threshold <= 1e3:
        raise ValueError(
            f"spike_threshold={threshold!r} must be a positive number of standard "
            f"deviations, a thousand at most, such as {THRESHOLD}; spikes=False leaves them."
        )


@dataclass(frozen=True, eq=False)
class LowLossChain:
    """The steps of the chain, and what they need to know.

    Parameters
    ----------
    scale_ev
        Width of a channel.
    origin
        Channel, on the recorded axis, to which the zero-loss peak is moved.
    start, stop
        Channels of the recorded axis that are kept.
    gain, offset
        Noise variance of a recorded intensity y: `gain` y + `offset`.
    align
        One of `ALIGNMENTS`. In each of them spectra are deconvolved with the peak where it is in
        its channel. ``"cubic"``, ``"linear"`` and ``"integer"`` move them by whole channels before,
        and the first two by the rest after; ``"fourier"`` by both before.
    spikes, deconvolve
        Whether to do the step.
    threshold
        Of spikes, in standard deviations.
    subspace
        What the spectra have in common, from `learn_subspace`.
    reach
        Channels on either side of the zero-loss peak that its tails reach; by default all.
    dark
        Whether to subtract the mean of what is further below the peak than that.
    pedestal
        Number of the first channels kept that are on a pedestal, where none are so far below the
        peak: `channels_on_pedestal` tells.
    level
        The pedestal of all spectra, where that is known better than from the few channels of each:
        their noise would be in all channels of a spectrum.
    background
        Limits in eV of the window of a power-law background to subtract, or `None`.
    zero_loss
        Model of the zero-loss peak: ``"reflected"``; an energy in eV at which it ends; a
        `PeakShape` of area 1; or the peak of every spectrum, shape ``(stop - start,)``.
    share, tail
        Of a reflected peak: `share_without_features` and `tail_of` of the mean gain side.
    excess
        Of a reflected peak: what its loss side has more, as a share of its area by the distance
        from the peak in channels, shape ``(n,)``; see `excess_of`.
    fwhm
        Full width at half maximum of a typical peak in channels.
    core
        Of a reflected peak of few channels, the width behind that: `width_of_core` tells.
    resolution, band, longer
        Of the deconvolution.
    normalise
        One of `NORMALISATIONS`: what spectra are divided by, or nothing.
    single
        Whether single precision is used: its rounding is hidden by the noise.
    """

    scale_ev: float
    origin: int
    start: int
    stop: int
    gain: float = 1.0
    offset: float = 0.0
    align: str = "cubic"
    spikes: bool = True
    threshold: float = THRESHOLD
    subspace: Subspace | None = None
    reach: int | None = None
    dark: bool = True
    pedestal: int = 0
    level: float | None = None
    background: tuple[float, float] | None = None
    deconvolve: bool = True
    zero_loss: Any = "reflected"
    share: np.ndarray | None = None
    tail: Tail | None = None
    excess: np.ndarray | None = None
    fwhm: float = 4.0
    core: float | None = None
    resolution: str = "zero_loss"
    band: float = 0.5
    longer: float = 2.0
    normalise: str | bool = "zero_loss"
    single: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.normalise, bool | np.bool_):
            object.__setattr__(self, "normalise", "zero_loss" if self.normalise else "")
        if self.normalise not in NORMALISATIONS:
            raise ValueError(
                f"normalise={self.normalise!r} is none of {NORMALISATIONS[:-1]}; True divides by "
                "the zero-loss peak, False by nothing."
            )
        check_options(self.resolution, self.threshold)
        if self.align not in ALIGNMENTS:
            raise ValueError(f"align={self.align!r} is none of {ALIGNMENTS}; 'cubic' suits all.")
        after = self.stop - self.origin
        if self.deconvolve and after < FEWEST_CHANNELS:
            raise ValueError(
                f"only {max(after, 0)} channels lie beyond the zero-loss peak, and deconvolution "
                f"needs {FEWEST_CHANNELS}; pass deconvolve=False."
            )

    @property
    def n_dark(self) -> int:
        """Number of channels kept that are too far below the zero-loss peak for electrons."""
        if not self.dark or self.reach is None:
            return 0
        number = self.origin - self.start - self.reach
        return number if number >= FEWEST_DARK else self.pedestal

    @property
    def moves_rest(self) -> bool:
        """Whether a part of a channel is left to move once the zero-loss peak is gone."""
        return self.align in ("cubic", "linear")

    def channels(self, number: int) -> slice:
        """Channels, of so many recorded ones, that those kept are made of."""
        margin = _MARGIN if self.moves_rest else 0
        return slice(max(self.start - margin, 0), min(self.stop + margin, number))

    @cached_property
    def ringing_taper(self) -> np.ndarray:
        """Weights of the channels from the peak on in which ringing is looked for."""
        begin = int(np.ceil(max(_RINGING_WIDTHS * self.fwhm, 3)))
        # Channels of next to no width would make it endless.
        number = round(min(_RINGING_EV / self.scale_ev, _MOST_CHANNELS))
        number = max(number, _RINGING_CHANNELS)
        return np.concatenate([np.zeros(begin), np.blackman(number + 2)[1:-1]])

    @property
    def energy_ev(self) -> np.ndarray:
        """Energies of the channels kept, shape ``(stop - start,)``."""
        return (np.arange(self.start, self.stop) - self.origin) * self.scale_ev
