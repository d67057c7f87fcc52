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
    dose
        Cumulative dose of the frames, shape ``(n_dose,)``, in any unit, counted from true zero,
        not negative, ascending; two frames may have the same dose.
    values
        Intensities, shape ``(n_curve, n_window, n_dose)``, any unit. NaN marks a missing frame.
    window_names
        One label for each window, all different.
    variance
        Noise variance of `values`, of the same shape, or ``None`` where it is not known.
    dose_scale
        Dose that counts as 1 in rates and priors, in the unit of `dose`; the largest dose if not
        given. Give it, the same for all, where series of different length are compared or grow:
        a prior of k per largest dose would move with their length.
    shared_error
        Errors that the frames share, such as those of processing, each one standard deviation
        large and of its own: their covariance is diag(variance) + Σ e eᵀ. Shape
        ``(n_error, n_curve, n_window, n_dose)``, in the unit of the values.

    Raises
    ------
    ValueError
        If shapes disagree, doses are negative, not finite or not ascending, names repeat, or the
        dose scale is not positive.
    """

    dose: np.ndarray
    values: np.ndarray
    window_names: tuple[str, ...]
    variance: np.ndarray | None = None
    dose_scale: float | None = None
    shared_error: np.ndarray | None = None

    def __post_init__(self) -> None:
        # Contiguous, so that sums do not round differently for sorted and unsorted data.
        dose = np.ascontiguousarray(self.dose, dtype=np.float64)
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
        if self.shared_error is not None:
            errors = np.ascontiguousarray(self.shared_error, dtype=np.float64)
            if errors.shape[1:] != values.shape or errors.ndim != 4:
                raise ValueError(
                    f"shared_error of shape {errors.shape} must have the shape {values.shape} of "
                    "the values behind its first axis, that of the errors."
                )
            object.__setattr__(self, "shared_error", errors)
        if self.dose_scale is not None and not 0 < self.dose_scale < np.inf:
            raise ValueError(
                f"dose_scale={self.dose_scale!r} must be a positive dose in the unit of the dose "
                "axis, or None for the largest dose."
            )
        object.__setattr__(self, "dose", dose)
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
            shared_error=None if self.shared_error is None else self.shared_error[:, :, chosen],
        )

    def curves(self, part: slice | np.ndarray) -> DoseProblem:
        """The problem of some of the curves, by a slice or their places."""
        return replace(
            self,
            values=self.values[part],
            variance=None if self.variance is None else self.variance[part],
            shared_error=None if self.shared_error is None else self.shared_error[:, part],
        )

    @property
    def dose_max(self) -> float:
        """Largest dose."""
        return float(self.dose[-1])

    @property
    def scale(self) -> float:
        """Dose that counts as 1: `dose_scale`, or the largest dose."""
        return self.dose_max if self.dose_scale is None else float(self.dose_scale)

    @property
    def reach(self) -> float:
        """Largest dose in units of `scale`."""
        return self.dose_max / self.scale

    @property
    def normalised_dose(self) -> np.ndarray:
        """Dose divided by `scale`, shape ``(n_dose,)``, no unit."""
        return self.dose / self.scale

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
        _, group = np.unique(self.dose, return_inverse=True)
        counted = np.zeros((*self.values.shape[:2], group.max() + 1), dtype=bool)
        usable = self.usable
        for index, member in enumerate(group):
            counted[..., member] |= usable[..., index]
        return counted.sum(axis=-1)
