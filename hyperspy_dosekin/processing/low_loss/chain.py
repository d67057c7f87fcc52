# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From low-loss counts to the single-scattering distribution, spectrum by spectrum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.background import fit_power_law
from hyperspy_dosekin.processing.batches import run_in_batches
from hyperspy_dosekin.processing.low_loss.deconvolution import RESOLUTIONS, fourier_log
from hyperspy_dosekin.processing.low_loss.gain_side import Tail
from hyperspy_dosekin.processing.low_loss.zero_loss import (
    PeakShape,
    protected_channels,
    reflect,
    truncate,
)
from hyperspy_dosekin.processing.shifting import (
    shift_cubic,
    shift_linear,
    shift_spectra,
    shift_variance,
    shift_whole,
)
from hyperspy_dosekin.processing.spikes.found import THRESHOLD
from hyperspy_dosekin.processing.spikes.polynomials import FEWEST_CHANNELS as FEWEST_SEARCHED
from hyperspy_dosekin.processing.spikes.removal import remove_spikes
from hyperspy_dosekin.processing.spikes.subspace import Subspace

#: Fewer channels after the peak make no deconvolution.
FEWEST_CHANNELS = 32
#: What is recorded of each spectrum.
DIAGNOSTICS = (
    "spikes",
    "dark_level",
    "zero_loss_intensity",
    "t_over_lambda",
    "exponent",
    "background_level",
    "ringing",
)
#: What spectra are divided by: the area of the zero-loss peak, that of the spectrum, or nothing.
NORMALISATIONS = ("zero_loss", "total", "")
#: How spectra are moved.
ALIGNMENTS = ("cubic", "linear", "integer", "fourier", "none")
#: Batches of spectra in which spikes are looked for at a time.
_SPIKES_AT_A_TIME = 6
#: Channels beside those kept that a cubic needs.
_MARGIN = 2
#: Channels without electrons that a dark level needs.
_FEWEST_DARK = 16
#: Window in which ringing is looked for: it begins so many widths beyond the peak and is so wide,
#: in eV or channels, whatever is more.
_RINGING_WIDTHS, _RINGING_EV, _RINGING_CHANNELS = 3.0, 8.0, 16


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
    background
        Limits in eV of the window of a power-law background to subtract, or `None`.
    zero_loss
        Model of the zero-loss peak: ``"reflected"``; an energy in eV at which it ends; a
        `PeakShape` of area 1; or the peak of every spectrum, shape ``(stop - start,)``.
    share, tail
        Of a reflected peak: `share_without_features` and `tail_of` of the mean gain side.
    fwhm
        Full width at half maximum of a typical peak in channels.
    resolution
        Of the deconvolution.
    normalise
        One of `NORMALISATIONS`: what spectra are divided by, or nothing.
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
    background: tuple[float, float] | None = None
    deconvolve: bool = True
    zero_loss: Any = "reflected"
    share: np.ndarray | None = None
    tail: Tail | None = None
    fwhm: float = 4.0
    resolution: str = "zero_loss"
    normalise: str | bool = "zero_loss"

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
        return number if number >= _FEWEST_DARK else self.pedestal

    @property
    def ringing_taper(self) -> np.ndarray:
        """Weights of the channels from the peak on in which ringing is looked for."""
        begin = int(np.ceil(max(_RINGING_WIDTHS * self.fwhm, 3)))
        number = max(round(_RINGING_EV / self.scale_ev), _RINGING_CHANNELS)
        return np.concatenate([np.zeros(begin), np.blackman(number + 2)[1:-1]])

    @property
    def energy_ev(self) -> np.ndarray:
        """Energies of the channels kept, shape ``(stop - start,)``."""
        return (np.arange(self.start, self.stop) - self.origin) * self.scale_ev


def process_block(
    block: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
    dtype: Any = np.float64,
    with_variance: bool = False,
    workers: int = 1,
) -> tuple[np.ndarray, ...]:
    """Run the chain on a block.

    Parameters
    ----------
    block
        Recorded intensities, shape ``(…, n_channels)``.
    position, fwhm
        Channel and width of the zero-loss peak, shape ``(…)``; NaN where there is none, and then
        everything in the result is NaN.
    variance
        Noise variance of each intensity, shape of `block`, instead of the gain of the chain.
    chain
        The steps.
    dtype
        Type of the spectra in the result.
    with_variance
        Whether to return the noise variance too.
    workers
        Threads.

    Returns
    -------
    spectra : numpy.ndarray
        Shape ``(…, stop - start)``.
    diagnostics : numpy.ndarray
        The entries of `DIAGNOSTICS`, shape ``(…, 7)``.
    variance : numpy.ndarray
        With `with_variance`, shape of the spectra.
    """
    arrays = [block, *np.broadcast_arrays(position, fwhm)]
    core = [1, 0, 0]
    if variance is not None:
        arrays.append(variance)
        core.append(1)
    n_kept = chain.stop - chain.start
    outputs: list[Any] = [((n_kept,), dtype), ((len(DIAGNOSTICS),), np.float64)]
    if with_variance:
        outputs.append(((n_kept,), dtype))

    def kernel(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
        # Few spectra have spikes: it pays to look for them in many at a time.
        cleaned = _cleaned(*parts, chain=chain)
        number = -(-len(parts[0]) // _SPIKES_AT_A_TIME)
        made = []
        for first in range(0, len(parts[0]), number):
            part = slice(first, first + number)
            few = [each[part] for each in parts]
            options = {"chain": chain, "with_variance": with_variance}
            made.append(process_spectra(*few, **options, cleaned=cleaned.part(part)))
        return tuple(np.concatenate(each) for each in zip(*made, strict=True))

    larger = _SPIKES_AT_A_TIME if chain.spikes else 1
    return run_in_batches(kernel, arrays, core, outputs, workers=workers, larger=larger)


def process_spectra(
    spectra: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
    with_variance: bool = False,
    watch: Callable[[str, Mapping[str, Any]], None] | None = None,
    cleaned: _Cleaned | None = None,
) -> tuple[np.ndarray, ...]:
    """Run the chain on a few spectra; parameters and results as for `process_block`.

    `cleaned` is what `_cleaned` returns for them, if that is known already.

    `watch` is called after each step with its name and what it has made, for those who want to
    look.
    """
    if watch is None:
        watch = _nobody
    if cleaned is None:
        cleaned = _cleaned(spectra, position, fwhm, variance, chain=chain)
    values, touched, replaced = cleaned.spectra, cleaned.touched, cleaned.variance
    position, missing = cleaned.position, cleaned.missing
    diagnostics = {name: np.full(len(values), np.nan) for name in DIAGNOSTICS}
    if watch is not _nobody:
        watch("recorded", {"spectra": np.where(missing[:, np.newaxis], 1.0, spectra)})
    if touched is not None:
        diagnostics["spikes"] = touched.sum(axis=-1).astype(float)
        watch("spikes", {"spectra": values, "touched": touched})

    noise_variance = None
    if with_variance:
        if variance is None:
            noise_variance = chain.gain * np.maximum(values, 0.0) + chain.offset
        else:
            noise_variance = np.array(variance, dtype=np.float64)
            noise_variance[missing] = 1.0
        if touched is not None and replaced is not None and touched.any():
            noise_variance[touched] = replaced[touched]

    before = _alternation(values, np.round(position), chain.ringing_taper)
    # What comes from beside the channels kept when a part of a channel is left to move.
    margin = _MARGIN if chain.align in ("cubic", "linear") else 0
    begin = max(chain.start - margin, 0)
    wide = replace(chain, start=begin, stop=min(chain.stop + margin, values.shape[-1]))
    kept = slice(chain.start - begin, chain.stop - begin)
    values, noise_variance, centre, rest = _align(values, noise_variance, position, wide)
    watch("align", {"spectra": values[:, kept], "alternation": before})
    n_dark = chain.n_dark
    if n_dark:
        dark = slice(kept.start, kept.start + n_dark)
        level = values[:, dark].mean(axis=-1)
        diagnostics["dark_level"] = level
        values = values - level[:, np.newaxis]
        if noise_variance is not None:
            # The level is noisy too.
            extra = noise_variance[:, dark].mean(axis=-1, keepdims=True) / n_dark
            noise_variance = noise_variance + extra
        watch("dark", {"spectra": values[:, kept]})

    end = values.shape[-1]
    whole = values[:, kept].sum(axis=-1)
    if chain.background is not None:
        values, noise_variance, fit, end = _subtract(values, noise_variance, rest, wide)
        diagnostics["exponent"], diagnostics["background_level"] = fit.exponent, fit.level
        watch("background", {"spectra": values[:, kept], "background": fit})

    if chain.deconvolve or chain.normalise:
        elastic = _zero_loss(values, fwhm, centre, chain)
        # What is beyond the fit window of the background has been subtracted with it.
        elastic[:, end:] = 0.0
        intensity = elastic.sum(axis=-1)
        total = values.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            diagnostics["t_over_lambda"] = np.log(total / intensity)
        diagnostics["zero_loss_intensity"] = intensity
        watch("zero_loss", {"spectra": values[:, kept], "zero_loss": elastic[:, kept]})
        if chain.deconvolve:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = fourier_log(values, elastic, centre, resolution=chain.resolution)
            if noise_variance is not None:
                noise_variance = _deconvolved_variance(noise_variance, elastic, centre, end, chain)
            watch("deconvolve", {"spectra": values[:, kept]})
    if margin:
        # A cubic would swing below zero beside the zero-loss peak, if that is still there.
        smooth = chain.align == "cubic" and chain.deconvolve
        values = (shift_cubic if smooth else shift_linear)(values, rest)
        if noise_variance is not None:
            noise_variance = shift_variance(noise_variance, rest)
    values = values[:, kept]
    if noise_variance is not None:
        noise_variance = noise_variance[:, kept]
    centre = centre - kept.start
    after = _alternation(values, np.round(centre + rest), chain.ringing_taper)
    with np.errstate(divide="ignore", invalid="ignore"):
        diagnostics["ringing"] = (after[0] - before[0]) / np.abs(before[1])
    if chain.normalise:
        intensity = diagnostics["zero_loss_intensity"] if chain.normalise == "zero_loss" else whole
        unit = np.where(intensity > 0, intensity, np.nan)[:, np.newaxis] * chain.scale_ev
        values = values / unit
        if noise_variance is not None:
            noise_variance = noise_variance / unit**2
        watch("normalise", {"spectra": values})
    values[missing] = np.nan
    numbers = np.stack([diagnostics[name] for name in DIAGNOSTICS], axis=-1)
    numbers[missing] = np.nan
    if noise_variance is None:
        return values, numbers
    noise_variance[missing] = np.nan
    return values, numbers, noise_variance


def _nobody(name: str, made: Mapping[str, Any]) -> None:
    """Look at nothing."""


@dataclass(frozen=True, eq=False)
class _Cleaned:
    """Spectra without spikes.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``.
    position, missing
        Channel of the zero-loss peak, and whether there is none, or NaN, shape ``(n_spectra,)``.
    touched, variance
        Channels that were replaced and the variance there, shape of `spectra`; ``None`` if spikes
        were not looked for.
    """

    spectra: np.ndarray
    position: np.ndarray
    missing: np.ndarray
    touched: np.ndarray | None
    variance: np.ndarray | None

    def part(self, part: slice) -> _Cleaned:
        touched = None if self.touched is None else self.touched[part]
        variance = None if self.variance is None else self.variance[part]
        return _Cleaned(
            self.spectra[part], self.position[part], self.missing[part], touched, variance
        )


def _cleaned(
    spectra: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
) -> _Cleaned:
    values = spectra.astype(np.float64)
    # Peaks where none was found would be moved out of the axis.
    missing = ~np.isfinite(position)
    if np.issubdtype(spectra.dtype, np.floating):
        missing |= ~np.isfinite(values).all(axis=-1)
    values[missing] = 1.0
    position = np.where(missing, chain.origin, position)
    n_channels = values.shape[-1]
    if not chain.spikes or n_channels < FEWEST_SEARCHED:
        return _Cleaned(values, position, missing, None, None)
    noise: dict[str, Any] = {"gain": chain.gain, "offset": chain.offset}
    if variance is not None:
        noise = {"gain": 0.0, "offset": variance}
    values, touched, replaced = remove_spikes(
        values,
        **noise,
        protected=protected_channels(position, fwhm),
        position=position,
        subspace=chain.subspace,
        threshold=chain.threshold,
    )
    return _Cleaned(values, position, missing, touched, replaced)


def _subtract(
    values: np.ndarray, variance: np.ndarray | None, rest: np.ndarray, chain: LowLossChain
) -> tuple[np.ndarray, np.ndarray | None, Any, int]:
    """Subtract the power law from the beginning of its window on."""
    assert chain.background is not None
    energy = chain.energy_ev
    left, right = chain.background
    window = np.flatnonzero((energy >= left) & (energy <= right))
    # The same in all spectra, so that their levels can be compared.
    reference = float(np.exp(np.log(energy[window]).mean()))
    if rest.any():
        # Each spectrum is still a part of a channel away from the common axis.
        energy = energy + rest[:, np.newaxis] * chain.scale_ev
        energy = np.maximum(energy, 0.1 * chain.scale_ev)
    gain: Any = chain.gain
    offset: Any = chain.offset
    if variance is not None:
        # Weights from noisy intensities would put the background too low.
        total = values[:, window].sum(axis=-1, keepdims=True)
        gain = variance[:, window].sum(axis=-1, keepdims=True) / np.maximum(total, 1e-300)
        offset = 0.0
    fit = fit_power_law(
        values[:, window], energy[..., window], gain=gain, offset=offset, reference_ev=reference
    )
    beyond = slice(int(window[0]), None)
    values = values.copy()
    values[:, beyond] -= fit.at(energy[..., beyond])
    if variance is not None:
        noisier = variance.copy()
        noisier[:, beyond] += fit.variance(energy[..., beyond])
        variance = noisier
    return values, variance, fit, int(window[0])


def _align(
    values: np.ndarray, variance: np.ndarray | None, position: np.ndarray, chain: LowLossChain
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Move spectra and crop them.

    Returns
    -------
    values, variance
        On the channels kept.
    centre
        Channel of the peak there, shape ``(n,)``.
    rest
        What is left of the shift, less than a channel; zero where nothing is to follow.
    """
    kept = slice(chain.start, chain.stop)
    rest = np.zeros(len(values))
    if chain.align == "none":
        moved, noise, centre = values, variance, position - chain.start
    else:
        shift = chain.origin - position
        whole = np.round(shift).astype(np.intp)
        if chain.align == "fourier":
            moved = shift_spectra(values, shift)
            noise = None if variance is None else shift_variance(variance, shift)
        else:
            rest = shift - whole
            moved = shift_whole(values, whole)
            noise = None if variance is None else shift_whole(variance, whole)
        centre = (chain.origin - chain.start) - rest
    return moved[:, kept], None if noise is None else noise[:, kept], centre, rest


def _alternation(
    values: np.ndarray, centre: np.ndarray, taper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How much intensity alternates from channel to channel beyond the peak, and its mean."""
    begin = int(np.flatnonzero(taper)[0])
    index = centre.astype(np.intp)[:, np.newaxis] + np.arange(begin, taper.size)
    part = np.take_along_axis(values, np.clip(index, 0, values.shape[-1] - 1), axis=-1)
    taper = taper[begin:]
    sign = 1.0 - 2.0 * (np.arange(taper.size) % 2)
    return np.abs(part @ (sign * taper)), part @ taper


def _zero_loss(
    values: np.ndarray, fwhm: np.ndarray, centre: np.ndarray, chain: LowLossChain
) -> np.ndarray:
    if isinstance(chain.zero_loss, str):
        mirrored = reflect(values, centre, chain.reach, share=chain.share)
        if chain.tail is not None:
            area = mirrored.sum(axis=-1, keepdims=True)
            distance = np.arange(values.shape[-1]) - centre[:, np.newaxis]
            mirrored = np.where(mirrored == 0, area * chain.tail.at(distance), mirrored)
        return mirrored
    if isinstance(chain.zero_loss, np.ndarray):
        return np.tile(chain.zero_loss, (len(values), 1))
    if not isinstance(chain.zero_loss, PeakShape):
        return truncate(values, centre + chain.zero_loss / chain.scale_ev)
    shape = chain.zero_loss.at(centre, values.shape[-1])
    # As high as the spectrum around its peak, up to where losses begin.
    offset = np.arange(values.shape[-1]) - centre[:, np.newaxis]
    width = np.nan_to_num(fwhm, nan=2.0)[:, np.newaxis]
    core = (offset >= -1.5 * width) & (offset <= np.maximum(0.5 * width, 1))
    height = (core * values).sum(axis=-1) / (core * shape).sum(axis=-1)
    return height[:, np.newaxis] * shape


def _deconvolved_variance(
    variance: np.ndarray, elastic: np.ndarray, centre: np.ndarray, end: int, chain: LowLossChain
) -> np.ndarray:
    """Variance after deconvolution: what is removed as plural scattering hardly adds to it."""
    result = variance.copy()
    if isinstance(chain.zero_loss, str):
        # The mirror image of the gain side has been subtracted.
        mirrored = reflect(variance, centre, chain.reach, share=chain.share, variance=True)
        beyond = np.arange(variance.shape[-1]) > centre[:, np.newaxis]
        result[:, :end] += np.where(beyond, mirrored, 0.0)[:, :end]
    if chain.resolution == "sharpened":
        area = elastic.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            peak = elastic / np.where(area > 0, area, np.nan)
        # Sum of the squares of the filter 2 - z, channel by channel.
        factor = 4 - 4 * peak.max(axis=-1) + (peak**2).sum(axis=-1)
        result *= factor[:, np.newaxis]
    return result
