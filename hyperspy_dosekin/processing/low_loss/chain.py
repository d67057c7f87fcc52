# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From low-loss counts to the single-scattering distribution, spectrum by spectrum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperspy_dosekin.processing.background import fit_power_law
from hyperspy_dosekin.processing.batches import run_in_batches
from hyperspy_dosekin.processing.low_loss.deconvolution import RESOLUTIONS, fourier_log
from hyperspy_dosekin.processing.low_loss.zero_loss import protected_channels, reflect, truncate
from hyperspy_dosekin.processing.shifting import shift_spectra, shift_variance
from hyperspy_dosekin.processing.spikes.prediction import fewest_channels
from hyperspy_dosekin.processing.spikes.removal import THRESHOLD, remove_spikes
from hyperspy_dosekin.processing.spikes.structure import KnownStructure
from hyperspy_dosekin.processing.spikes.subspace import KnownLikeness, Likeness

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
)
#: Batches of spectra in which spikes are looked for at a time.
_SPIKES_AT_A_TIME = 6
#: Channels without electrons that a dark level needs.
_FEWEST_DARK = 16


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
    structure
        What the spectra have that is no spike, from `structure_of`.
    likeness
        What the spectra have in common, from `likeness_of`.
    reach
        Channels on either side of the zero-loss peak that its tails reach; by default all.
    dark
        Whether to subtract the mean of what is further below the peak than that.
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
    structure: np.ndarray | None = None
    likeness: Likeness | None = None
    reach: int | None = None
    dark: bool = True
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
    def n_dark(self) -> int:
        """Number of channels kept that are too far below the zero-loss peak for electrons."""
        if not self.dark or self.reach is None:
            return 0
        number = self.origin - self.start - self.reach
        return number if number >= _FEWEST_DARK else 0

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
        The entries of `DIAGNOSTICS`, shape ``(…, 6)``.
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
    n_dark = chain.n_dark
    if n_dark:
        level = values[:, :n_dark].mean(axis=-1)
        diagnostics["dark_level"] = level
        values = values - level[:, np.newaxis]
        if noise_variance is not None:
            # The level is noisy too.
            extra = noise_variance[:, :n_dark].mean(axis=-1, keepdims=True) / n_dark
            noise_variance = noise_variance + extra
        watch("dark", {"spectra": values})

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
    if not chain.spikes or n_channels < fewest_channels():
        return _Cleaned(values, position, missing, None, None)
    noise: dict[str, Any] = {"gain": chain.gain, "offset": chain.offset}
    if variance is not None:
        noise = {"gain": 0.0, "offset": variance}
    # Where the zero-loss peak is on the common axis.
    start = n_channels - np.round(position).astype(np.intp)
    structure = likeness = None
    if chain.structure is not None:
        structure = KnownStructure(chain.structure, start)
    if chain.likeness is not None:
        likeness = KnownLikeness(chain.likeness, start)
    values, touched, replaced = remove_spikes(
        values,
        **noise,
        protected=protected_channels(position, fwhm),
        structure=structure,
        likeness=likeness,
        threshold=chain.threshold,
    )
    return _Cleaned(values, position, missing, touched, replaced)


def _subtract(
    values: np.ndarray, variance: np.ndarray | None, chain: LowLossChain
) -> tuple[np.ndarray, np.ndarray | None, Any, int]:
    """Subtract the power law from the beginning of its window on."""
    assert chain.background is not None
    energy = chain.energy_ev
    left, right = chain.background
    window = np.flatnonzero((energy >= left) & (energy <= right))
    gain: Any = chain.gain
    offset: Any = chain.offset
    if variance is not None:
        # Weights from noisy intensities would put the background too low.
        total = values[:, window].sum(axis=-1, keepdims=True)
        gain = variance[:, window].sum(axis=-1, keepdims=True) / np.maximum(total, 1e-300)
        offset = 0.0
    fit = fit_power_law(values[:, window], energy[window], gain=gain, offset=offset)
    beyond = slice(int(window[0]), None)
    values = values.copy()
    values[:, beyond] -= fit.at(energy[beyond])
    if variance is not None:
        noisier = variance.copy()
        noisier[:, beyond] += fit.variance(energy[beyond])
        variance = noisier
    return values, variance, fit, int(window[0])


def _zero_loss(
    values: np.ndarray, fwhm: np.ndarray, origin: int, chain: LowLossChain
) -> np.ndarray:
    if isinstance(chain.zero_loss, str):
        return reflect(values, origin, chain.reach)
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
        mirrored = reflect(variance, origin, chain.reach)
        result[:, origin + 1 : end] += mirrored[:, origin + 1 : end]
    if chain.resolution == "sharpened":
        area = elastic.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            peak = elastic / np.where(area > 0, area, np.nan)
        # Sum of the squares of the filter 2 - z, channel by channel.
        factor = 4 - 4 * peak[:, origin] + (peak**2).sum(axis=-1)
        result *= factor[:, np.newaxis]
    return result
