# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels in which nothing happens, beside others that decay: those of vacuum or of a support.

They are no part of a population whose amplitudes are normal: with them its amplitudes are small on
average, and every pixel that decays is taken for a smaller and faster decay than it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .curves import SharedCurves

# Fewest frames, and what ln likelihood gains by such pixels, for each pixel and altogether, at
# least. Normal amplitudes and a step, a rim or two phases in ln k gain 0.02 for each at most.
_FRAMES, _GAIN, _LEAST_GAIN = 5, 0.1, 10.0
_ROUNDS, _STARTS = 60, (0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Still:
    """How to tell pixels in which nothing happens.

    Parameters
    ----------
    contrast
        What changes most over the frames, ``n_dose`` numbers.
    share
        Share of the pixels in which nothing happens.
    mean, spread
        Of the changes of the others along the contrast.
    noise
        Standard deviation of the noise of weight 1.
    """

    contrast: tuple[float, ...]
    share: float
    mean: float
    spread: float
    noise: float

    def chance(self, curves: SharedCurves) -> np.ndarray:
        """Probability that nothing happens in some pixels, ``(n,)``."""
        change, error = _along(curves, np.array(self.contrast), self.noise)
        return _chance(change, error, self.share, self.mean, self.spread)[0]


def moving(still: Still | None, curves: SharedCurves) -> np.ndarray:
    """Places of the pixels in which something happens; all where nothing is known of others."""
    if still is None:
        return np.arange(curves.number)
    return np.flatnonzero(still.chance(curves) < 0.5)


def find_still(curves: SharedCurves) -> Still | None:
    """Look for pixels in which nothing happens; ``None`` where they are not set apart."""
    weight = curves.weight.numpy()
    seen = weight.sum(1) > 0
    n_dose = int(seen.sum())
    if n_dose < _FRAMES:
        return None
    away = np.sqrt(weight) * _centred(curves.values.numpy(), weight)
    axes, size, _ = np.linalg.svd(away @ away.T)
    # Two directions hold decays; a third is lost with the levels.
    noise = float(np.sqrt(size[2:].sum() / (curves.number * (n_dose - 3))))
    contrast = np.where(seen, axes[:, 0], 0.0)
    change, error = _along(curves, contrast, noise)
    if not noise > 0 or not np.isfinite(error).any():
        return None
    whole = np.hypot(error, max(float(change.std()), 1e-300))
    alone = float(stats.norm.logpdf(change, change.mean(), whole).sum())
    best, found = -np.inf, None
    for start in _STARTS:
        chance = 1.0 * (np.abs(change) <= np.quantile(np.abs(change), start))
        for _ in range(_ROUNDS):
            share = float(np.clip(chance.mean(), 1e-3, 1 - 1e-3))
            rest = (1 - chance) / max(float((1 - chance).sum()), 1e-9)
            mean = float(rest @ change)
            spread = float(np.sqrt(rest @ (change - mean) ** 2))
            chance, height = _chance(change, error, share, mean, spread)
        if height > best:
            best, found = height, Still(tuple(contrast.tolist()), share, mean, spread, noise)
    gain = best - alone
    return found if gain > max(_GAIN * curves.number, _LEAST_GAIN) else None


def _centred(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return values - (weight * values).sum(0) / np.maximum(weight.sum(0), 1e-300)


def _along(
    curves: SharedCurves, contrast: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Changes of pixels along a contrast and their standard deviations, ``(n,)`` each."""
    weight = curves.weight.numpy()
    turned = _centred(np.broadcast_to(contrast[:, None], weight.shape), weight)
    square = (weight * turned**2).sum(0)
    square = np.where(square > 0, square, np.nan)
    change = (weight * turned * curves.values.numpy()).sum(0) / square
    return np.nan_to_num(change), np.nan_to_num(noise / np.sqrt(square), nan=np.inf)


def _chance(
    change: np.ndarray, error: np.ndarray, share: float, mean: float, spread: float
) -> tuple[np.ndarray, float]:
    """Probability that nothing happens, and ln likelihood of all."""
    error = np.minimum(error, 1e150)
    still = np.log(share) + stats.norm.logpdf(change, 0.0, error)
    others = np.log(1 - share) + stats.norm.logpdf(change, mean, np.hypot(error, spread))
    whole = np.logaddexp(still, others)
    return np.exp(still - whole), float(whole.sum())
