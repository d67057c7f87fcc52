# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a series that grows, in bins of dose whose number does not.

Each frame has a bin of its own until there are `MOST_BINS`. Then neighbours are joined, two by
two, and later frames fill bins of twice as many. A bin keeps sums from which follow its mean and
what a straight line through its frames leaves: its share in what is known of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Bins at most: with half as many, the bend of a decay within one of them is far below its noise.
MOST_BINS = 48


@dataclass(frozen=True, eq=False)
class BinnedCurves:
    """What the bins say of some curves.

    Parameters
    ----------
    dose
        Mean dose of each bin, ascending, ``(n_bin,)``.
    values
        Mean intensity there, NaN where there is none, ``(n_curve, n_bin)``.
    weight
        Sum of the weights of the frames, of the same shape.
    squares
        Weighed sum of squares that straight lines within the bins leave, ``(n_curve,)``.
    freedom
        Frames beyond the two that each line takes, ``(n_curve,)``.
    """

    dose: np.ndarray
    values: np.ndarray
    weight: np.ndarray
    squares: np.ndarray
    freedom: np.ndarray


class DoseBins:
    """Sums over the frames of growing curves.

    Parameters
    ----------
    n_curve
        Number of curves: windows, times pixels.

    Examples
    --------
    >>> bins = DoseBins(1)
    >>> for dose in range(1, 10_001):
    ...     bins.add(float(dose), np.array([2.0 * dose]))
    >>> found = bins.curves()
    >>> found.dose.size <= MOST_BINS, bool(np.allclose(found.values[0], 2 * found.dose))
    (True, True)
    """

    def __init__(self, n_curve: int) -> None:
        self.n_curve = n_curve
        self.n_frame = 0
        self.n_bin = 0
        self._size = 1
        self._frames = np.zeros(MOST_BINS, dtype=np.int64)
        self._dose = np.zeros(MOST_BINS)
        # Weights are one row for all curves until they differ.
        self._weights = np.zeros((4, MOST_BINS, 1))
        self._values = np.zeros((3, MOST_BINS, n_curve))
        # Sums of squares are taken about the first frame, which is near the others.
        self._origin: np.ndarray | None = None
        self._first_dose = 0.0

    def add(self, dose: float, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Add the frame with the largest dose so far.

        Parameters
        ----------
        dose
            Its cumulative dose.
        values
            Intensities, ``(n_curve,)``; those that are not finite are missing.
        weight
            Weights, ``(n_curve,)``; by default 1.
        """
        present = np.isfinite(values)
        if not present.all():
            weight = np.where(present, 1.0 if weight is None else weight, 0.0)
            values = np.where(present, values, 0.0)
        if weight is None:
            weight = np.ones(1)
        if weight.size > self._weights.shape[-1]:
            self._weights = np.repeat(self._weights, self.n_curve, axis=-1)
        if self._origin is None:
            self._first_dose = dose
            self._origin = np.zeros(self.n_curve)
        # A curve that was missing so far begins here.
        begins = (self._weights[1, : self.n_bin].sum(axis=0) == 0) & (weight > 0)
        if begins.any():
            self._origin = np.where(begins, values, self._origin)
        if self.n_bin == 0 or self._frames[self.n_bin - 1] >= self._size:
            if self.n_bin == MOST_BINS:
                self._join()
            if self.n_bin == 0 or self._frames[self.n_bin - 1] >= self._size:
                self.n_bin += 1
        place = self.n_bin - 1
        x, y = dose - self._first_dose, values - self._origin
        self._frames[place] += 1
        self._dose[place] += dose
        # Of intensities or doses at the limit of float64 nothing comes but NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            for row, factor in enumerate((1.0 * (weight > 0), weight, weight * x, weight * x * x)):
                self._weights[row, place] += factor
            wy = weight * y
            self._values[0, place] += wy
            self._values[1, place] += wy * x
            wy *= y
            self._values[2, place] += wy
        self.n_frame += 1

    def _join(self) -> None:
        """Join neighbours, two by two."""
        half = MOST_BINS // 2
        for array in (self._frames[None], self._dose[None], self._weights, self._values):
            array[:, :half] = array[:, 0::2] + array[:, 1::2]
            array[:, half:] = 0
        self.n_bin = half
        self._size *= 2

    def curves(self, index: np.ndarray | slice = slice(None)) -> BinnedCurves:
        """Means, weights and scatter of some of the curves.

        Parameters
        ----------
        index
            Which of them.
        """
        n_bin = self.n_bin
        dose = self._dose[:n_bin] / np.maximum(self._frames[:n_bin], 1)
        wide = index if self._weights.shape[-1] > 1 else slice(None)
        number, w, wx, wxx = self._weights[:, :n_bin, wide]
        wy, wxy, wyy = self._values[:, :n_bin, index]
        origin = np.zeros(self.n_curve) if self._origin is None else self._origin
        with np.errstate(divide="ignore", invalid="ignore"):
            at, mean = wx / w, wy / w
            sxx, sxy, syy = wxx - wx * at, wxy - wx * mean, wyy - wy * mean
            left = np.where(number > 2, syy - sxy * sxy / np.where(sxx > 0, sxx, np.inf), 0.0)
            if w.shape[-1] > 1:
                # Frames of other weights, or missing ones, move the mean of a curve.
                slope = np.where((number > 1) & (sxx > 0), sxy / sxx, 0.0)
                mean = mean + slope * (dose[:, None] - self._first_dose - at)
        values = np.where(w > 0, mean + origin[index], np.nan)
        freedom = np.maximum(number - 2, 0).sum(axis=0)
        n_curve = values.shape[-1]
        return BinnedCurves(
            dose,
            np.ascontiguousarray(values.T),
            np.ascontiguousarray(np.broadcast_to(w, values.shape).T),
            np.maximum(left, 0.0).sum(axis=0),
            np.broadcast_to(freedom, (n_curve,)).copy(),
        )
