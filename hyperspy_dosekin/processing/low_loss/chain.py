# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From low-loss counts to the single-scattering distribution, spectrum by spectrum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace
from hyperspy_dosekin.numerics.device import tensors_on
from hyperspy_dosekin.numerics.sums import total_of
from hyperspy_dosekin.processing.batches import VALUES_AT_A_TIME, run_in_batches, run_on_device
from hyperspy_dosekin.processing.low_loss.deconvolution import fourier_log
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.processing.low_loss.steps import (
    Cleaned,
    aligned,
    alternation,
    cleaned_of,
    deconvolved_variance,
    subtract_background,
    zero_loss_of,
)
from hyperspy_dosekin.processing.shifting import shift_cubic, shift_linear, shift_variance
from hyperspy_dosekin.processing.spikes.noise import positive

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

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
#: Those of them that are intensities.
INTENSITIES = ("dark_level", "zero_loss_intensity", "background_level")
#: Values that are processed at a time: of fewer spectra the steps near the peak take longer.
_AT_A_TIME = 4 * VALUES_AT_A_TIME
#: A smaller factor, and its inverse, leave single precision no room.
_LEAST_SQUARE = 1e-25
#: Batches of spectra in which spikes are looked for at a time.
_SPIKES_AT_A_TIME = 48


def process_block(
    block: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
    dtype: npt.DTypeLike = np.float64,
    with_variance: bool = False,
    workers: int = 1,
    device: str | torch.device = "cpu",
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
    dtype
        Type of the spectra in the result.
    with_variance
        Whether to return the noise variance too.
    device
        As for `process_low_loss`.

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

    single = np.dtype(dtype) == np.float32
    chosen = tensors_on(device)
    if chosen is not None:

        def on_device(*parts: np.ndarray) -> tuple[np.ndarray, ...]:
            return process_spectra(*parts, chain=chain, with_variance=with_variance, single=single)

        what = "process_low_loss"
        return run_on_device(on_device, arrays, core, outputs, device=chosen, what=what)

    def kernel(*parts: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        # Few spectra have spikes: it pays to look for them in many at a time.
        cleaned = cleaned_of(*parts, chain=chain, with_variance=with_variance)
        number = max(_AT_A_TIME // parts[0].shape[-1], 1)
        for first in range(0, len(parts[0]), number):
            part = slice(first, first + number)
            few = [each[part] for each in parts]
            yield process_spectra(
                *few,
                chain=chain,
                with_variance=with_variance,
                cleaned=cleaned.part(part),
                single=single,
            )

    larger = _SPIKES_AT_A_TIME
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
    cleaned: Cleaned | None = None,
    single: bool = False,
) -> tuple[np.ndarray, ...]:
    """Run the chain on a few spectra; parameters and results as for `process_block`.

    Of spectra and variances that are tensors of Torch the results are tensors too, on their device.

    `cleaned` is what `cleaned_of` returns for them, if that is known already. With `single`, of the
    chain or here, what follows is computed in single precision, but for sums.

    `watch` is called after each step with its name and what it has made, for those who want to
    look.
    """
    if watch is None:
        watch = _nobody
    if cleaned is None:
        cleaned = cleaned_of(
            spectra, position, fwhm, variance, chain=chain, with_variance=with_variance
        )
    values, touched, replaced = cleaned.spectra, cleaned.touched, cleaned.variance
    xp = namespace(values)
    position, missing, fwhm = map(xp.asarray, (cleaned.position, cleaned.missing, fwhm))
    diagnostics = {name: xp.full((len(values),), np.nan) for name in DIAGNOSTICS}
    if watch is not _nobody:
        watch("recorded", {"spectra": np.where(missing[:, np.newaxis], 1.0, spectra)})
    if touched is not None:
        diagnostics["spikes"] = xp.zeros((len(values),))
        changed = np.flatnonzero(touched.any(axis=-1))
        diagnostics["spikes"][xp.asarray(changed)] = xp.asarray(
            touched[changed].sum(axis=-1, dtype=np.float64)
        )
        watch("spikes", {"spectra": values, "touched": touched})

    noise_variance = None
    if with_variance:
        if variance is None:
            noise_variance = positive(values)
            # Of counts it is what they are.
            if chain.gain != 1:
                noise_variance *= chain.gain
            if chain.offset != 0:
                noise_variance += chain.offset
        else:
            noise_variance = astype(xp.asarray(variance), xp.float64, copy=True)
            noise_variance[missing] = 1.0
        if touched is not None and replaced is not None:
            row, channel = np.nonzero(touched[changed])
            row, known = changed[row], replaced[changed[row], channel]
            noise_variance[xp.asarray(row), xp.asarray(channel)] = xp.asarray(
                known, dtype=noise_variance.dtype
            )

    before = alternation(values, xp.round(position), chain.ringing_taper)
    channels = chain.channels(values.shape[-1])
    kept = slice(chain.start - channels.start, chain.stop - channels.start)
    kind = xp.float32 if single or chain.single else xp.float64
    values, noise_variance, centre, rest = aligned(
        values, noise_variance, position, chain, dtype=kind
    )
    watch("align", {"spectra": values[:, kept], "alternation": before})
    n_dark = chain.n_dark
    if n_dark:
        dark = slice(kept.start, kept.start + n_dark)
        level = values[:, dark].mean(axis=-1, dtype=xp.float64)
        if chain.level is not None:
            level[:] = chain.level
        diagnostics["dark_level"] = level
        values = values - astype(level[:, np.newaxis], values.dtype)
        if noise_variance is not None and chain.level is None:
            # The level is noisy too.
            extra = noise_variance[:, dark].mean(axis=-1, keepdims=True) / n_dark
            noise_variance = noise_variance + extra
        watch("dark", {"spectra": values[:, kept]})

    end = values.shape[-1]
    whole = None
    if chain.normalise == "total":
        whole = values[:, kept].sum(axis=-1, dtype=xp.float64)
    if chain.background is not None:
        values, noise_variance, fit, end = subtract_background(values, noise_variance, rest, chain)
        diagnostics["exponent"], diagnostics["background_level"] = fit.exponent, fit.level
        watch("background", {"spectra": values[:, kept], "background": fit})

    if chain.deconvolve or chain.normalise:
        elastic = zero_loss_of(values, fwhm, centre, chain)
        # What is beyond the fit window of the background has been subtracted with it.
        elastic[:, end:] = 0.0
        intensity = elastic.sum(axis=-1, dtype=xp.float64)
        total = total_of(values)
        with np.errstate(divide="ignore", invalid="ignore"):
            diagnostics["t_over_lambda"] = xp.log(total / intensity)
        diagnostics["zero_loss_intensity"] = intensity
        if watch is not _nobody:
            peak = np.zeros_like(values)
            peak[:, : elastic.shape[-1]] = elastic
            watch("zero_loss", {"spectra": values[:, kept], "zero_loss": peak[:, kept]})
        if chain.deconvolve:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = fourier_log(
                    values,
                    elastic,
                    centre,
                    resolution=chain.resolution,
                    band=chain.band,
                    longer=chain.longer,
                )
            if noise_variance is not None:
                noise_variance = deconvolved_variance(noise_variance, elastic, centre, end, chain)
            watch("deconvolve", {"spectra": values[:, kept]})
    share = xp.full((len(values),), 1.0)
    if chain.normalise:
        intensity = diagnostics["zero_loss_intensity"] if whole is None else whole
        share = 1 / (xp.where(intensity > 0, intensity, np.nan) * chain.scale_ev)
    # Infinite where single precision has no room for it.
    with np.errstate(over="ignore", invalid="ignore"):
        column = astype(share[:, np.newaxis], values.dtype)
    at_once = False
    if chain.moves_rest:
        # A cubic would swing below zero beside the zero-loss peak, if that is still there.
        smooth = chain.align == "cubic" and chain.deconvolve
        values = (shift_cubic if smooth else shift_linear)(values, rest, column[:, 0])
        if noise_variance is not None:
            # By the square at once, where single precision has room for it.
            square = share**2
            at_once = bool(((square > _LEAST_SQUARE) & (square < 1 / _LEAST_SQUARE)).all())
            factor = square if at_once else column[:, 0]
            noise_variance = shift_variance(noise_variance, rest, factor)
    elif chain.normalise:
        values = values * column
        if noise_variance is not None:
            noise_variance = noise_variance * column
    values = values[:, kept]
    centre = centre - kept.start
    after = alternation(values, xp.round(centre + rest), chain.ringing_taper)
    with np.errstate(divide="ignore", invalid="ignore"):
        diagnostics["ringing"] = (after[0] / share - before[0]) / xp.abs(before[1])
    if noise_variance is not None:
        noise_variance = noise_variance[:, kept]
        if chain.normalise and not at_once:
            noise_variance *= column
    if chain.normalise:
        watch("normalise", {"spectra": values})
    values[missing] = np.nan
    numbers = xp.stack([diagnostics[name] for name in DIAGNOSTICS], axis=-1)
    numbers[missing] = np.nan
    if noise_variance is None:
        return values, numbers
    noise_variance[missing] = np.nan
    return values, numbers, noise_variance


def _nobody(name: str, made: Mapping[str, object]) -> None:
    """Look at nothing."""
