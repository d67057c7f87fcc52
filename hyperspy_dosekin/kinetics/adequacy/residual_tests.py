# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the residuals of single curves.

χ² against the given variance, Durbin–Watson for residuals that follow each other, the largest
studentised residual for a frame that does not belong, the first residual for a decay that begins
late, and the curvature that is left over for a law that bends otherwise. All but χ² and, where the
variance is given, the first residual and the curvature are free of the size of the noise. Where
the distribution is not known in closed form it is simulated, in two steps: a p value that is
plainly large after a few draws is not looked at more closely (sequential Monte Carlo tests [1]_).

References
----------
.. [1] J. Besag, P. Clifford, Biometrika 78, 301 (1991), doi:10.1093/biomet/78.2.301.
.. [2] J. Durbin, G. S. Watson, Biometrika 37, 409 (1950), doi:10.1093/biomet/37.3-4.409.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from .projection import ProjectedResiduals
from .together import together

#: Draws for every curve, and for curves of which a p value is not plainly large after those.
DRAWS = (64, 1024)
_PLAINLY_LARGE = 0.1
#: Numbers that are worked on at once, 8 bytes each.
_AT_ONCE = 2_000_000
#: A frame of which the fit leaves less than this share of the variance says nothing by itself.
_LEAST_VARIANCE = 0.05
_LEAST_START = 0.01
#: Smooth functions that could be left over, the next polynomials after those that the fit takes,
#: and how many frames must be left over for so many.
_SMOOTH = {2: 4, 4: 8, 8: 16}


@dataclass(frozen=True, eq=False)
class ResidualTests:
    """Statistics and p values of single curves, each ``(n,)`` and NaN where there is none.

    Parameters
    ----------
    statistic
        ``"chi2"``: χ²/ν; ``"serial"``: Durbin–Watson, 2 for independent residuals and less for
        such as follow each other [2]_; ``"largest"``: largest studentised residual; ``"start"``:
        that of the first frame; ``"curvature"``: F of what is smooth in the residuals.
    p_value
        The probability of a value as extreme as that if law and noise are right.
    """

    statistic: dict[str, np.ndarray]
    p_value: dict[str, np.ndarray]


def residual_tests(residuals: ProjectedResiduals, *, variance_known: np.ndarray) -> ResidualTests:
    """Test the residuals of every curve.

    Parameters
    ----------
    residuals
        In units of the noise, or of anything where the noise is not known.
    variance_known
        Whether the unit is the noise, ``(n,)``.

    Returns
    -------
    The tests; χ² is NaN where the variance is not known, all are where no frame is left over.
    """
    residuals = residuals.closed_up()
    freedom, squares = residuals.freedom, residuals.squares
    known = variance_known & (freedom > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = {"chi2": np.where(known, squares / freedom, np.nan)}
        p_value = {"chi2": np.where(known, special.chdtrc(freedom, squares), np.nan)}
    statistic["curvature"], p_value["curvature"] = curvature_test(residuals, variance_known)
    statistic["start"], p_value["start"] = start_test(residuals, variance_known)
    shape = shape_tests(residuals)
    statistic |= shape.statistic
    p_value |= shape.p_value
    return ResidualTests(statistic, p_value)


def shape_tests(residuals: ProjectedResiduals) -> ResidualTests:
    """The tests of how residuals follow each other, and of the largest one, by simulation."""
    freedom = residuals.freedom
    statistic, p_value = np.full((2, 2, len(freedom)), np.nan)
    # With one frame left over the shape of the residuals is that of M, whatever the data are.
    alive = np.flatnonzero((freedom > 1) & (residuals.squares > 0))
    part = residuals.select(alive)
    observed = _shape_statistics(part.residual[:, None], part)
    statistic[0, alive] = observed[0][:, 0]
    statistic[1, alive] = np.sqrt(observed[1][:, 0] * freedom[alive])
    p_value[:, alive] = simulated_p_values(part, observed)
    names = ("serial", "largest")
    return ResidualTests(
        dict(zip(names, statistic, strict=True)), dict(zip(names, p_value, strict=True))
    )


@lru_cache(maxsize=8)
def normal_draws(number: int, size: int) -> np.ndarray:
    """Standard normal draws ``(number, size)``, the same at every call.

    All curves share them, so that their chance would be the same for all; evenly spread draws
    leave little of it.
    """
    import torch

    engine = torch.quasirandom.SobolEngine(size, scramble=True, seed=20)
    uniform = engine.draw(number, dtype=torch.float64).numpy()
    draws = special.ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
    draws.flags.writeable = False
    return draws


def _shape_statistics(
    rows: np.ndarray, residuals: ProjectedResiduals
) -> tuple[np.ndarray, np.ndarray]:
    """Durbin–Watson and largest r²/(M_jj Σr²) of rows ``(n, n_row, n_dose)``, ``(n, n_row)``."""
    squares = np.einsum("nbj,nbj->nb", rows, rows)
    step = np.diff(rows, axis=-1)
    if not residuals.used.all():
        step *= residuals.used[:, None, 1:]
    serial = np.einsum("nbj,nbj->nb", step, step) / squares
    variance = residuals.variance
    share = np.where(variance > _LEAST_VARIANCE, 1.0 / np.maximum(variance, _LEAST_VARIANCE), 0.0)
    largest = (rows * rows * share[:, None]).max(axis=-1) / squares
    return serial, largest


def simulated_p_values(
    residuals: ProjectedResiduals, observed: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """P values of `_shape_statistics`: small ones of the first, large ones of the second.

    Parameters
    ----------
    observed
        Their statistics, each ``(n, 1)``.

    Returns
    -------
    Two arrays ``(n,)``.
    """
    n, size = residuals.residual.shape
    found = np.ones((2, n))
    going_on = np.arange(n)
    for number in DRAWS:
        normal = normal_draws(number, size)
        step = max(1, _AT_ONCE // (number * size))
        for start in range(0, going_on.size, step):
            index = going_on[start : start + step]
            part = residuals.select(index)
            serial, largest = _shape_statistics(part.by_chance(normal), part)
            # Equal to rounding counts as equal.
            extreme = [serial <= observed[0][index] + 1e-12, largest >= observed[1][index] - 1e-12]
            found[:, index] = [(1 + each.sum(axis=1)) / (number + 1) for each in extreme]
        going_on = np.flatnonzero(found.min(axis=0) <= _PLAINLY_LARGE)
    return found[0], found[1]


def start_test(
    residuals: ProjectedResiduals, variance_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Test the first frame: where nothing happens at first, the fit passes beside it.

    With nine frames a shoulder bends but the first of them, and the others agree with a decay
    that begins at once from a larger amplitude.

    Returns
    -------
    Studentised residual, normal or Student's t by `variance_known`, and p, each ``(n,)``.
    """
    variance, freedom = residuals.variance[:, 0], residuals.freedom
    possible = (variance > _LEAST_START) & (freedom > np.where(variance_known, 0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        score = residuals.residual[:, 0] / np.sqrt(variance)
        others = np.maximum(residuals.squares - score**2, 1e-12 * residuals.squares)
        ratio = score / np.sqrt(others / (freedom - 1))
        score = np.where(possible & (residuals.squares > 0), score, np.nan)
        ratio = np.where(variance_known, score, np.where(np.isfinite(score), ratio, np.nan))
        normal = 2 * special.ndtr(-np.abs(ratio))
        student = 2 * special.stdtr(freedom - 1, -np.abs(ratio))
    return ratio, np.where(variance_known, normal, student)


def curvature_test(
    residuals: ProjectedResiduals, variance_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """F test of the smooth part of the residuals, χ² where the noise is known.

    The smooth functions are the Legendre polynomials, in the order of the frames, of the degrees
    that follow on those that so many coefficients can take: two, and of longer series also more, in
    which a curve may bend several times. With one number of functions p is exact; those of
    several are judged together.

    Returns
    -------
    F, or χ² over its degrees of freedom, and p, each ``(n,)``.
    """
    table = _smooth_functions(residuals)
    ratios, p_values = [], []
    for number, least in _SMOOTH.items():
        # One function where two would not leave two frames or more for the noise.
        fewer = 1 if number == min(_SMOOTH) else 0
        count = np.where(residuals.freedom >= least, number, fewer)
        columns = table[:, :number] * (np.arange(number) < count[:, None])[..., None]
        ratio, p_value = _smooth_test(residuals, columns, variance_known)
        ratios.append(ratio)
        p_values.append(p_value)
    smallest = np.argmin(np.nan_to_num(p_values, nan=np.inf), axis=0)
    ratio = np.take_along_axis(np.array(ratios), smallest[None], axis=0)[0]
    return ratio, together(np.array(p_values))


def _smooth_functions(residuals: ProjectedResiduals) -> np.ndarray:
    """Polynomials that the coefficients of a fit do not take, ``(n, max(_SMOOTH), n_dose)``."""
    size, rank, most = residuals.residual.shape[-1], residuals.rank, max(_SMOOTH)
    place = 2.0 * np.arange(size) / np.maximum(residuals.n_used - 1, 1)[:, None] - 1.0
    highest = int(rank.max(initial=0)) + most
    table = np.polynomial.legendre.legvander(np.where(residuals.used, place, 0.0), highest)
    degrees = rank[:, None] + np.arange(most)
    columns = np.take_along_axis(table, degrees[:, None], axis=2).transpose(0, 2, 1)
    return columns * residuals.used[:, None]


def _smooth_test(
    residuals: ProjectedResiduals, columns: np.ndarray, variance_known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """F, or χ² over its degrees of freedom, of some functions, and p; columns of 0 are none."""
    space = np.concatenate([residuals.basis, columns], axis=1)
    smooth = ProjectedResiduals.of(residuals.residual, space, residuals.used.astype(float))
    left = smooth.freedom
    taken = residuals.freedom - left
    possible = (left > 0) & (taken > 0) & (residuals.squares > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = np.maximum(residuals.squares - smooth.squares, 0.0) / taken
        noise = np.where(variance_known, 1.0, smooth.squares / left)
        ratio = np.where(possible, explained / noise, np.nan)
        squares = special.chdtrc(taken, ratio * taken)
        p_value = np.where(variance_known, squares, special.fdtrc(taken, left, ratio))
    return ratio, np.where(possible, p_value, np.nan)
