# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From core-loss counts to edges without background, spectrum by spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace, on_host
from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.processing.background import (
    PowerLawFit,
    fit_power_law,
    spikes_in_background,
)
from hyperspy_dosekin.processing.batches import run_in_batches, run_on_device
from hyperspy_dosekin.processing.shifting import shift_spectra, shift_variance

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

#: Of a background in which there is nothing but noise.
USUAL_EXPONENT = 3.0
#: What is recorded of each spectrum.
DIAGNOSTICS = ("reference_area", "exponent", "background_level", "background_error")


@dataclass(frozen=True, eq=False)
class CoreLossChain:
    """The steps of the chain, and what they need to know; channels are those after rebinning.

    Parameters
    ----------
    energy_ev
        Energies of the channels, shape ``(n_channels,)``.
    gain, offset
        Noise variance of an intensity y: `gain` y + `offset`.
    align
        Whether to move spectra.
    reference
        Channels of the edge to whose area spectra are normalised, or `None`.
    reference_background
        Channels of a power law subtracted below that area, or `None`.
    background
        Channels to which the background is fitted, or `None`.
    crop
        Channels of the result.
    margin
        Channels by which spectra are moved at most.
    """

    energy_ev: np.ndarray
    gain: float
    offset: float
    align: bool
    reference: slice | None
    reference_background: slice | None
    background: slice | None
    crop: slice
    margin: int = 0

    @property
    def used(self) -> np.ndarray:
        """Whether a channel has a say in the result, shape ``(n_channels,)``."""
        used = np.zeros(self.energy_ev.size, dtype=bool)
        for part in (self.reference, self.reference_background, self.background, self.crop):
            if part is not None:
                used[max(part.start - self.margin, 0) : part.stop + self.margin] = True
        return used


def process_block(
    block: np.ndarray,
    position: np.ndarray,
    scale: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: CoreLossChain,
    dtype: npt.DTypeLike = np.float64,
    with_variance: bool = False,
    workers: int = 1,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, ...]:
    """Run the chain on a block.

    Parameters
    ----------
    block
        Intensities, shape ``(…, n_channels)``.
    position
        Channels by which the edge lies too high, shape ``(…)``.
    scale
        Number by which to divide, such as the intensity of the zero-loss peak; shape ``(…)``.
    variance
        Noise variance of each intensity, instead of the gain of the chain.
    dtype
        Type of the spectra in the result.
    with_variance
        Whether to return the noise variance too.
    device
        As for `process_core_loss`.

    Returns
    -------
    spectra : numpy.ndarray
        Shape ``(…, n_kept)``.
    diagnostics : numpy.ndarray
        The entries of `DIAGNOSTICS`, shape ``(…, 4)``.
    variance : numpy.ndarray
        With `with_variance`, shape of the spectra.
    """
    arrays = [block, np.broadcast_to(position, block.shape[:-1])]
    arrays.append(np.broadcast_to(scale, block.shape[:-1]))
    core = [1, 0, 0]
    if variance is not None:
        arrays.append(variance)
        core.append(1)
    n_kept = chain.crop.stop - chain.crop.start
    outputs: list[Any] = [((n_kept,), dtype), ((len(DIAGNOSTICS),), np.float64)]
    if with_variance:
        outputs.append(((n_kept,), dtype))
    chosen = tensors_on(device)
    if chosen is not None:

        def on_device(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
            values, place, factor, *known = parts
            known = [astype(each, namespace(each).float64) for each in known]
            return process_spectra(
                values, place, factor, *known, chain=chain, with_variance=with_variance
            )

        what = "process_core_loss"
        return run_on_device(on_device, arrays, core, outputs, device=chosen, what=what)

    def kernel(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
        return process_spectra(*parts, chain=chain, with_variance=with_variance)

    return run_in_batches(kernel, arrays, core, outputs, workers=workers)


def process_spectra(
    spectra: np.ndarray,
    position: np.ndarray,
    scale: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: CoreLossChain,
    with_variance: bool = False,
    watch: Any = None,
) -> tuple[np.ndarray, ...]:
    """Run the chain on a few spectra; parameters and results as for `process_block`.

    Of spectra and variances that are tensors of Torch the results are tensors too, on their device.
    """
    watch = watch or (lambda name, made: None)
    xp = namespace(spectra)
    position, scale = xp.asarray(position), xp.asarray(scale)
    values = astype(spectra, xp.float64, copy=True)
    absent = ~xp.isfinite(values)
    missing = absent[:, chain.used].any(axis=-1) | ~(xp.isfinite(position) & xp.isfinite(scale))
    # Where nothing is used, any number will do that does not ring when the spectrum is moved.
    values = _bridged(values, absent & ~missing[:, np.newaxis])
    values[missing] = 1.0
    noise = None
    if variance is not None:
        noise = xp.where(missing[:, np.newaxis], 1.0, variance)
    elif with_variance:
        noise = chain.gain * xp.maximum(values, 0.0) + chain.offset
    watch("recorded", {"spectra": values})
    if chain.align:
        shift = -xp.where(missing, 0.0, position)
        values = shift_spectra(values, shift)
        noise = None if noise is None else shift_variance(noise, shift)
        watch("align", {"spectra": values})
    diagnostics = {name: xp.full((len(values),), np.nan) for name in DIAGNOSTICS}
    divisor = xp.where(missing, 1.0, scale)
    if chain.reference is not None:
        area = _reference_area(values, noise, chain)
        diagnostics["reference_area"] = area
        # An area that is not positive is no edge; the spectrum has no scale.
        missing |= ~(area > 0)
        divisor = xp.where(area > 0, area, 1.0)
    if (divisor != 1).any():
        values = values / divisor[:, np.newaxis]
        noise = None if noise is None else noise / divisor[:, np.newaxis] ** 2
        watch("normalise", {"spectra": values})
    if chain.background is not None:
        fit = _fit(values, noise, divisor, chain.background, chain)
        kept = chain.energy_ev[chain.crop]
        diagnostics["exponent"], diagnostics["background_level"] = fit.exponent, fit.level
        diagnostics["background_error"] = xp.sqrt(fit.area_variance(kept))
        beyond = slice(chain.background.start, None)
        values[:, beyond] -= fit.at(chain.energy_ev[beyond])
        if noise is not None:
            noise[:, beyond] += fit.variance(chain.energy_ev[beyond])
        watch("background", {"spectra": values, "background": fit})
    values = values[:, chain.crop]
    watch("crop", {"spectra": values})
    values[missing] = np.nan
    numbers = xp.stack([diagnostics[name] for name in DIAGNOSTICS], axis=-1)
    if not with_variance or noise is None:
        return values, numbers
    noise = noise[:, chain.crop]
    noise[missing] = np.nan
    return values, numbers, noise


def _fit(
    values: np.ndarray,
    noise: np.ndarray | None,
    divisor: np.ndarray,
    window: slice,
    chain: CoreLossChain,
) -> PowerLawFit:
    """Fit a background, with the noise that the fit itself predicts.

    Weights from the noisy intensities would put the background too low. Where the variance of each
    intensity is given, it is taken as proportional to the background, in each spectrum.
    """
    xp, part = namespace(values), values[:, window]
    odd = spikes_in_background(part)
    part = _bridged(part, odd)
    gain, offset = chain.gain / divisor, chain.offset / divisor**2
    if noise is not None:
        whole = xp.where(odd, 0.0, part).sum(axis=-1)
        gain = xp.where(odd, 0.0, noise[:, window]).sum(axis=-1) / xp.maximum(whole, 1e-300)
        offset = xp.zeros_like(gain)
    energy = chain.energy_ev[window]
    fit = fit_power_law(part, energy, gain=gain[:, np.newaxis], offset=offset[:, np.newaxis])
    empty = ~xp.isfinite(fit.level)
    if not empty.any():
        return fit
    # Noise alone: a level that may be negative is without bias. The shape is the usual one and not
    # that of the others, since these depend on chunks.
    shape = (energy / fit.reference_ev) ** -USUAL_EXPONENT
    level = part[empty].mean(axis=-1) / shape.mean()
    spread = xp.nan_to_num(gain[empty] * xp.abs(level)) + xp.nan_to_num(offset[empty])
    if noise is not None:
        spread = noise[empty][:, window].mean(axis=-1)
    relative = spread / len(energy) / xp.maximum(level**2, np.finfo(float).tiny)
    fit.level[empty], fit.exponent[empty] = level, USUAL_EXPONENT
    fit.covariance[empty] = xp.stack([relative, 0 * relative, 0 * relative], axis=-1)
    return fit


def _bridged(values: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Values with straight lines over gaps, which few spectra have; there the processor does it."""
    xp = namespace(values)
    rows = xp.flatnonzero(gaps.any(axis=-1))
    if not len(rows):
        return values
    some, without = on_host(values[rows]), on_host(~gaps[rows])
    channel = np.arange(values.shape[-1])
    for row, there in zip(some, without, strict=True):
        row[~there] = np.interp(channel[~there], channel[there], row[there])
    values = astype(values, values.dtype, copy=True)
    values[rows] = xp.asarray(some)
    return values


def _reference_area(
    values: np.ndarray, noise: np.ndarray | None, chain: CoreLossChain
) -> np.ndarray:
    assert chain.reference is not None
    area = values[:, chain.reference].sum(axis=-1)
    if chain.reference_background is not None:
        whole = namespace(values).full((len(values),), 1.0)
        fit = _fit(values, noise, whole, chain.reference_background, chain)
        area = area - fit.at(chain.energy_ev[chain.reference]).sum(axis=-1)
    return area
