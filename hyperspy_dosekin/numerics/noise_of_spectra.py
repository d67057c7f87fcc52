# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the noise of single spectra differs from what is said of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.numerics.photon_transfer import joined, third_differences

#: Share of the channels that counts, so that a narrow peak does not, and the mean of χ² of one
#: degree of freedom below that quantile.
_SHARE, _MEAN = 0.8, 0.4377
#: Channels that tell the noise of a spectrum to a fifth.
_FEWEST, _FEWEST_LIT = 128, 32
#: Spectra, about, that are enough of many.
_ENOUGH = 100
#: Channels of which less than this share of the mean is claimed are dark.
_LIT = 0.01
#: Ratios of spectra that lie further apart, all but the outermost of them, are not one ratio.
_APART, _OUTER = 4.0, 0.05
#: Noise of single channels and of pairs that agrees so well is independent.
_AGREE = 1.5


@dataclass(frozen=True, eq=False)
class NoiseOfSpectra:
    """Noise of spectra that have not one gain.

    Parameters
    ----------
    least, most
        Least and largest variance, in units of that claimed.
    independent
        Whether neighbouring channels are independent, so that each spectrum tells its own noise.
    """

    least: float
    most: float
    independent: bool


def noise_by_spectra(
    spectra: Sequence[np.ndarray], claimed: Sequence[np.ndarray]
) -> NoiseOfSpectra | None:
    """Tell whether spectra have noise of very different size, as counts divided by exposures have.

    Parameters
    ----------
    spectra, claimed
        Boxes of spectra and the noise variance that is claimed for them, ``(…, n_channels)``.

    Returns
    -------
    NoiseOfSpectra or None
        ``None`` where what is claimed differs from the data by one factor.

    Examples
    --------
    >>> exposure = np.geomspace(0.1, 3, 9)[:, np.newaxis]
    >>> counts = np.random.default_rng(0).poisson(1e3 * exposure, (9, 1000)) / exposure
    >>> found = noise_by_spectra([counts], [counts])
    >>> print(f"{found.least:.1f} to {found.most:.0f}", found.independent)
    0.4 to 10 True
    """
    if not spectra or spectra[0].shape[-1] < _FEWEST:
        return None
    # A hundred spectra say as much as more.
    step = max(sum(box[..., 0].size for box in spectra) // _ENOUGH, 1)
    spectra, claimed = (
        [box.reshape(-1, box.shape[-1])[::step] for box in boxes] for boxes in (spectra, claimed)
    )

    def ratios(*boxes: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(
            [ratio_of_spectra(*each).ravel() for each in zip(*boxes, strict=True)]
        )

    pairs = ratios(joined(spectra, 2), joined(claimed, 2))
    known = np.isfinite(pairs)
    if known.all() and not _are_apart(pairs):
        return None
    single = ratios(spectra, claimed)
    known &= np.isfinite(single)
    if known.sum() < 2:
        return None
    single, pairs = single[known], pairs[known]
    if not (_are_apart(single) and _are_apart(pairs)):
        return None
    away = np.sqrt(np.mean(np.log(single / pairs) ** 2))
    return NoiseOfSpectra(*_ends(pairs), bool(away < np.log(_AGREE)))


def _ends(ratios: np.ndarray) -> tuple[float, float]:
    """Least and largest of all but the outermost."""
    least, most = np.quantile(ratios, [_OUTER, 1 - _OUTER])
    return float(least), float(most)


def _are_apart(ratios: np.ndarray) -> bool:
    least, most = _ends(ratios)
    return most >= _APART * least


def ratio_of_spectra(spectra: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Noise variance of each spectrum, by third differences of its channels, over that claimed.

    Parameters
    ----------
    spectra, claimed
        Arrays ``(…, n_channels)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(…)``; NaN where too few channels are lit, or nothing is claimed.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        square, around = third_differences(np.asarray(spectra, dtype=np.float64), claimed)
        around = np.where(np.isfinite(around), around, 0.0)
        lit = around > _LIT * around.mean(axis=-1, keepdims=True)
        ratio = np.where(lit, square / np.where(lit, around, 1.0), np.inf)
    number = np.maximum((_SHARE * lit.sum(axis=-1)).astype(int), 1)[..., np.newaxis]
    total = np.cumsum(np.sort(np.where(np.isnan(ratio), np.inf, ratio), axis=-1), axis=-1)
    found = np.take_along_axis(total, number - 1, axis=-1)[..., 0] / number[..., 0] / _MEAN
    known = (lit.sum(axis=-1) >= _FEWEST_LIT) & (found > 0) & np.isfinite(found)
    return np.where(known, found, np.nan)
