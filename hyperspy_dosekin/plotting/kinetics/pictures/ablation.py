# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several models beyond the measured doses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hyperspy_dosekin.plotting.kinetics.pictures.base import Picture, arrays, mappings, size_of


@dataclass(frozen=True, eq=False, kw_only=True)
class AblationPicture(Picture):
    """Data of every window with several models, continued beyond the measured doses.

    Parameters
    ----------
    window_names, dose_unit, title, energy_windows
        As for `Picture`.
    dose
        Measured doses, ``(n_dose,)``.
    values
        Data, ``(W, n_dose)``; NaN marks a missing frame.
    grid
        Doses of the curves, ``(n_grid,)``, going beyond `dose_max`.
    curves
        Curve of each model, ``(W, n_grid)``. The first one is the law: with the data it sets the
        limits of the axes, which other models may leave.
    dose_max
        Largest measured dose; default the largest of `dose`.
    sigma
        Standard deviation of the noise of `values`, of the same shape, if known.
    quantity
        Label of the data with its unit.
    residual_dose
        Doses of the residuals, ``(n_residual,)``; may be empty.
    residuals
        Distance of each model from the law, dC/dφ + k Cᵖ, ``(W, n_residual)``; may be empty.
    r_squared
        Share of the variance of the data that each model explains, ``(W,)``; may be empty.

    Raises
    ------
    ValueError
        If a shape does not fit, or there is no curve.

    Examples
    --------
    >>> dose, grid = np.array([100.0, 200.0, 300.0]), np.linspace(0, 300, 7)
    >>> picture = AblationPicture(
    ...     window_names=("C–O",),
    ...     dose=dose,
    ...     values=np.exp(-dose / 200)[None],
    ...     grid=grid,
    ...     curves={"law": np.exp(-grid / 200)[None], "straight line": (1 - grid / 300)[None]},
    ... )
    >>> picture.last_dose
    300.0
    """

    dose: np.ndarray
    values: np.ndarray
    grid: np.ndarray
    curves: Mapping[str, np.ndarray]
    dose_max: float | None = None
    sigma: np.ndarray | None = None
    quantity: str = "Window area"
    residual_dose: np.ndarray = field(default_factory=lambda: np.zeros(0))
    residuals: Mapping[str, np.ndarray] = field(default_factory=dict)
    r_squared: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        n_window = len(self.window_names)
        n_dose, n_grid = size_of(self, "dose"), size_of(self, "grid")
        n_residual = np.size(self.residual_dose)
        arrays(self, float, (n_window, n_dose), "values", "sigma")
        mappings(self, "curves", (n_window, n_grid))
        mappings(self, "residuals", (n_window, n_residual))
        mappings(self, "r_squared", (n_window,))
        if not self.curves:
            raise ValueError("curves is empty; pass at least the curve of the law.")

    @property
    def last_dose(self) -> float:
        """Where measuring ended."""
        return float(np.max(self.dose) if self.dose_max is None else self.dose_max)
