# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a series that grows, in bins of dose whose number does not.

Each frame has a bin of its own until there are `MOST_BINS`. Then some neighbours are joined, those
that are nearest to each other for the dose that they have had: a decay is fast where the dose is
small. A bin keeps sums from which follow its mean and what a straight line through its frames
leaves: its share in what is known of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Bins at most; what a decay bends within one of them is taken into account to third order.
MOST_BINS = 48
# Pairs of bins that are joined at once: each time the decay is found anew at most bins.
_JOINED = 16


@dataclass(frozen=True, eq=False)
class BinnedCurves:
    """What the bins say of some curves.

    Parameters
    ----------
    dose
        Mean dose of each bin, ascending, ``(n_bin,)``.
    width
        Standard deviation of the doses in each bin, ``(n_bin,)``.
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
    width: np.ndarray
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
        self._frames = np.zeros(MOST_BINS, dtype=np.int64)
        self._dose = np.zeros(MOST_BINS)
        self._square = np.zeros(MOST_BINS)
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
        if self.n_bin == MOST_BINS:
            self._join()
        place = self.n_bin
        self.n_bin += 1
        x = dose - self._first_dose
        self._frames[place] += 1
        self._dose[place] += dose
        self._square[place] += x * x
        # Of intensities or doses at the limit of float64 nothing comes but NaN.
        with np.errstate(over="ignore", invalid="ignore"):
            y = values - self._origin
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
        dose, width = self._places()
        before = 2 * dose[0] - dose[1]
        low, high = dose - np.sqrt(3) * width, dose + np.sqrt(3) * width
        free, first = np.ones(MOST_BINS, dtype=bool), np.ones(MOST_BINS, dtype=bool)
        for left in np.argsort((high[1:] - low[:-1]) / (dose[1:] - before), kind="stable"):
            if free[left] and free[left + 1]:
                free[left : left + 2] = first[left + 1] = False
            if np.count_nonzero(first) == MOST_BINS - _JOINED:
                break
        begin = np.flatnonzero(first)
        plain = (self._frames[None], self._dose[None], self._square[None])
        for array in (*plain, self._weights, self._values):
            array[:, : begin.size] = np.add.reduceat(array, begin, axis=1)
            array[:, begin.size :] = 0
        self.n_bin = begin.size

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the doses in each bin."""
        frames = np.maximum(self._frames[: self.n_bin], 1)
        dose = self._dose[: self.n_bin] / frames
        spread = self._square[: self.n_bin] / frames - (dose - self._first_dose) ** 2
        return dose, np.sqrt(np.where(frames > 1, np.maximum(spread, 0.0), 0.0))

    def curves(self, index: np.ndarray | slice = slice(None)) -> BinnedCurves:
        """Means, weights and scatter of some of the curves.

        Parameters
        ----------
        index
            Which of them.
        """
        n_bin = self.n_bin
        dose, width = self._places()
        wide = index if self._weights.shape[-1] > 1 else slice(None)
        number, w, wx, wxx = self._weights[:, :n_bin, wide]
        wy, wxy, wyy = self._values[:, :n_bin, index]
        origin = np.zeros(self.n_curve) if self._origin is None else self._origin
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            at, mean = wx / w, wy / w
            sxx, sxy, syy = wxx - wx * at, wxy - wx * mean, wyy - wy * mean
            left = np.where(number > 2, syy - sxy * sxy / np.where(sxx > 0, sxx, np.inf), 0.0)
            if w.shape[-1] > 1:
                # Frames of other weights, or missing ones, move the mean of a curve.
                mean = mean + _slope(at, mean) * (dose[:, None] - self._first_dose - at)
        values = np.where(w > 0, mean + origin[index], np.nan)
        freedom = np.maximum(number - 2, 0).sum(axis=0)
        n_curve = values.shape[-1]
        return BinnedCurves(
            dose,
            width,
            np.ascontiguousarray(values.T),
            np.ascontiguousarray(np.broadcast_to(w, values.shape).T),
            np.maximum(left, 0.0).sum(axis=0),
            np.broadcast_to(freedom, (n_curve,)).copy(),
        )


def _slope(at: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Slopes from the bins on either side, ``(n_bin, n)``; 0 where one of them is missing."""
    if len(at) < 3:
        return np.zeros_like(mean)
    inner = (mean[2:] - mean[:-2]) / (at[2:] - at[:-2])
    slope = np.concatenate([inner[:1], inner, inner[-1:]])
    return np.where(np.isfinite(slope), slope, 0.0)
