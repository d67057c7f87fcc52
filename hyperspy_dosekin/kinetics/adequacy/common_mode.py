# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the windows of a frame share beyond the law: thickness, beam current, normalisation.

A gain g_j of frame j multiplies all windows alike. The residuals of different windows then go up
and down together, which independent noise does not do. The part of the gain that the fits have
not taken for a decay can be estimated: with g_j ~ N(0, τ²) and the fit linear in its coefficients,
the residuals of all windows are normal with covariance M (σ² + τ² m mᵀ) M, and τ has a likelihood
of one number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .projection import ProjectedResiduals
from .residual_tests import DRAWS, normal_draws
from .scatter import mixing

#: Standard deviations of the gain that are tried.
_SPREADS = np.geomspace(1e-4, 0.5, 60)
_ROUNDS = 12
_UPPER = 0.975
_AT_ONCE = 2_000_000


def common_mode_test(
    windows: list[ProjectedResiduals], correlation: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Test whether residuals of different windows agree more than by chance.

    Parameters
    ----------
    windows
        The residuals of the same curves in each window, with the sign of the intensity.
    correlation
        That of the noise of the windows, ``(n_window, n_window)``; ``None`` for independent noise.

    Returns
    -------
    correlation, p_value : numpy.ndarray
        Mean correlation of two windows, and the probability of one as large by chance, ``(n,)``;
        NaN where fewer than two windows have frames left over.
    """
    n, size = windows[0].residual.shape
    usable = np.stack([(each.freedom > 1) & (each.squares > 0) for each in windows])
    count = usable.sum(axis=0)
    observed = _correlation([each.residual[:, None] for each in windows], usable)[:, 0]
    p_value = np.full(n, np.nan)
    number = DRAWS[-1]
    step = max(1, _AT_ONCE // (number * size * len(windows)))
    draws = np.split(normal_draws(number, size * len(windows)), len(windows), axis=1)
    if correlation is not None:
        draws = list(np.tensordot(mixing(correlation), np.stack(draws), axes=1))
    going_on = np.flatnonzero(count > 1)
    for start in range(0, going_on.size, step):
        index = going_on[start : start + step]
        rows = [each.select(index).by_chance(z) for each, z in zip(windows, draws, strict=True)]
        by_chance = _correlation(rows, usable[:, index])
        exceeding = (by_chance >= observed[index, None] - 1e-12).sum(axis=1)
        p_value[index] = (1 + exceeding) / (number + 1)
    return np.where(count > 1, observed, np.nan), p_value


def _correlation(rows: list[np.ndarray], usable: np.ndarray) -> np.ndarray:
    """Mean over pairs of windows of the correlation of rows ``(n, n_row, n_dose)``."""
    total = np.zeros_like(rows[0])
    for each, good in zip(rows, usable, strict=True):
        norm = np.sqrt(np.einsum("nbj,nbj->nb", each, each))
        total += each * (good[:, None] / np.where(norm > 0, norm, 1.0))[..., None]
    count = usable.sum(axis=0)[:, None]
    pairs = np.maximum(count * (count - 1), 1)
    return (np.einsum("nbj,nbj->nb", total, total) - count) / pairs


@dataclass(frozen=True, eq=False)
class CommonGain:
    """Gain of each frame that all windows of a curve share.

    Parameters
    ----------
    gain
        g_j, ``(n, n_dose)``: an intensity is (1 + g_j) of what it would be. What looks like a
        decay is not in it.
    sd
        Standard deviation of each, same shape.
    spread
        τ, the standard deviation of the gain over the frames, ``(n,)``.
    noise
        Variance of the noise beside the gain, in the unit of the residuals, ``(n_window, n)``.
    by_others
        What the other windows say of the gain of each: means ``(n_window, n, n_dose)`` and
        covariances ``(n_window, n, n_dose, n_dose)``.
    freedom
        Frames left over in all windows beside the gain, ``(n,)``: what the noise is known from.
    """

    gain: np.ndarray
    sd: np.ndarray
    spread: np.ndarray
    noise: np.ndarray
    by_others: tuple[np.ndarray, np.ndarray]
    freedom: np.ndarray

    @property
    def widening(self) -> np.ndarray:
        """What variances are to be multiplied by, since the noise is itself estimated, ``(n,)``.

        With it a normal interval of 95 % is as wide as Student's with the `freedom` that is left.
        """
        return (stats.t.ppf(_UPPER, np.maximum(self.freedom, 1.0)) / stats.norm.ppf(_UPPER)) ** 2


def common_gain(
    windows: list[ProjectedResiduals], scaled: list[np.ndarray], *, assumed: float = 0.0
) -> CommonGain:
    """Estimate the gain of each frame from the residuals of all windows.

    Parameters
    ----------
    windows
        Residuals of the same curves in each window; the size of their noise is estimated.
    scaled
        The fitted intensities times the weights of the residuals, each ``(n, n_dose)``.
    assumed
        With how many frames it counts that the noise of a window is the half of its residuals.
        Of few frames one window may else be taken for the gain itself, without any noise.

    Returns
    -------
    The posterior mean of the gain at the likeliest spread; 0 where there are fewer than two
    windows with frames left over.
    """
    n, size = windows[0].residual.shape
    freedom = np.stack([each.freedom for each in windows])
    usable = np.stack([each.squares > 0 for each in windows]) & (freedom > 0)
    lines = [np.where(each.used, line, 0.0) for each, line in zip(windows, scaled, strict=True)]
    noise = np.stack([each.squares for each in windows]) / np.maximum(freedom, 1)
    noise = np.where(usable, noise, np.inf)
    before = 0.5 * np.where(usable, noise, 0.0) * assumed
    gain, covariance, spread = np.zeros((n, size)), np.zeros((n, size, size)), np.zeros(n)
    told = np.zeros(n)
    # What each window says of the gain: a normal equation of the frames.
    normal, right = [], []
    for each, line in zip(windows, lines, strict=True):
        turned = each.basis * line[:, None]
        square = -np.einsum("nqj,nqi->nji", turned, turned)
        square[:, np.arange(size), np.arange(size)] += line**2
        normal.append(square)
        right.append(line * each.residual)
    enough = usable.sum(axis=0) > 1
    for _ in range(_ROUNDS):
        whole = sum(a / s[:, None, None] for a, s in zip(normal, noise, strict=True))
        side = sum(b / s[:, None] for b, s in zip(right, noise, strict=True))
        # Of intensities at the limit of float64 nothing is known.
        known = np.isfinite(whole).all(axis=(1, 2)) & np.isfinite(side).all(axis=1)
        whole, side = (
            np.where(known[:, None, None], whole, 0.0),
            np.where(known[:, None], side, 0.0),
        )
        value, vector = np.linalg.eigh(whole)
        value = np.maximum(value, 0.0)
        along = np.einsum("nji,nj->ni", vector, side)
        spread = _likeliest_spread(value, along)
        shrunk = spread[:, None] ** 2 / (1.0 + spread[:, None] ** 2 * value)
        told = (shrunk * value).sum(axis=-1)
        gain = np.einsum("nji,ni->nj", vector, shrunk * along)
        covariance = np.einsum("nji,ni,nki->njk", vector, shrunk, vector)
        noise = np.stack(
            [
                _noise(each, a, b, gain, covariance)
                for each, a, b in zip(windows, normal, right, strict=True)
            ]
        )
        noise = (noise * freedom + before) / np.maximum(freedom + assumed, 1)
        noise = np.where(usable, noise, np.inf)
    sd = np.sqrt(np.maximum(np.einsum("njj->nj", covariance), 0.0))
    keep = enough[:, None]
    gain, sd = np.where(keep, gain, 0.0), np.where(keep, sd, 0.0)
    spread = np.where(enough, spread, 0.0)
    weighed = [a / s[:, None, None] for a, s in zip(normal, noise, strict=True)]
    sides = [b / s[:, None] for b, s in zip(right, noise, strict=True)]
    by_others = _by_others(weighed, sides, spread)
    left = freedom.sum(axis=0) - np.where(enough, told, 0.0)
    return CommonGain(gain, sd, spread, noise, by_others, left)


def _by_others(
    normal: list[np.ndarray], right: list[np.ndarray], spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of the gain without each window in turn."""
    means, covariances = [], []
    for place in range(len(normal)):
        whole = sum(each for other, each in enumerate(normal) if other != place)
        side = sum(each for other, each in enumerate(right) if other != place)
        whole, side = np.broadcast_to(whole, normal[0].shape), np.broadcast_to(side, right[0].shape)
        square = spread[:, None, None] ** 2
        # (1/τ² + N)⁻¹ = τ² (1 + τ² N)⁻¹, which is 0 where there is no gain.
        covariance = square * np.linalg.inv(np.eye(whole.shape[-1]) + square * whole)
        covariances.append(covariance)
        means.append(np.einsum("njk,nk->nj", covariance, side))
    return np.stack(means), np.stack(covariances)


def _likeliest_spread(value: np.ndarray, along: np.ndarray) -> np.ndarray:
    """τ of the largest likelihood among `_SPREADS` and 0, ``(n,)``."""
    square = _SPREADS**2
    grown = 1.0 + square[:, None, None] * value
    deviance = np.log(grown).sum(-1) - (square[:, None, None] * along**2 / grown).sum(-1)
    best = deviance.argmin(axis=0)
    lowest = np.take_along_axis(deviance, best[None], axis=0)[0]
    return np.where(lowest < 0, _SPREADS[best], 0.0)


def _noise(
    window: ProjectedResiduals,
    normal: np.ndarray,
    right: np.ndarray,
    gain: np.ndarray,
    covariance: np.ndarray,
) -> np.ndarray:
    """Variance of the noise of a window, expected over the gain (a step of EM)."""
    left = window.squares - 2 * np.einsum("nj,nj->n", right, gain)
    left += np.einsum("nj,njk,nk->n", gain, normal, gain)
    left += np.einsum("njk,nkj->n", normal, covariance)
    return np.maximum(left, 1e-12 * window.squares) / np.maximum(window.freedom, 1)
