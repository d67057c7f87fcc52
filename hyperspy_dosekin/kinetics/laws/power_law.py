# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power law of dose damage in closed form, in NumPy.

``dC/dφ = −k C^p`` with ``C(0) = 1`` has the solution ``C = (1 + (p−1)kφ)^{−1/(p−1)}``,
``exp(−kφ)`` at p = 1, and C = 0 after extinction, which p < 1 reaches at ``φ = 1/((1−p)k)``
[1]_. Written with ``t = kφ`` and ``x = (p−1)t`` it is ``ln C = −t·log1p(x)/x``, which has no
singular point at p = 1 or k = 0; `evaluate_power_law` uses that form and is shared by the NumPy
functions here and by the Torch functions in `power_law_torch`.

References
----------
.. [1] G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Below this |x| the series replaces log1p(x)/x and its derivative. The derivative loses
# 2·eps/|x| to cancellation above it, the ten terms lose |x|^10 below it.
_SERIES_LIMIT = {8: 2e-2, 4: 1e-1}
# Smallest 1 + x that is handed to log1p; anything lower is extinct and masked afterwards.
_EXTINCTION_MARGIN = {8: 1e-16, 4: 6e-8}
_SERIES_TERMS = 11


def _series(x: Any) -> Any:
    """log1p(x)/x = Σ (−x)^n/(n+1), by Horner's rule."""
    total = 1.0 / _SERIES_TERMS
    for power in range(_SERIES_TERMS - 1, 0, -1):
        total = 1.0 / power - x * total
    return total


def _series_derivative(x: Any) -> Any:
    """Differentiate `_series`: Σ −(n+1)/(n+2)·(−x)^n, by Horner's rule."""
    total = (_SERIES_TERMS - 1) / _SERIES_TERMS
    for power in range(_SERIES_TERMS - 2, 0, -1):
        total = power / (power + 1.0) - x * total
    return -total


def evaluate_power_law(
    namespace: ModuleType, dose: Any, rate: Any, exponent: Any, *, derivatives: bool
) -> Any:
    """Integrity and its derivatives, for NumPy arrays or Torch tensors alike.

    Parameters
    ----------
    namespace
        `numpy` or `torch`, where the three operands come from.
    dose, rate, exponent
        Arrays of one floating type that broadcast.
    derivatives
        Whether to return dC/dk and dC/dp as well.

    Returns
    -------
    C, or (C, C^p, dC/dp), each of the broadcast shape. ``dC/dk = −φ C^p`` and
    ``dC/dφ = −k C^p`` follow from the second.
    """
    width = rate.dtype.itemsize
    # t = kφ and x = (p−1)t of the module's formula.
    t = rate * dose
    x = (exponent - 1.0) * t
    small = namespace.abs(x) < _SERIES_LIMIT[width]
    # `where` evaluates both branches: give each one harmless operands in the other's region.
    safe = namespace.where(small, namespace.ones_like(x), x)
    safe = namespace.clip(safe, -1.0 + _EXTINCTION_MARGIN[width], None)
    near = namespace.where(small, x, namespace.zeros_like(x))
    log1p = namespace.log1p(safe)
    log_integrity = -t * namespace.where(small, _series(near), log1p / safe)
    extinct = x <= -1.0
    zero = namespace.zeros_like(x)
    integrity = namespace.where(extinct, zero, namespace.exp(log_integrity))
    if not derivatives:
        return integrity
    powered = namespace.where(extinct, zero, namespace.exp(exponent * log_integrity))
    slope = namespace.where(
        small, _series_derivative(near), (safe / (1.0 + safe) - log1p) / (safe * safe)
    )
    # C = 0 by underflow times an overflowing t² would be NaN; the limit is 0.
    by_exponent = namespace.where(extinct | (integrity == 0), zero, -integrity * t * t * slope)
    return integrity, powered, by_exponent


def _floating(*operands: ArrayLike) -> list[np.ndarray]:
    """Operands in one floating type: float32 if every array among them is, else float64."""
    dtypes = [np.dtype(x.dtype) for x in operands if isinstance(x, (np.ndarray, np.generic))]
    single = bool(dtypes) and all(dtype == np.float32 for dtype in dtypes)
    return [np.asarray(operand, dtype=np.float32 if single else np.float64) for operand in operands]


def power_law_integrity(
    normalised_dose: ArrayLike, rate: ArrayLike, exponent: ArrayLike
) -> np.ndarray:
    """Latent integrity C(φ) of the power law ``dC/dφ = −k C^p``.

    Parameters
    ----------
    normalised_dose
        Dose φ = Φ/Φ_max, not negative, no unit.
    rate
        k per normalised dose, not negative.
    exponent
        p, of any sign. Shapes of the three broadcast.

    Returns
    -------
    C in [0, 1], of the broadcast shape; 0 after extinction (p < 1). NaN operands give NaN.

    References
    ----------
    .. [1] G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

    Examples
    --------
    >>> float(power_law_integrity(1.0, 2.0, 1.5))
    0.25
    """
    dose, rate, exponent = _floating(normalised_dose, rate, exponent)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return evaluate_power_law(np, dose, rate, exponent, derivatives=False)


def power_law_derivatives(
    normalised_dose: ArrayLike, rate: ArrayLike, exponent: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integrity of the power law with its derivatives by rate and exponent.

    Parameters
    ----------
    normalised_dose, rate, exponent
        As for `power_law_integrity`.

    Returns
    -------
    (C, dC/dk, dC/dp), each of the broadcast shape; both derivatives are 0 after extinction.

    Examples
    --------
    >>> integrity, by_rate, by_exponent = power_law_derivatives(1.0, 2.0, 1.5)
    >>> float(by_rate)
    -0.125
    """
    dose, rate, exponent = _floating(normalised_dose, rate, exponent)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        integrity, powered, by_exponent = evaluate_power_law(
            np, dose, rate, exponent, derivatives=True
        )
        return integrity, -dose * powered, by_exponent


def dose_at(level: ArrayLike, rate: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    """Normalised dose at which the integrity has fallen to a level.

    Parameters
    ----------
    level
        Integrity C in [0, 1]; 0.5 for the half-integrity dose, 1/e for the critical dose.
    rate
        k per normalised dose.
    exponent
        p. Shapes of the three broadcast.

    Returns
    -------
    φ, of the broadcast shape; ``inf`` where the level is never reached (k = 0, or level 0 with
    p ≥ 1).

    Raises
    ------
    ValueError
        If a level lies outside [0, 1].

    Examples
    --------
    >>> float(dose_at(0.25, 2.0, 1.5))
    1.0
    """
    level, rate, exponent = _floating(level, rate, exponent)
    if np.any((level < 0) | (level > 1)):
        raise ValueError(
            f"integrity levels {np.unique(level).tolist()} must lie in [0, 1], where 1 is the "
            "undamaged state; pass for instance 0.5."
        )
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # kφ = (C^{1−p} − 1)/(p−1) = expm1((1−p) ln C)/(p−1); −ln C at p = 1.
        decades = 0.0 - np.log(level)  # not −0 at level 1
        excess = exponent - 1.0
        scaled = excess * decades
        # C = 1 gives 0·anything; C = 0 gives inf·0 at p = 1.
        first_order = (np.abs(scaled) < 1e-30) | (excess == 0)
        time = np.where(first_order, decades, np.expm1(scaled) / np.where(first_order, 1.0, excess))
        return time / rate


def half_dose(rate: ArrayLike, exponent: ArrayLike) -> np.ndarray:
    """Half-integrity dose in units of the largest dose: `dose_at` of level 0.5.

    Examples
    --------
    >>> round(float(half_dose(1.0, 1.0)), 4)
    0.6931
    """
    return dose_at(0.5, rate, exponent)
