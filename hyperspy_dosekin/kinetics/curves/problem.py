# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a kinetics fit, checked once, before any estimator sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class DoseProblem:
    """Intensities of several windows against cumulative dose.

    Parameters
    ----------
    dose_e_per_a2
        Cumulative dose of the frames, shape ``(n_dose,)``, in e⁻/Å², counted from true zero,
        not negative, ascending; two frames may have the same dose.
    values
        Intensities, shape ``(n_curve, n_window, n_dose)``, any unit. NaN marks a missing frame.
    window_names
        One label for each window, all different.
    variance
        Noise variance of `values`, of the same shape, or ``None`` where it is not known.

    Raises
    ------
    ValueError
        If shapes disagree, doses are negative, not finite or not ascending, or names repeat.
    """

    dose_e_per_a2: np.ndarray
    values: np.ndarray
    window_names: tuple[str, ...]
    variance: np.ndarray | None = None

    def __post_init__(self) -> None:
        # Contiguous, so that sums do not round differently for sorted and unsorted data.
        dose = np.ascontiguousarray(self.dose_e_per_a2, dtype=np.float64)
        values = np.ascontiguousarray(self.values, dtype=np.float64)
        names = tuple(str(name) for name in self.window_names)
        if values.ndim != 3 or values.shape[1:] != (len(names), dose.size):
            raise ValueError(
                f"values of shape {values.shape} do not fit {len(names)} windows and {dose.size} "
                "doses; pass an array of shape (n_curve, n_window, n_dose)."
            )
        if not np.all(np.isfinite(dose)) or np.any(dose < 0) or np.any(np.diff(dose) < 0):
            raise ValueError(
                f"doses {dose.tolist()} must be finite, not negative and ascending; sort the "
                "frames by their cumulative dose, counted from zero."
            )
        if dose.size and dose[-1] == 0:
            raise ValueError("all doses are zero; set the cumulative dose of each frame.")
        if len(set(names)) != len(names):
            raise ValueError(f"window names {names} repeat; give each window its own name.")
        if self.variance is not None:
            variance = np.ascontiguousarray(self.variance, dtype=np.float64)
            if variance.shape != values.shape:
                raise ValueError(
                    f"variance of shape {variance.shape} must have the shape {values.shape} "
                    "of the values."
                )
            object.__setattr__(self, "variance", variance)
        object.__setattr__(self, "dose_e_per_a2", dose)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "window_names", names)

    def windows(self, places: Sequence[int]) -> DoseProblem:
        """The problem of some of the windows, by their places."""
        chosen = list(places)
        return replace(
            self,
            values=self.values[:, chosen],
            window_names=tuple(self.window_names[place] for place in chosen),
            variance=None if self.variance is None else self.variance[:, chosen],
        )

    @property
    def dose_max(self) -> float:
        """Largest dose, in e⁻/Å²: the unit of normalised dose."""
        return float(self.dose_e_per_a2[-1])

    @property
    def normalised_dose(self) -> np.ndarray:
        """Dose divided by the largest dose, shape ``(n_dose,)``, no unit."""
        return self.dose_e_per_a2 / self.dose_max

    @property
    def usable(self) -> np.ndarray:
        """Boolean array, shape of `values`: ``True`` where a frame can be used."""
        usable = np.isfinite(self.values)
        if self.variance is not None:
            usable &= np.isfinite(self.variance) & (self.variance >= 0)
        return usable

    @property
    def distinct_doses(self) -> np.ndarray:
        """Number of distinct usable doses of each curve, shape ``(n_curve, n_window)``."""
        _, group = np.unique(self.dose_e_per_a2, return_inverse=True)
        counted = np.zeros((*self.values.shape[:2], group.max() + 1), dtype=bool)
        usable = self.usable
        for index, member in enumerate(group):
            counted[..., member] |= usable[..., index]
        return counted.sum(axis=-1)
