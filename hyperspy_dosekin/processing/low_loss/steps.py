# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single steps of the low-loss chain, on a few spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.arrays import astype, namespace, on_host, on_steps
from hyperspy_dosekin.numerics.sums import sum_of
from hyperspy_dosekin.processing.background import fit_power_law
from hyperspy_dosekin.processing.low_loss.coarse_peak import with_its_area
from hyperspy_dosekin.processing.low_loss.options import LowLossChain
from hyperspy_dosekin.processing.low_loss.peak_shape import (
    PeakShape,
    mirror_image,
    reflect,
    truncate,
)
from hyperspy_dosekin.processing.low_loss.zero_loss import protected_channels
from hyperspy_dosekin.processing.shifting import (
    channels_of,
    shift_spectra,
    shift_variance,
    shift_whole,
)
from hyperspy_dosekin.processing.spikes.polynomials import FEWEST_CHANNELS as FEWEST_SEARCHED
from hyperspy_dosekin.processing.spikes.removal import remove_spikes

#: Alignments that move spectra by whole channels and leave out what not all of them have.
_MOVED_WHOLE = ("cubic", "linear", "integer")


@dataclass(frozen=True, eq=False)
class Cleaned:
    """Spectra without spikes.

    Parameters
    ----------
    spectra
        Shape ``(n_spectra, n_channels)``; a tensor where the chain runs on a device.
    position, missing
        Channel of the zero-loss peak, and whether there is none, or NaN, shape ``(n_spectra,)``.
    touched, variance
        Channels that were replaced and the variance there, shape of `spectra`; ``None`` if spikes
        were not looked for, or the variance is of no use.
    """

    spectra: np.ndarray
    position: np.ndarray
    missing: np.ndarray
    touched: np.ndarray | None
    variance: np.ndarray | None

    def part(self, part: slice) -> Cleaned:
        """Some of the spectra."""
        touched = None if self.touched is None else self.touched[part]
        variance = None if self.variance is None else self.variance[part]
        return Cleaned(
            self.spectra[part], self.position[part], self.missing[part], touched, variance
        )


def cleaned_of(
    spectra: np.ndarray,
    position: np.ndarray,
    fwhm: np.ndarray,
    variance: np.ndarray | None = None,
    *,
    chain: LowLossChain,
    with_variance: bool = True,
) -> Cleaned:
    """Replace spikes; parameters as for `process_block` of the chain."""
    xp = namespace(spectra)
    search = chain.spikes and spectra.shape[-1] >= FEWEST_SEARCHED
    values = astype(spectra, xp.float32 if chain.single else xp.float64, copy=True)
    # Peaks where none was found would be moved out of the axis.
    missing = ~np.isfinite(position)
    if xp is not np or np.issubdtype(spectra.dtype, np.floating):
        # Sums are finite if all is, and then nothing is missing.
        lost = np.flatnonzero(~np.isfinite(on_host(sum_of(values))))
        finite = xp.isfinite(values[xp.asarray(lost)]).all(axis=-1)
        missing[lost] |= ~on_host(finite)
    if missing.any():
        values = xp.where(xp.asarray(missing)[:, np.newaxis], 1.0, values)
    position = np.where(missing, chain.origin, position)
    if not search:
        return Cleaned(values, position, missing, None, None)
    noise: dict[str, Any] = {"gain": chain.gain, "offset": chain.offset}
    known = chain.subspace
    if variance is not None or known is None or known.few or not known.sufficient:
        # Every channel is judged, which is done where its neighbours and decisions are cheap.
        values = on_host(values)
    if variance is not None:
        noise = {"gain": 0.0, "offset": on_host(variance)}
    used = None
    if chain.align in _MOVED_WHOLE:
        # In channels of the subspace, whose peak is at the number of channels.
        kept, begin = chain.channels(values.shape[-1]), values.shape[-1] - chain.origin
        used = (begin + kept.start, begin + kept.stop)
    values, touched, replaced = remove_spikes(
        values,
        **noise,
        protected=protected_channels(position, fwhm),
        position=position,
        fwhm=chain.fwhm,
        subspace=chain.subspace,
        threshold=chain.threshold,
        used=used,
        in_place=True,
        with_variance=with_variance,
    )
    return Cleaned(xp.asarray(values), position, missing, touched, replaced)


def subtract_background(
    values: np.ndarray, variance: np.ndarray | None, rest: np.ndarray, chain: LowLossChain
) -> tuple[np.ndarray, np.ndarray | None, Any, int]:
    """Subtract the power law from the beginning of its window on."""
    assert chain.background is not None
    # The channels kept, and those beside them where there are.
    first = chain.channels(chain.stop).start
    energy = (np.arange(first, first + values.shape[-1]) - chain.origin) * chain.scale_ev
    left, right = chain.background
    window = np.flatnonzero((energy >= left) & (energy <= right))
    # The same in all spectra, so that their levels can be compared.
    reference = float(np.exp(np.log(energy[window]).mean()))
    xp, energy = namespace(values), namespace(values).asarray(energy)
    if rest.any():
        # Each spectrum is still a part of a channel away from the common axis.
        energy = energy + rest[:, np.newaxis] * chain.scale_ev
        energy = xp.maximum(energy, 0.1 * chain.scale_ev)
    gain: np.ndarray | float = chain.gain
    offset: np.ndarray | float = chain.offset
    if variance is not None:
        # Weights from noisy intensities would put the background too low.
        total = values[:, window].sum(axis=-1, keepdims=True)
        gain = variance[:, window].sum(axis=-1, keepdims=True) / xp.maximum(total, 1e-300)
        offset = 0.0
    fit = fit_power_law(
        astype(values[:, window], xp.float64),
        energy[..., window],
        gain=gain,
        offset=offset,
        reference_ev=reference,
    )
    beyond = slice(int(window[0]), None)
    values = astype(values, values.dtype, copy=True)
    values[:, beyond] -= fit.at(energy[..., beyond])
    if variance is not None:
        noisier = astype(variance, variance.dtype, copy=True)
        noisier[:, beyond] += fit.variance(energy[..., beyond])
        variance = noisier
    return values, variance, fit, int(window[0])


def aligned(
    values: np.ndarray,
    variance: np.ndarray | None,
    position: np.ndarray,
    chain: LowLossChain,
    *,
    dtype: object = np.float64,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Move spectra and crop them.

    Returns
    -------
    values, variance
        On the channels kept, copies of type `dtype`.
    centre
        Channel of the peak there, shape ``(n,)``.
    rest
        What is left of the shift, less than a channel; zero where nothing is to follow.
    """
    xp = namespace(values)
    kept = chain.channels(values.shape[-1])
    first = kept.start
    rest = xp.zeros((len(values),))
    if chain.align == "none":
        moved, noise, centre = values, variance, position - first
    else:
        shift = chain.origin - position
        # Half a channel is rounded as it is where spikes are looked for.
        whole = chain.origin - astype(xp.round(position), xp.intp)
        if chain.align == "fourier":
            moved = shift_spectra(values, shift)
            noise = None if variance is None else shift_variance(variance, shift)
        else:
            rest = shift - whole
            moved = shift_whole(values, whole, kept)
            noise = None if variance is None else shift_whole(variance, whole, kept)
            kept = slice(None)
        centre = (chain.origin - first) - rest
    moved = astype(moved[:, kept], dtype, copy=moved is values)
    if noise is not None:
        noise = astype(noise[:, kept], dtype, copy=noise is variance)
    return moved, noise, centre, rest


def alternation(
    values: np.ndarray, centre: np.ndarray, taper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How much intensity alternates from channel to channel beyond the peak, and its mean."""
    begin = int(np.flatnonzero(taper)[0])
    xp, taper = namespace(values), taper[begin:]
    weights = np.stack([taper, taper], axis=-1)
    weights[1::2, 0] *= -1
    # Sums of single numbers depend on how many spectra there are, and this is their difference.
    weights = xp.asarray(weights, dtype=xp.float64)
    places = astype(centre, xp.intp)
    if xp is not np:
        part = channels_of(values, places + begin, taper.size)
        found = astype(part, xp.float64) @ weights
        return xp.abs(found[:, 0]), found[:, 1]
    found = np.empty((len(values), 2))
    last = values.shape[-1] - 1
    # Most spectra have their peak in one of a few channels: slices need no index of each channel.
    for place in set(places.tolist()):
        rows = places == place
        first, stop = place + begin, place + begin + taper.size
        if first >= 0 and stop <= last + 1:
            part = values[:, first:stop]
        else:
            part = values[:, np.clip(np.arange(first, stop), 0, last)]
        found[rows] = part[rows].astype(np.float64) @ weights
    return np.abs(found[:, 0]), found[:, 1]


def zero_loss_of(
    values: np.ndarray, fwhm: np.ndarray, centre: np.ndarray, chain: LowLossChain
) -> np.ndarray:
    """Zero-loss peak of each spectrum by the model of the chain, shape of `values`.

    Channels beyond all peaks, where there is nothing, may be left out.
    """
    xp = namespace(values)
    if isinstance(chain.zero_loss, str):
        if chain.tail is None and chain.excess is None and chain.reach is not None and len(values):
            values = values[:, : int(xp.ceil(centre.max())) + chain.reach + 1]
        mirrored = reflect(values, centre, chain.reach, share=chain.share)
        if chain.core is not None:
            mirrored = with_its_area(mirrored, centre, chain.core)
        if chain.tail is None and chain.excess is None:
            return mirrored
        area = mirrored.sum(axis=-1, keepdims=True)
        distance = xp.arange(values.shape[-1]) - centre[:, np.newaxis]
        if chain.tail is not None:
            mirrored = xp.where(mirrored == 0, area * chain.tail.at(distance), mirrored)
        if chain.excess is not None:
            mirrored = mirrored + area * on_steps(distance, chain.excess, beyond=False)
        return astype(mirrored, values.dtype)
    if isinstance(chain.zero_loss, np.ndarray):
        return xp.tile(xp.asarray(chain.zero_loss, dtype=values.dtype), (len(values), 1))
    if not isinstance(chain.zero_loss, PeakShape):
        peak = truncate(values, centre + chain.zero_loss / chain.scale_ev)
        return astype(peak, values.dtype)
    shape = chain.zero_loss.at(centre, values.shape[-1])
    # As high as the spectrum around its peak, up to where losses begin.
    offset = xp.arange(values.shape[-1]) - centre[:, np.newaxis]
    width = xp.nan_to_num(fwhm, nan=2.0)[:, np.newaxis]
    core = (offset >= -1.5 * width) & (offset <= xp.maximum(0.5 * width, 1))
    height = (core * values).sum(axis=-1) / (core * shape).sum(axis=-1)
    return astype(height[:, np.newaxis] * shape, values.dtype)


def deconvolved_variance(
    variance: np.ndarray, elastic: np.ndarray, centre: np.ndarray, end: int, chain: LowLossChain
) -> np.ndarray:
    """Variance after deconvolution: what is removed as plural scattering hardly adds to it.

    The variance itself is changed and returned.
    """
    result = variance
    if isinstance(chain.zero_loss, str):
        # The mirror image of the gain side has been subtracted.
        part, mirrored = mirror_image(
            variance, centre, chain.reach, share=chain.share, variance=True
        )
        part = slice(part.start, max(min(part.stop, end), part.start))
        result[:, part] += mirrored[:, : part.stop - part.start]
    if chain.resolution == "sharpened":
        xp, area = namespace(elastic), elastic.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            peak = elastic / xp.where(area > 0, area, np.nan)
        # Sum of the squares of the filter 2 - z, channel by channel.
        factor = 4 - 4 * xp.amax(peak, axis=-1) + (peak**2).sum(axis=-1)
        result *= astype(factor[:, np.newaxis], result.dtype)
    return result
