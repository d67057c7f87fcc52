# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several tests of a fit say together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Share of right fits that fail their tests, all tests of a window together.
SIZE = 0.05


def together(p_value: np.ndarray) -> np.ndarray:
    """P value of several tests of one thing, however many they are and however they depend.

    The smallest p, times the number of tests, is that of one of them by chance; the second smallest
    counts half as often, and so on [1]_. It is exact for independent tests, and a little too large
    for such as agree, as these do.

    Parameters
    ----------
    p_value
        Of the tests, shape ``(n_test, …)``; NaN where a test was not possible.

    Returns
    -------
    numpy.ndarray
        Shape ``(…)``; NaN where there was no test.

    References
    ----------
    .. [1] R. J. Simes, Biometrika 73, 751 (1986), doi:10.1093/biomet/73.3.751.

    Examples
    --------
    >>> print(together(np.array([[0.01, 0.01], [0.5, 0.02], [np.nan, 0.03]])))
    [0.02 0.03]
    """
    return np.min(_corrected(p_value), axis=0, initial=1.0, where=np.isfinite(p_value)) + np.where(
        np.isfinite(p_value).any(axis=0), 0.0, np.nan
    )


def failing(p_value: np.ndarray) -> np.ndarray:
    """Which of several tests make their joint p value smaller than `SIZE`, same shape."""
    small = np.where(_corrected(p_value) < SIZE, p_value, -1.0).max(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(p_value <= small)


def _corrected(p_value: np.ndarray) -> np.ndarray:
    """Each p value times the number of tests by its rank; NaN stays."""
    tested = np.isfinite(p_value)
    order = np.argsort(np.where(tested, p_value, np.inf), axis=0, kind="stable")
    rank = np.argsort(order, axis=0) + 1
    return p_value * tested.sum(axis=0) / rank


def strained(correlation: np.ndarray, at_bound: Sequence[np.ndarray]) -> np.ndarray:
    """Whether correlated noise explains what a law does not that is at the end of what it can be.

    Parameters
    ----------
    correlation
        That was taken out of the residuals, 0 for white noise; NaN where nothing was fitted.
    at_bound
        For each parameter of the law, not 0 where it is at an end of its box, same shape.
    """
    return np.asarray((correlation > 0) & (np.stack(at_bound) != 0).any(axis=0))
