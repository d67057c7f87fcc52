# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spectra of a dose series in units of their noise.

A frame has the standard deviation s of its own and a channel the standard deviation c of its own,
and ``s² c²`` stands for the variance of each intensity. The two are balanced, so that the mean of
variance over ``s² c²`` is 1 in every frame and every channel (biwhitening [1]_): then the frames ×
frames matrix of the whitened spectra has, from noise, the unit matrix as its mean, whatever the
variance of the single intensities is, and weights do not follow the noise of single intensities.

References
----------
.. [1] B. Landa, T. T. C. K. Zhang, Y. Kluger, SIAM J. Math. Data Sci. 4, 1420 (2022),
   doi:10.1137/21M1456807.
.. [2] I. M. Johnstone, Ann. Stat. 29, 295 (2001), doi:10.1214/aos/1009210544.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from hyperspy_dosekin.numerics.photon_transfer import photon_transfer

#: Ways in which spectra may change together that are no noise, at most.
_COMPONENTS = 5
# How far the largest eigenvalue of noise may lie above its middle, in units of its own scale: the
# 0.999 quantile of the distribution of Tracy and Widom.
_ABOVE = 3.3
_WITHOUT_NOISE = (
    "the spectra have no noise of their own, so that nothing can be said of intervals; set the "
    "noise variance with s.set_noise_variance, or simulate with noise."
)
# Rounds of balancing, and of an estimate of the noise.
_ROUNDS, _ESTIMATES = 30, 3
# Channels over which an estimated noise is taken to be alike.
_ALIKE = 15
# A variance below this share of the mean of its channel and frame is a chance of few counts.
_LEAST = 1e-2
#: Lags of channels at which their correlation is looked for, and standard deviations it must have.
_LAGS, _SEEN = 24, 4.0


@dataclass(frozen=True, eq=False)
class WhitenedSpectra:
    """Spectra in units of their noise.

    Parameters
    ----------
    values
        Whitened spectra, ``(n_frame, n_channel)``.
    frame_sd, channel_sd
        Standard deviations s and c, ``(n_frame,)`` and ``(n_channel,)``; the mean of s² is 1.
    variance
        Noise variance of the intensities, ``(n_frame, n_channel)``.
    known
        Whether the size of the noise was known and was not taken from the residuals.
    scale
        Variance of the residuals over the variance that was given; 1 where none was.
    inflation
        Channels whose noise is correlated are worth one independent channel in so many, for a
        sum over channels, and for a sum of squares.
    """

    values: np.ndarray
    frame_sd: np.ndarray
    channel_sd: np.ndarray
    variance: np.ndarray
    known: bool
    scale: float
    inflation: tuple[float, float] = (1.0, 1.0)

    @property
    def n_frame(self) -> int:
        """Frames."""
        return self.values.shape[0]

    @property
    def n_channel(self) -> int:
        """Channels."""
        return self.values.shape[1]

    @property
    def moment(self) -> np.ndarray:
        """All that a kinetic law sees of the spectra: their frames × frames matrix."""
        return self.values @ self.values.T


def whitened(
    values: np.ndarray, variance: np.ndarray | None = None, *, known: bool = False
) -> WhitenedSpectra:
    """Divide spectra by their noise.

    Parameters
    ----------
    values
        ``(n_frame, n_channel)``, finite.
    variance
        Noise variance, same shape. ``None`` takes it from the scatter of the spectra.
    known
        Whether a given variance is the noise itself; otherwise its size is that of the residuals.

    Raises
    ------
    ValueError
        If there is no noise to be seen and none was given.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(9, 500))
    >>> found = whitened(1000 + 5 * noise)
    >>> bool(abs(np.sqrt(found.variance.mean()) - 5) < 0.2)
    True
    """
    known = known and variance is not None
    first = _estimated(values) if variance is None else np.asarray(variance, dtype=np.float64)
    frame, channel = _balanced(first)
    shown = values / (frame[:, None] * channel)
    residual, freedom = _residual(shown)
    scale = float((residual**2).sum() / freedom)
    if not known:
        if not scale > 1e-20 * float((shown**2).mean()):
            raise ValueError(_WITHOUT_NOISE)
        channel, shown, first = channel * np.sqrt(scale), shown / np.sqrt(scale), first * scale
    found = WhitenedSpectra(shown, frame, channel, first, known, scale)
    return replace(found, inflation=_inflation(residual))


def sized(spectra: WhitenedSpectra, number: int) -> WhitenedSpectra:
    """The same with the size of the noise from what so many components leave.

    Parameters
    ----------
    number
        Spectra that it is made of, the residue among them.

    Raises
    ------
    ValueError
        If they leave nothing.
    """
    if spectra.known or not 0 < number < min(spectra.values.shape):
        return spectra
    rest = np.linalg.eigvalsh(spectra.moment)[: spectra.n_frame - number].sum()
    scale = float(rest) / (spectra.n_frame - number) / (spectra.n_channel - number)
    if not scale > 0:
        raise ValueError(_WITHOUT_NOISE)
    return replace(
        spectra,
        values=spectra.values / np.sqrt(scale),
        channel_sd=spectra.channel_sd * np.sqrt(scale),
        variance=spectra.variance * scale,
        scale=spectra.scale * scale,
    )


def _balanced(variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations of frames and channels, by alternate scaling [1]_."""
    mean = variance.mean()
    level = variance.mean(axis=1, keepdims=True) * variance.mean(axis=0) / max(mean, 1e-300)
    variance = np.maximum(variance, _LEAST * np.maximum(level, _LEAST * mean))
    frame, channel = np.ones(variance.shape[0]), variance.mean(axis=0)
    for _ in range(_ROUNDS):
        frame = (variance / channel).mean(axis=1)
        channel = (variance / frame[:, None]).mean(axis=0)
    size = frame.mean()
    return np.sqrt(frame / size), np.sqrt(channel * size)


def _residual(shown: np.ndarray) -> tuple[np.ndarray, float]:
    """Whitened spectra without the ways in which they change, and what is free in them.

    Only what sticks out of noise is taken away: the largest components of pure noise are larger
    than the others, and what is left without them looks quieter than it is. The largest eigenvalue
    of noise is that of Johnstone [2]_.
    """
    values, vectors = np.linalg.eigh(shown @ shown.T)
    n_frame, n_channel = shown.shape
    number, most = 0, min(_COMPONENTS, max(min(shown.shape) - 2, 0))
    while number < most:
        left, free = n_frame - number, max(n_channel - number, 1)
        root = np.sqrt(left) + np.sqrt(free)
        largest = root**2 + _ABOVE * root * (left**-0.5 + free**-0.5) ** (1 / 3)
        if values[left - 1] <= largest * values[:left].sum() / (left * free):
            break
        number += 1
    rest = vectors[:, : n_frame - number]
    freedom = (n_frame - number) * max(n_channel - number, 1)
    return rest.T @ shown, float(freedom)


def _estimated(values: np.ndarray) -> np.ndarray:
    """Noise variance by the scatter of spectra: along intensity, or else channel by channel."""
    line = photon_transfer([values])
    if line is not None and line.gain > 0:
        smooth = uniform_filter1d(np.maximum(values, 0.0), 3, axis=1).mean(axis=0)
        level = line.gain * smooth + line.offset
        if level.min() > 0:
            total = np.maximum(values, 0.0).sum(axis=1)
            share = total / total.mean() if line.offset < line.gain * smooth.mean() else 1.0
            return np.multiply.outer(np.broadcast_to(share, values.shape[:1]), level)
    channel = np.ones(values.shape[1])
    for _ in range(_ESTIMATES):
        residual, _ = _residual(values / channel)
        square = (residual * channel) ** 2
        alike = min(_ALIKE, values.shape[1])
        mean = uniform_filter1d(square.mean(axis=0), alike, mode="nearest")
        channel = np.sqrt(np.maximum(mean, 1e-12 * mean.mean()))
        if not channel.min() > 0:
            return np.zeros_like(values) + 1e-300
    return np.broadcast_to(channel**2, values.shape)


def _inflation(residual: np.ndarray) -> tuple[float, float]:
    """What correlated channels make of sums over them, and of sums of squares."""
    number, n_channel = residual.shape
    lags = min(_LAGS, n_channel // 4)
    square = float((residual**2).mean())
    if lags < 1 or number < 1 or square == 0:
        return 1.0, 1.0
    by_sum = by_square = 1.0
    seen = _SEEN / np.sqrt(number * n_channel)
    for lag in range(1, lags + 1):
        ratio = float((residual[:, lag:] * residual[:, :-lag]).mean()) / square
        if abs(ratio) < seen:
            break
        by_sum += 2 * ratio
        by_square += 2 * ratio**2
    return max(by_sum, 1.0), max(by_square, 1.0)
