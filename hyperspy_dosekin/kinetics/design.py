# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well anybody could know rate, exponent and half-integrity dose: the Cramér–Rao bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hyperspy_dosekin.kinetics.laws.power_law import power_law_derivatives


@dataclass(frozen=True, eq=False)
class CramerRaoBound:
    """Smallest standard deviations of an unbiased estimate, arrays of the broadcast shape.

    Infinite where the data do not determine a quantity at all; `sd_exponent` is 0 where the
    exponent is known.

    Parameters
    ----------
    sd_log_rate, sd_exponent, sd_log_half_dose
        Of ln k, p and ln D½.
    """

    sd_log_rate: np.ndarray
    sd_exponent: np.ndarray
    sd_log_half_dose: np.ndarray


def _log_half_dose_slope(exponent: np.ndarray) -> np.ndarray:
    """Differentiate ln D½ = ln[(2^(p−1) − 1)/(p−1)] − ln k by p."""
    x = (exponent - 1) * np.log(2.0)
    near = np.abs(x) < 1e-4
    safe = np.where(near, 1.0, x)
    # d ln(expm1(x)/x)/dx = 1/(1 − e^{−x}) − 1/x → 1/2 + x/12
    slope = np.where(near, 0.5 + x / 12, -1 / np.expm1(-safe) - 1 / safe)
    return slope * np.log(2.0)


def cramer_rao(
    normalised_dose: ArrayLike,
    rate: ArrayLike,
    exponent: ArrayLike,
    *,
    noise: ArrayLike,
    amplitude: ArrayLike = 1.0,
    offset_known: bool = False,
    exponent_known: bool = False,
) -> CramerRaoBound:
    """Cramér–Rao bound of the power law with readout a·C + b and normal noise.

    Parameters
    ----------
    normalised_dose
        Doses of the frames, ``(n_dose,)``.
    rate, exponent, amplitude
        k per normalised dose, p and a; shapes broadcast.
    noise
        Standard deviation of a value, in the unit of `amplitude`; broadcasts with the others.
    offset_known, exponent_known
        Whether b and p are known rather than estimated.

    Examples
    --------
    >>> dose = np.arange(1, 10) / 9
    >>> bound = cramer_rao(dose, [1.0, 2.0], 1.0, noise=0.01)
    >>> bound.sd_log_half_dose.round(2).tolist()
    [1.68, 0.18]
    """
    rate, exponent, amplitude, noise = (
        array[..., None]
        for array in np.broadcast_arrays(
            *(np.asarray(value, dtype=np.float64) for value in (rate, exponent, amplitude, noise))
        )
    )
    dose = np.asarray(normalised_dose, dtype=np.float64)
    integrity, by_rate, by_exponent = power_law_derivatives(dose, rate, exponent)
    columns = [integrity]
    if not offset_known:
        columns.append(np.ones_like(integrity))
    columns.append(amplitude * rate * by_rate)
    if not exponent_known:
        columns.append(amplitude * by_exponent)
    jacobian = np.stack([column / noise for column in columns], axis=-1)
    triangle = np.asarray(np.linalg.qr(jacobian, mode="r"))
    count = 1 if exponent_known else 2
    # Nuisances were put in front, so the last block is what is left when they are projected out.
    block = triangle[..., -count:, -count:]
    if dose.size < len(columns):
        block = np.zeros((*triangle.shape[:-2], count, count))
    diagonal = np.abs(np.diagonal(block, axis1=-2, axis2=-1))
    hopeless = (diagonal < 1e-13 * np.abs(triangle).max(axis=(-2, -1))[..., None]).any(axis=-1)
    block = np.where(hopeless[..., None, None], np.eye(count), block)
    inverse = np.linalg.inv(block)
    covariance = inverse @ np.swapaxes(inverse, -2, -1)
    gradient = np.full((*rate.shape[:-1], count), -1.0)
    if not exponent_known:
        gradient[..., 1] = _log_half_dose_slope(exponent[..., 0])
    variance_dose = np.einsum("...i,...ij,...j->...", gradient, covariance, gradient)
    sd_rate = np.sqrt(covariance[..., 0, 0])
    sd_exponent = np.zeros_like(sd_rate) if exponent_known else np.sqrt(covariance[..., 1, 1])
    unknown = np.where(hopeless, np.inf, 1.0)
    return CramerRaoBound(
        sd_rate * unknown,
        sd_exponent if exponent_known else sd_exponent * unknown,
        np.sqrt(variance_dose) * unknown,
    )
