# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From low-loss counts to the single-scattering distribution, spectrum by spectrum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.batches import run_in_batches
from hyperspy_dosekin.processing.deconvolution import RESOLUTIONS, fourier_log
from hyperspy_dosekin.processing.power_law import fit_power_law
from hyperspy_dosekin.processing.shifting import shift_spectra, shift_variance
from hyperspy_dosekin.processing.spikes import THRESHOLD, fewest_channels, remove_spikes
from hyperspy_dosekin.processing.zero_loss import find_zero_loss, reflect, truncate

#: Channels nearer to the zero-loss peak, in units of its width, are never taken for spikes.
PROTECTED_WIDTHS = 2.5
#: Fewer channels after the peak make no deconvolution.
FEWEST_CHANNELS = 32
#: What is recorded of each spectrum.
DIAGNOSTICS = ("spikes", "zero_loss_intensity", "t_over_lambda", "exponent", "background_level")
#: What the survey says of each spectrum.
SURVEY = ("position", "fwhm", "height", "found", "saturated", "negative", "gain", "offset")
#: Median of the square of a standard normal number.
_MEDIAN_SQUARE = 0.4549364


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
    align, spikes, deconvolve, normalise
        Whether to do the step.
    threshold
        Of spikes, in standard deviations.
    background
        Limits in eV of the window of a power-law background to subtract, or `None`.
    zero_loss
        Model of the zero-loss peak: `"reflected"`, an energy in eV at which it ends, or its shape
        on the channels kept, shape ``(stop - start,)``.
    zero_loss_is_measured
        Whether that shape has the intensity of the zero-loss peak of every spectrum.
    resolution
        Of the deconvolution.
    """

    scale_ev: float
    origin: int
    start: int
    stop: int
    gain: float = 1.0
    offset: float = 0.0
    align: bool = True
    spikes: bool = True
    threshold: float = THRESHOLD
    background: tuple[float, float] | None = None
    deconvolve: bool = True
    zero_loss: Any = "reflected"
    zero_loss_is_measured: bool = False
    resolution: str = "zero_loss"
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.resolution not in RESOLUTIONS:
            raise ValueError(
                f"resolution={self.resolution!r} is none of {RESOLUTIONS}; "
                "'zero_loss' is the classical choice."
            )
        if not (np.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(
                f"spike_threshold={self.threshold!r} must be a positive number of standard "
                f"deviations, such as {THRESHOLD}."
            )
        after = self.stop - self.origin
        if self.deconvolve and after < FEWEST_CHANNELS:
            raise ValueError(
                f"only {max(after, 0)} channels lie beyond the zero-loss peak, and deconvolution "
                f"needs {FEWEST_CHANNELS}; pass deconvolve=False."
            )

    @property
    def energy_ev(self) -> np.ndarray:
        """Energies of the channels kept, shape ``(stop - start,)``."""
        return (np.arange(self.start, self.stop) - self.origin) * self.scale_ev


def survey_low_loss(
    block: np.ndarray,
    *,
    widest: float,
    search: slice,
    largest_value: float,
    reach: int,
    estimate_noise: bool = False,
    workers: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Look at every spectrum before anything is done to it.

    Parameters
    ----------
    block
        Shape ``(…, n_channels)``.
    widest, search, largest_value
        As for `find_zero_loss`.
    reach
        Channels on either side of the peak to return.
    estimate_noise
        Whether to estimate the noise from the scatter of the channels.
    workers
        Threads.

    Returns
    -------
    numbers : numpy.ndarray
        The entries of `SURVEY`, shape ``(…, 8)``.
    peak : numpy.ndarray
        Peak of each spectrum moved to the middle, shape ``(…, 2 * reach + 1)``; zero where none is
        found.
    """

    def look(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.nan_to_num(spectra.astype(np.float64))
        seen = find_zero_loss(spectra, widest=widest, search=search, largest_value=largest_value)
        gain, offset = (
            _scatter(values, seen.position, seen.fwhm)
            if estimate_noise
            else np.zeros((2, len(values)))
        )
        numbers = np.stack(
            [
                seen.position,
                np.where(np.isfinite(seen.fwhm), seen.fwhm, np.nan),
                seen.height,
                seen.found,
                seen.saturated,
                (values < 0).mean(axis=-1),
                gain,
                offset,
            ],
            axis=-1,
        )
        whole = np.round(seen.position).astype(np.intp)
        index = whole[:, np.newaxis] + np.arange(-reach, reach + 1)
        around = np.take_along_axis(values, np.clip(index, 0, values.shape[-1] - 1), axis=-1)
        peak = shift_spectra(around, whole - seen.position)
        return numbers, np.where(seen.found[:, np.newaxis], peak, 0.0)

    outputs = [((len(SURVEY),), np.float64), ((2 * reach + 1,), np.float64)]
    numbers, peak = run_in_batches(look, [block], [1], outputs, workers=workers)
    return numbers, peak


def _scatter(
    spectra: np.ndarray, position: np.ndarray, fwhm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset of the noise variance, from third differences of the channels."""
    weights = np.array([1.0, -3.0, 3.0, -1.0]) / np.sqrt(20.0)
    difference = sum(
        weight * spectra[:, place : spectra.shape[-1] - 3 + place]
        for place, weight in enumerate(weights)
    )
    level = 0.5 * (spectra[:, 1:-2] + spectra[:, 2:-1])
    channel = np.arange(level.shape[-1]) + 1.5
    near = np.abs(channel - position[:, np.newaxis]) < 3 * np.nan_to_num(fwhm, posinf=0)[:, None]
    before = (channel < position[:, np.newaxis]) & ~near
    square = difference**2
    with np.errstate(invalid="ignore", divide="ignore"):
        quiet = _median_where(square, before | (level <= 0)) / _MEDIAN_SQUARE
        quiet = np.nan_to_num(quiet)
        ratio = (square - quiet[:, np.newaxis] * _MEDIAN_SQUARE) / level
        bright = level > np.median(level, axis=-1, keepdims=True)
        gain = _median_where(ratio, bright & ~near & (level > 0)) / _MEDIAN_SQUARE
    return np.maximum(np.nan_to_num(gain), 0.0), quiet


def _median_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(np.where(where, values, np.nan), axis=-1)


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
        The entries of `DIAGNOSTICS`, shape ``(…, 5)``.
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
        return process_spectra(*parts, chain=chain, with_variance=with_variance)

    return run_in_batches(kernel, arrays, core, outputs, workers=workers)


def process_spectra(
    spectra: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
    with_variance: bool = False,
    watch: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> tuple[np.ndarray, ...]:
    """Run the chain on a few spectra; parameters and results as for `process_block`.

    `watch` is called after each step with its name and what it has made, for those who want to
    look.
    """
    watch = watch or (lambda name, made: None)
    values = spectra.astype(np.float64)
    # Peaks where none was found would be moved out of the axis.
    missing = ~(np.isfinite(position) & np.isfinite(values).all(axis=-1))
    position = np.where(missing, chain.origin, position)
    values[missing] = 1.0
    diagnostics = {name: np.full(len(values), np.nan) for name in DIAGNOSTICS}
    n_channels = values.shape[-1]
    watch("recorded", {"spectra": values})

    touched = replaced = None
    if chain.spikes and n_channels >= fewest_channels():
        channel = np.arange(n_channels)
        reach = PROTECTED_WIDTHS * np.nan_to_num(fwhm, nan=1.0)[:, np.newaxis]
        protected = np.abs(channel - position[:, np.newaxis]) < np.maximum(reach, 3.0)
        noise = {"gain": chain.gain, "offset": chain.offset}
        if variance is not None:
            noise = {"gain": 0.0, "offset": variance}
        values, touched, replaced = remove_spikes(
            values, **noise, protected=protected, threshold=chain.threshold
        )
        diagnostics["spikes"] = touched.sum(axis=-1).astype(float)
        watch("spikes", {"spectra": values, "touched": touched})

    noise_variance = None
    if with_variance:
        if variance is None:
            noise_variance = chain.gain * np.maximum(values, 0.0) + chain.offset
        else:
            noise_variance = np.array(variance, dtype=np.float64)
            noise_variance[missing] = 1.0
        if touched is not None:
            noise_variance = np.where(touched, replaced, noise_variance)

    kept = slice(chain.start, chain.stop)
    if chain.align:
        shift = chain.origin - position
        values = shift_spectra(values, shift)
        if noise_variance is not None:
            noise_variance = shift_variance(noise_variance, shift)
    values = values[:, kept]
    if noise_variance is not None:
        noise_variance = noise_variance[:, kept]
    origin = chain.origin - chain.start
    watch("align", {"spectra": values})

    end = values.shape[-1]
    if chain.background is not None:
        values, noise_variance, fit, end = _subtract(values, noise_variance, chain)
        diagnostics["exponent"], diagnostics["background_level"] = fit.exponent, fit.level
        watch("background", {"spectra": values, "background": fit})

    if chain.deconvolve or chain.normalise:
        elastic = _zero_loss(values, fwhm, origin, chain)
        # What is beyond the fit window of the background has been subtracted with it.
        elastic[:, end:] = 0.0
        intensity = elastic.sum(axis=-1)
        total = values.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            diagnostics["t_over_lambda"] = np.log(total / intensity)
        diagnostics["zero_loss_intensity"] = intensity
        watch("zero_loss", {"spectra": values, "zero_loss": elastic})
        if chain.deconvolve:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = fourier_log(values, elastic, origin, resolution=chain.resolution)
            if noise_variance is not None:
                noise_variance = _deconvolved_variance(noise_variance, elastic, origin, end, chain)
            watch("deconvolve", {"spectra": values})
        if chain.normalise:
            with np.errstate(divide="ignore", invalid="ignore"):
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


def _subtract(
    values: np.ndarray, variance: np.ndarray | None, chain: LowLossChain
) -> tuple[np.ndarray, np.ndarray | None, Any, int]:
    """Subtract the power law from the beginning of its window on."""
    assert chain.background is not None
    energy = chain.energy_ev
    left, right = chain.background
    window = np.flatnonzero((energy >= left) & (energy <= right))
    fit = fit_power_law(
        values[:, window],
        energy[window],
        gain=chain.gain,
        offset=chain.offset,
        variance=None if variance is None else variance[:, window],
    )
    beyond = slice(int(window[0]), None)
    values = values.copy()
    values[:, beyond] -= fit.at(energy[beyond])
    if variance is not None:
        variance = variance.copy()
        variance[:, beyond] += fit.variance(energy[beyond])
    return values, variance, fit, int(window[0])


def _zero_loss(
    values: np.ndarray, fwhm: np.ndarray, origin: int, chain: LowLossChain
) -> np.ndarray:
    if isinstance(chain.zero_loss, str):
        return reflect(values, origin)
    if np.ndim(chain.zero_loss) == 0:
        return truncate(values, origin + int(np.floor(chain.zero_loss / chain.scale_ev)) + 1)
    shape = np.asarray(chain.zero_loss)
    if chain.zero_loss_is_measured:
        return np.tile(shape, (len(values), 1))
    # As high as the spectrum around its peak, up to where losses begin.
    offset = np.arange(values.shape[-1]) - origin
    width = np.nan_to_num(fwhm, nan=2.0)[:, np.newaxis]
    core = (offset >= -1.5 * width) & (offset <= np.maximum(0.5 * width, 1))
    height = np.where(core, values, 0.0).sum(axis=-1) / (core @ shape)
    return height[:, np.newaxis] * shape


def _deconvolved_variance(
    variance: np.ndarray, elastic: np.ndarray, origin: int, end: int, chain: LowLossChain
) -> np.ndarray:
    """Variance after deconvolution: what is removed as plural scattering hardly adds to it."""
    result = variance.copy()
    if isinstance(chain.zero_loss, str):
        # The mirror image of the gain side has been subtracted.
        mirrored = reflect(variance, origin)
        result[:, origin + 1 : end] += mirrored[:, origin + 1 : end]
    if chain.resolution == "sharpened":
        area = elastic.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            peak = elastic / np.where(area > 0, area, np.nan)
        # Sum of the squares of the filter 2 - z, channel by channel.
        factor = 4 - 4 * peak[:, origin] + (peak**2).sum(axis=-1)
        result *= factor[:, np.newaxis]
    return result
