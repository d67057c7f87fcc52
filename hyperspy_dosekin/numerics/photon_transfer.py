# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The noise of spectra, from the scatter between neighbouring spectra and channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import convolve1d
from scipy.signal import savgol_coeffs

from .medians import median, order_of
from .photon_line import is_structure, straight_line, weighted_median
from .threads import one_blas_thread

#: Channels and order of the polynomial that is taken for the signal, between spectra.
_WIDTH, _ORDER = 9, 2
_SMOOTH = savgol_coeffs(_WIDTH, _ORDER)
#: Third difference of neighbouring channels, for single spectra: what is smooth cancels.
_THIRD = np.array([1.0, -3.0, 3.0, -1.0])
#: A difference of spectra that exceeds that of channels by so much is a change of the specimen.
_CHANGE = 4.0
#: One spectrum of so many tells how much channels differ.
_SOME = 4
#: Sums of squares of larger values overflow.
_MOST_VALUE = 1e140
#: Ways in which spectra may change that are not noise, and channels that each of them needs.
_COMPONENTS, _CHANNELS_EACH = 4, 16
_BINS, _FEWEST, _FEWEST_IN_BIN = 16, 200, 40
#: Intensities, about, that are sorted: the variance of each group is then known to 2 %.
_ENOUGH = 2**16
#: Squares beyond so many times their mean are spikes, edges or drift: 5.5 standard deviations.
_OUTLYING = 30.0
_TRIMMED = 0.95
#: Scatter below rounding, or below this share of the intensity, is that of noiseless data.
_ROUNDING, _NOISELESS = 0.2, 3e-5
#: Channels that are joined to see whether their noise is independent.
_JOINED = 4


@dataclass(frozen=True, eq=False)
class PhotonTransfer:
    """Variance against mean, from the data themselves.

    Parameters
    ----------
    level, variance
        Mean intensities and noise variances, of channels of like intensity, shape ``(n_bin,)``.
    ratios
        Variance found by that claimed, for groups of channels of like claim; NaN where none was.
    number
        Channels in each group.
    gain, offset
        The straight line through them: variance = `gain`·intensity + `offset`.
    """

    level: np.ndarray
    variance: np.ndarray
    ratios: np.ndarray
    number: np.ndarray
    gain: float
    offset: float

    @property
    def ratio(self) -> float:
        """Median over channels of the variance found, by that claimed."""
        return weighted_median(self.ratios, self.number)

    @property
    def read_noise(self) -> float:
        """Standard deviation at zero intensity."""
        return float(np.sqrt(max(self.offset, 0.0)))

    @property
    def pedestal(self) -> float:
        """Intensity at which the line says that there is no noise, if that is above zero.

        With read-out noise the pedestal of the camera is higher by its variance over the gain.
        """
        return max(-self.offset / self.gain, 0.0) if self.gain > 0 else 0.0

    def times(self, factor: float) -> PhotonTransfer:
        """The same with a variance so many times larger."""
        return replace(
            self,
            variance=self.variance * factor,
            ratios=self.ratios * factor,
            gain=self.gain * factor,
            offset=self.offset * factor,
        )

    def share_beyond(self, factor: float) -> float:
        """Share of the channels whose variance is beyond a factor of that claimed."""
        with np.errstate(divide="ignore", invalid="ignore"):
            beyond = np.abs(np.log(self.ratios)) > np.log(factor)
        return float(self.number[beyond].sum() / self.number.sum())


def photon_transfer(
    spectra: Sequence[np.ndarray],
    claimed: Sequence[np.ndarray] | None = None,
    *,
    fewest: int = _FEWEST,
) -> PhotonTransfer | None:
    """Estimate the noise of spectra from their scatter.

    Of neighbouring spectra the mean, what is smooth over nine channels and the largest ways in
    which they change together are subtracted; what is left is noise. A single spectrum, and
    spectra that differ by more than noise, are judged by third differences of neighbouring
    channels. Channels are sorted by intensity, and a straight line of variance against mean is
    fitted to the groups, so that outlying ones count little.

    Parameters
    ----------
    spectra
        Boxes of neighbouring spectra, arrays ``(…, n_channels)``; NaN is passed over.
    claimed
        Noise variance that is claimed for them, arrays of the same shapes.
    fewest
        Elements that are needed.

    Returns
    -------
    PhotonTransfer or None
        ``None`` where there are too few channels, no noise, or structure in place of noise: scatter
        in proportion to the intensity.

    References
    ----------
    J. R. Janesick, *Photon Transfer*, doi:10.1117/3.725073.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(np.linspace(50, 5000, 1024), (4, 1024))
    >>> print(round(photon_transfer([2.0 * counts]).gain, 1))
    2.0
    """
    # What is infinite, or so large that its square is, is left out below.
    with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
        parts = [
            _scatter(np.asarray(box, dtype=np.float64), None if claimed is None else claimed[place])
            for place, box in enumerate(spectra)
        ]
    level, square, claim = (np.concatenate(each) for each in zip(*parts, strict=True))
    known = np.isfinite(level) & np.isfinite(square) & ((level != 0) | (square > 0))
    # Sorting is what takes long, and a part says as much; an odd step meets all channels.
    step = 1 if level.size < 2 * _ENOUGH else level.size // _ENOUGH | 1
    level, square, claim = (each[known][::step] for each in (level, square, claim))
    if level.size < fewest:
        return None
    order = order_of(level)
    number = min(_BINS, level.size // _FEWEST_IN_BIN)
    groups = np.array_split(order, number)
    means = np.array([level[group].mean() for group in groups])
    variance = np.array([_clipped_mean(square[group]) for group in groups])
    if np.mean(variance <= (_NOISELESS * means) ** 2) > 0.5:
        return None
    if all(_are_whole(box) for box in spectra) and variance.max() <= _ROUNDING < means.max():
        return None
    size = np.array([group.size for group in groups], dtype=float)
    line = straight_line(means, variance, size)
    if is_structure(means, variance, size, line):
        return None
    return PhotonTransfer(means, variance, _ratios(square, claim, number), size, *line)


def _ratios(square: np.ndarray, claim: np.ndarray, number: int) -> np.ndarray:
    """Noise variance by that claimed, for groups of channels of like claim; NaN without one.

    Channels of like intensity may have very different noise, as beside a peak that was subtracted.
    """
    groups = np.array_split(order_of(claim), number)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([_clipped_mean(square[g]) / claim[g].mean() for g in groups])


def _scatter(box: np.ndarray, claimed: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """Level, square of the noise and claimed variance of elements, flat."""
    if claimed is None:
        claimed = np.full(box.shape, np.nan)
    if box.shape[-1] < _WIDTH:
        return (np.empty(0),) * 3
    # What cannot be squared is as good as missing.
    box = np.where(np.abs(box) < _MOST_VALUE, box, np.nan)
    rows = box.reshape(-1, box.shape[-1])
    if len(rows) > 1:
        claims = claimed.reshape(rows.shape)
        by_spectra = _among_spectra(rows, claims)
        if (moved := _on_their_maxima(rows, claims)) is not None:
            # Drift by many channels is no noise.
            still = _among_spectra(*moved)
            by_spectra = min(by_spectra, still, key=lambda found: _typical(found[1]))
        some = rows[::_SOME]
        by_channels = _between_channels(some, np.full(some.shape, np.nan))
        if _typical(by_spectra[1]) < _CHANGE * _typical(by_channels[1]):
            return by_spectra
    return _between_channels(box, claimed)


def _on_their_maxima(rows: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Arrays ``(n, n_channels)`` moved by whole channels, so that the maxima of rows are one.

    ``None`` where they are within two channels, or little is left.
    """
    whole = np.isfinite(rows).all(axis=-1)
    if whole.sum() < 2:
        return None
    place = rows[whole].argmax(axis=-1)
    first = place - place.min()
    size = rows.shape[-1] - int(first.max())
    if first.max() <= 2 or size < rows.shape[-1] // 2:
        return None
    index = first[:, np.newaxis] + np.arange(size)
    return tuple(np.take_along_axis(each[whole], index, axis=-1) for each in (rows, *others))


def _typical(square: np.ndarray) -> float:
    known = square[np.isfinite(square)]
    return float(median(known)) if known.size else np.inf


def _among_spectra(
    box: np.ndarray, claimed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What spectra ``(n, n_channels)`` have neither in common nor smooth.

    Drift, beam current, thickness and damage change all channels together: they are the largest
    components of what remains when the mean is subtracted, and are left out.
    """
    usable = np.isfinite(box).all(axis=-1)
    # Of few channels nothing is left between the ends.
    if usable.sum() < 2 or box.shape[-1] < _WIDTH:
        nothing = np.full(1, np.nan)
        return nothing, nothing, nothing
    box, claimed = box[usable], claimed[usable]
    level = _local(box)
    deviation = box - box.mean(axis=0)
    deviation -= convolve1d(deviation, _SMOOTH, axis=-1, mode="nearest")
    inside = (..., slice(_WIDTH // 2, -(_WIDTH // 2)))
    deviation, level, claimed = deviation[inside], level[inside], _local(claimed)[inside]
    mean = np.abs(level.mean(axis=0))
    # Noise of like size in all channels, so that the zero-loss peak is not all there is.
    size = np.sqrt(mean + np.quantile(mean, 0.25) + np.finfo(float).tiny)
    free = len(box) - 1
    # Of few channels the largest components would be most of the noise.
    number = deviation.shape[-1]
    left_out = min(free // 2, _COMPONENTS, number // _CHANNELS_EACH)
    if left_out:
        scaled = deviation / size
        # The largest are known well enough from the small matrix of products.
        _, vectors = np.linalg.eigh(scaled @ scaled.T)
        largest = vectors[:, -left_out:]
        deviation = (scaled - largest @ (largest.T @ scaled)) * size
    # Of independent noise, so much is left.
    share = (1.0 - _SMOOTH[_WIDTH // 2]) * (free - left_out) / len(box) * (1 - left_out / number)
    return level.ravel(), (deviation**2 / share).ravel(), claimed.ravel()


def _between_channels(
    box: np.ndarray, claimed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    square, around = third_differences(box, claimed)
    inside = (..., slice(1, square.shape[-1] + 1))
    return _local(box)[inside].ravel(), square.ravel(), around.ravel()


def third_differences(box: np.ndarray, claimed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the noise of channels and the variance claimed around them, each 3 channels less.

    Parameters
    ----------
    box, claimed
        Arrays ``(…, n_channels)``.
    """
    count = box.shape[-1] - 3
    difference = np.zeros((*box.shape[:-1], count))
    for place, weight in enumerate(_THIRD):
        difference += weight * box[..., place : place + count]
    around = np.asarray(_local(np.asarray(claimed, dtype=np.float64)))
    return difference**2 / (_THIRD**2).sum(), around[..., 1 : count + 1]


def _local(values: np.ndarray) -> np.ndarray:
    """Means over neighbouring channels, whose noise is hardly that of the channel."""
    kernel = np.full(_WIDTH, 1.0 / _WIDTH)
    return convolve1d(values, kernel, axis=-1, mode="nearest")


def _clipped_mean(square: np.ndarray) -> float:
    """Mean without outliers; of few counts no median of squares would do, most being zero."""
    last = int(_TRIMMED * (square.size - 1))
    mean = float(square[square <= np.partition(square, last)[last]].mean())
    size = -1
    for _ in range(5):
        kept = square[square <= _OUTLYING * mean]
        if kept.size in (0, size):
            break
        mean, size = float(kept.mean()), kept.size
    return mean


def _are_whole(box: np.ndarray) -> bool:
    return np.issubdtype(box.dtype, np.integer)


def joined(spectra: Sequence[np.ndarray], number: int = _JOINED) -> list[np.ndarray]:
    """Sum neighbouring channels, for a second look: the noise of some data is correlated.

    Parameters
    ----------
    spectra
        Arrays ``(…, n_channels)``, intensities or variances.
    number
        Channels that are joined.

    Returns
    -------
    list of numpy.ndarray
        Arrays ``(…, n_channels // number)``.
    """
    return [
        np.asarray(box)[..., : box.shape[-1] // number * number]
        .reshape(*box.shape[:-1], -1, number)
        .sum(axis=-1)
        for box in spectra
    ]
