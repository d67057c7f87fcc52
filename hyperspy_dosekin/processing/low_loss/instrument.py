# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instruments do to whole frames of a series, as far as the frames show it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

#: Widths from the peak between which what a frame leaves in the next one is looked for.
_GLOW = (1.25, 5.0)
_FRAMES_FOR_TWO = 16
#: What is not the same in flanks of peaks, as a share: their place in a channel, and drift.
_FLANK = 0.05
#: Widths from the peak from which on there are losses, and ranges that they are cut into.
_LOSSES, _RANGES = 3.0, 6
#: Channels of a mean along the energy, and of a range at least.
_JOINED, _FEWEST = 4, 12
#: Squares of standard errors from which on something is seen.
_CLEAR = 25.0
#: Frames without which a change is not told from scatter.
FEWEST_FRAMES = 5
#: Share of the losses that is looked at.
_TO_THE_END = 0.9
#: Means of losses that are joined where gain is looked for.
_POOLED = 4
#: Degree of the polynomial along a series that is smooth, at most.
_SMOOTH = 4
#: Differences of channels that leave noise, and share of it that two frames have in common at most.
_NOISE = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)
_ALIKE, _ALIKE_ERRORS = 0.3, 7.0
#: Less and more than so many times the noise that is known are no noise.
_ITS_NOISE = 0.6, 1.5


@dataclass(frozen=True, eq=False)
class Frames:
    """Spectra in the order in which they were recorded.

    Parameters
    ----------
    counts
        Intensities above their pedestal, shape ``(n_frames, n_channels)``.
    variance
        Of their noise, same shape.
    position
        Channel of the zero-loss peak of each, shape ``(n_frames,)``.
    fwhm
        Its width in channels.
    pedestal
        What was taken off, in the same unit: a number, or one for each frame ``(n_frames, 1)``.
    """

    counts: np.ndarray
    variance: np.ndarray
    position: np.ndarray
    fwhm: float
    pedestal: np.ndarray | float = 0.0


def alike(frames: Frames) -> list[tuple[int, int]]:
    """Pairs of frames that have a part of their noise in common.

    No two recordings have; a frame that was repeated, or made of others, has. What all frames have
    in common, such as the gain of channels, does not count.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(1e4, (6, 200)).astype(float)
    >>> counts[3] = counts[2]
    >>> alike(Frames(counts, counts, np.full(6, 10.0), 3.0))
    [(2, 3)]
    """
    number = len(frames.counts)
    far = _outside(frames)
    if number < FEWEST_FRAMES or far.sum() < 8 * _NOISE.size:
        return []
    noise = np.stack([np.convolve(row, _NOISE, "valid") for row in frames.counts])
    # Where nothing was counted, as much as what all frames have there.
    size = np.sqrt(frames.variance.mean(axis=0))[2:-2]
    far = far[2:-2] & (size > 0)
    if not far.any():
        return []
    noise = noise[:, far] / size[far]
    if not _ITS_NOISE[0] < np.median(noise.std(axis=-1)) < _ITS_NOISE[1]:
        return []
    # By signs: a peak that only some frames have is not noise, and is in few channels.
    sign = np.sign(noise - np.median(noise, axis=0))
    common = np.sin(0.5 * np.pi * sign @ sign.T / noise.shape[-1])
    least = max(_ALIKE, _ALIKE_ERRORS / np.sqrt(noise.shape[-1] / 2))
    first, second = np.nonzero(np.triu(common > least, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _outside(frames: Frames) -> np.ndarray:
    """Channels that no zero-loss peak is near."""
    channel = np.arange(frames.counts.shape[-1])
    reach = _LOSSES * frames.fwhm
    low, high = frames.position.min() - reach, frames.position.max() + reach
    return (channel < low) | (channel > high)


def afterglow(frames: Frames) -> tuple[float, float]:
    """Share of each frame that is left in the next one, and its error.

    Where the zero-loss peak moves to higher energies, what is left of that of the frame before lies
    on the gain side. The flank there is the same in all frames; what a frame has more is compared
    with the frame before it and, as a control, with the one after it.

    Returns
    -------
    tuple of float
        ``(0, inf)`` where nothing is seen.
    """
    counts, position = frames.counts, frames.position
    number, n_channels = counts.shape
    first, last = (round(each * frames.fwhm) for each in _GLOW)
    last = min(last, int(position.min()) - 1)
    if number < FEWEST_FRAMES or last - first < 3:
        return 0.0, np.inf
    distance = np.arange(first, last + 1)
    channel = np.arange(n_channels)
    # The root of a flank is less steep.
    roots = CubicSpline(channel, np.sqrt(np.maximum(counts, 0.0) + 0.375), axis=-1)
    area = counts.sum(axis=-1)
    # With enough frames, what the one before that has left is fitted beside it.
    back = 2 if number >= _FRAMES_FOR_TWO else 1
    inner = np.arange(back, number - 1)
    place = position[inner, np.newaxis] - distance
    scale = area[inner, np.newaxis]

    def there(frame: np.ndarray) -> np.ndarray:
        at = np.stack([roots(row)[each] for each, row in zip(frame, place, strict=True)])
        return (np.maximum(at, 0.0) ** 2 - 0.375) / scale

    now, *others = (there(inner + each) for each in (0, *range(-1, -back - 1, -1), 1))
    noise = np.stack([
        np.interp(row, channel, frames.variance[each])
        for each, row in zip(inner, place, strict=True)
    ])  # fmt: skip
    flank = np.median(now, axis=0)
    weight = 1 / (noise / scale**2 + (_FLANK * flank) ** 2 + scale**-2.0)

    parts = [each - np.average(each, axis=0, weights=weight) for each in (now, *others)]
    columns = np.stack([(each * np.sqrt(weight)).ravel() for each in parts], axis=1)
    wanted, known = columns[:, 0], columns[:, 1:]
    inverse = np.linalg.pinv(known.T @ known, rcond=1e-9, hermitian=True)
    solution = inverse @ known.T @ wanted
    misfit = ((wanted - known @ solution) ** 2).mean()
    # Channels of one flank err together.
    error = np.sqrt(max(misfit, 1.0) * frames.fwhm * inverse[0, 0])
    return float(solution[0]), float(error) if error > 0 else np.inf


def stretches(frames: Frames) -> tuple[np.ndarray, float, float]:
    """By how much the energies of each frame are stretched beyond what changes smoothly.

    Returns
    -------
    stretch : numpy.ndarray
        Relative, shape ``(n_frames,)``, from the mean.
    scatter : float
        Standard deviation of what is not smooth along the series.
    agreement : float
        Share of that which is the same in all ranges of the energy, as a stretch is: 1 where all
        of it is; 0 where nothing is seen.
    """
    nothing = np.zeros(len(frames.counts)), 0.0, 0.0
    aligned = _from_the_peak(frames)
    if aligned is None or len(frames.counts) < FEWEST_FRAMES:
        return nothing
    energy, values, noise = aligned
    mean = values.mean(axis=0)
    slope = energy * np.gradient(mean, energy)
    found, error = [], []
    for part in np.array_split(np.arange(energy.size), _RANGES):
        if part.size < _FEWEST // _JOINED + 1:
            return nothing
        middle = energy[part] - energy[part].mean()
        columns = np.stack([mean[part], mean[part] * middle, slope[part]], axis=1)
        size = np.sqrt(noise[:, part].mean(axis=0))
        if not (size > 0).all():
            return nothing
        inverse = np.linalg.pinv(columns / size[:, np.newaxis], rcond=1e-10)
        found.append(-(values[:, part] / size) @ inverse[2])
        error.append(np.sqrt((inverse[2] ** 2).sum()))
    each, weight = np.array(found), 1 / np.maximum(error, 1e-12) ** 2
    stretch = weight @ each / weight.sum()
    rough = _rough(len(frames.counts))
    apart, common = (each - stretch) @ rough, stretch @ rough
    noise_of = 1 / weight.sum()
    scatter = max(float((common**2).mean()) - noise_of, 0.0)
    if scatter < _CLEAR * noise_of / common.size:
        return nothing
    # What noise alone would make the ranges differ by does not count.
    differ = np.maximum((apart**2).mean(axis=1) - 1 / weight, 0.0)
    differ = float(weight @ differ / weight.sum())
    agreement = scatter / (scatter + differ)
    return stretch - stretch.mean(), float(np.sqrt(scatter)), agreement


def _from_the_peak(frames: Frames) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Distances from the peak, intensities there as shares of the frame, and their variance."""
    counts, position = frames.counts, frames.position
    begin = int(np.ceil(_LOSSES * frames.fwhm))
    # Near the end of the detector a part of what the camera spreads is lost.
    number = int(_TO_THE_END * (counts.shape[-1] - 1 - position.max()) - begin) // _JOINED
    if number * _JOINED < _RANGES * _FEWEST:
        return None
    distance = begin + np.arange(number * _JOINED)
    channel = np.arange(counts.shape[-1])

    def joined(rows: np.ndarray) -> np.ndarray:
        moved = [
            np.interp(distance + at, channel, row) for at, row in zip(position, rows, strict=True)
        ]
        return np.stack(moved).reshape(len(rows), number, _JOINED).sum(axis=-1)

    area = counts.sum(axis=-1, keepdims=True)
    if not (area > 0).all():
        return None
    middle = distance.reshape(number, _JOINED).mean(axis=-1)
    return middle, joined(counts) / area, joined(frames.variance) / area**2


def gain_along(frames: Frames) -> tuple[float, float]:
    """By how much intensities follow the place of the spectrum on the detector.

    Along a series the intensity at one energy changes with dose, smoothly, and where the gain is
    not the same in all channels, with every move of the spectrum.

    Returns
    -------
    size : float
        Standard deviation of the gain over the channels, as far as moves show it.
    agreement : float
        Share of what is not smooth, and not noise, that follows the moves; 0 where nothing is seen.
    """
    # A pedestal that was too high follows the place of the peak where a camera spreads its light.
    aligned = _from_the_peak(replace(frames, counts=frames.counts + frames.pedestal))
    number = len(frames.counts)
    if aligned is None or number < FEWEST_FRAMES:
        return 0.0, 0.0
    energy, values, noise = aligned
    mean = values.mean(axis=0)
    error = noise.mean(axis=0)
    clear = (mean > 10 * np.sqrt(error)) & (error > 0)
    rough = _rough(number)
    moves = frames.position @ rough
    if clear.sum() < _RANGES or not (moves**2).sum() > 1:
        return 0.0, 0.0
    # Gain that varies slowly is seen in means of more channels.
    first = np.arange(0, clear.sum(), _POOLED)
    relative = values[:, clear] / mean[clear]
    each = mean[clear] ** 2 / error[clear]
    weight = np.add.reduceat(each, first)
    place = np.add.reduceat(each * energy[clear], first) / weight
    relative = np.add.reduceat(each * relative, first, axis=1) / weight
    relative = relative - (relative @ weight / weight.sum())[:, np.newaxis]
    rest = rough.T @ relative
    follows = moves @ rest / (moves**2).sum()
    rest = rest - moves[:, np.newaxis] * follows
    explained = weight @ (follows**2 * (moves**2).sum()) / weight.size - 1
    unexplained = float(weight @ (rest**2).sum(axis=0)) / weight.size - (moves.size - 1)
    if explained < np.sqrt(2 * _CLEAR / weight.size):
        return 0.0, 0.0
    along = np.cumsum(np.interp(energy, place, follows)) * _JOINED
    along -= np.polyval(np.polyfit(energy, along, 1), energy)
    return float(along.std()), float(explained / (explained + max(unexplained, 0.0)))


def smooth_along(number: int) -> np.ndarray:
    """What is smooth along a series of frames: powers, shape ``(number, fewer)``."""
    return np.vander(np.linspace(-1, 1, number), min(_SMOOTH, (number - 1) // 2) + 1)


def _rough(number: int) -> np.ndarray:
    """What is not: orthonormal columns, shape ``(number, fewer)``."""
    smooth = smooth_along(number)
    return np.linalg.qr(smooth, mode="complete")[0][:, smooth.shape[1] :]
