# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data, fit and integrity of windows against dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays, pairs, size_of


@dataclass(frozen=True, eq=False, kw_only=True)
class CurvePicture(Picture):
    """Data, fit and integrity of every window against dose.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    dose
        Measured doses, ``(n_dose,)``.
    values
        Data, ``(W, n_dose)``, in the unit named by `quantity`; NaN marks a missing frame.
    grid
        Doses of the curves, ``(n_grid,)``, from 0; may go on beyond the last measured
        dose. Residuals are read off the fit by linear interpolation, so it should be fine.
    fitted
        Fit a C + b in the unit of the data, ``(W, n_grid)``.
    integrity
        C, ``(W, n_grid)``.
    half_dose
        Half-integrity dose D½, ``(W,)``; NaN where C never falls to ½.
    reached
        Whether D½ lies inside the measured range, ``(W,)``.
    sigma
        Standard deviation of the noise of `values`, of the same shape, if known.
    shared
        What errors that frames share, such as a drift, have most likely added to `values`, of the
        same shape; ``None`` where there are no such errors.
    fitted_spread, integrity_spread
        Standard deviation over the members of an ensemble, shapes of `fitted` and `integrity`:
        how far optimisers agree, which is no uncertainty and never drawn as one.
    integrity_lower, integrity_upper
        Interval of C, ``(W, n_grid)``.
    half_dose_lower, half_dose_upper
        Interval of D½, ``(W,)``; open where lower is 0 or upper is inf.
    level
        Probability (or confidence) of the intervals.
    interval_method
        What the intervals are, for instance ``"posterior"``.
    identifiable
        Whether the data determine D½, ``(W,)``; ``None`` if that was not examined.
    adequate
        Whether the law describes the data, ``(W,)``; where not, D½ is marked as doubtful.
    grows
        Whether the amplitude is negative, so that the window grows while C falls, ``(W,)``;
        default nowhere.
    quantity
        Label of the data with its unit.

    Raises
    ------
    ValueError
        If a shape does not fit, or one bound of an interval lacks the other.

    Examples
    --------
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = CurvePicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     fitted=np.exp(-grid / 200)[None],
    ...     integrity=np.exp(-grid / 200)[None],
    ...     half_dose=[138.6],
    ...     reached=[True],
    ... )
    >>> picture.dose_max
    300.0
    """

    dose: np.ndarray
    values: np.ndarray
    grid: np.ndarray
    fitted: np.ndarray
    integrity: np.ndarray
    half_dose: np.ndarray
    reached: np.ndarray
    sigma: np.ndarray | None = None
    shared: np.ndarray | None = None
    fitted_spread: np.ndarray | None = None
    integrity_spread: np.ndarray | None = None
    integrity_lower: np.ndarray | None = None
    integrity_upper: np.ndarray | None = None
    half_dose_lower: np.ndarray | None = None
    half_dose_upper: np.ndarray | None = None
    level: float = 0.95
    interval_method: str = "posterior"
    identifiable: np.ndarray | None = None
    adequate: np.ndarray | None = None
    grows: np.ndarray | None = None
    quantity: str = "Window area"

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        n_dose, n_grid = size_of(self, "dose"), size_of(self, "grid")
        on_grid = "integrity_spread fitted_spread integrity_lower integrity_upper"
        arrays(self, float, (n_window, n_dose), "values", "sigma shared")
        arrays(self, float, (n_window, n_grid), "fitted integrity", on_grid)
        arrays(self, float, (n_window,), "half_dose", "half_dose_lower half_dose_upper")
        arrays(self, bool, (n_window,), "reached", "identifiable adequate grows")
        pairs(self, "integrity_", "half_dose_")

    @property
    def dose_max(self) -> float:
        """Largest measured dose."""
        return float(np.max(self.dose))

    @property
    def has_data(self) -> np.ndarray:
        """Whether a window has any frame and any curve, ``(W,)``."""
        measured = np.isfinite(self.values).any(axis=1)
        return np.asarray(measured & np.isfinite(self.integrity).any(axis=1))
