# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the neighbours of a channel predict: polynomials of least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.ndimage import correlate1d

#: Channels on either side of one that a prediction uses.
REACH = 6


@dataclass(frozen=True, eq=False)
class Predictor:
    """Least-squares polynomial through the neighbours of each channel, itself left out.

    Parameters
    ----------
    kernel
        Weights of the channels from `-REACH` to `REACH`, for channels far from the ends.
    first
        Weights of the first channels for each of the first `REACH` channels; those at the other
        end are mirror images.
    last
        The same at the other end.
    variance
        Variance of the prediction in units of that of a channel, shape ``(n_channels,)``.
    """

    kernel: np.ndarray
    first: np.ndarray
    last: np.ndarray
    variance: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Predict every channel of ``(…, n_channels)``."""
        predicted = correlate1d(values, self.kernel, axis=-1, mode="nearest")
        n_end = self.first.shape[1]
        predicted[..., :REACH] = values[..., :n_end] @ self.first.T
        predicted[..., -REACH:] = values[..., -n_end:] @ self.last.T
        return predicted


def predict_all(predictors: Sequence[Predictor], values: np.ndarray) -> list[np.ndarray]:
    """Call several predictors on the same single-precision values, in one matrix product.

    Parameters
    ----------
    predictors
        Of the length of the spectra.
    values
        Shape ``(n_spectra, n_channels)``.

    Returns
    -------
    list of numpy.ndarray
        One array of that shape for each predictor, float32.
    """
    number, n_channels = values.shape
    width = 2 * REACH + 1
    n_inner = n_channels - width + 1
    shifted = np.empty((number, width, n_inner), dtype=np.float32)
    for place in range(width):
        shifted[:, place] = values[:, place : place + n_inner]
    kernels = np.stack([each.kernel for each in predictors]).astype(np.float32)
    # One small product for each spectrum: BLAS then does not start threads of its own.
    inner = np.moveaxis(kernels @ shifted, 1, 0)
    predictions = []
    for each, part in zip(predictors, inner, strict=True):
        predicted = np.empty((number, n_channels), dtype=np.float32)
        predicted[:, REACH:-REACH] = part
        n_end = each.first.shape[1]
        predicted[:, :REACH] = values[:, :n_end] @ each.first.T
        predicted[:, -REACH:] = values[:, -n_end:] @ each.last.T
        predictions.append(predicted)
    return predictions


@lru_cache(maxsize=32)
def predictor(n_channels: int, left_out: tuple[int, ...], reach: int, order: int) -> Predictor:
    """Make a predictor of the mean of the channels `left_out`.

    Parameters
    ----------
    n_channels
        Length of the spectra, at least ``2 * REACH + 1``.
    left_out
        Channels, relative to the predicted one, that must not have a say; the prediction is for
        their mean.
    reach
        Channels used beyond them on either side.
    order
        Of the polynomial.
    """
    used = [
        offset
        for offset in range(min(left_out) - reach, max(left_out) + reach + 1)
        if offset not in left_out
    ]
    kernel = np.zeros(2 * REACH + 1)
    kernel[np.array(used) + REACH] = _polynomial_weights(used, order, left_out)
    n_end = 2 * REACH + max(left_out) + 1
    variance = np.full(n_channels, (kernel**2).sum())
    ends = np.zeros((2, REACH, n_end))
    for place in range(REACH):
        for side, channel in ((0, place), (1, n_end - REACH + place)):
            near = [
                offset
                for offset in range(-channel, n_end - channel)
                if offset not in left_out and abs(offset) <= REACH + max(left_out)
            ]
            weights = _polynomial_weights(
                near,
                min(order, 2 if place * (1 - side) + (REACH - 1 - place) * side > 1 else 1),
                left_out,
            )
            ends[side, place, np.array(near) + channel] = weights
            target = place if side == 0 else n_channels - REACH + place
            variance[target] = (weights**2).sum()
    return Predictor(kernel, ends[0], ends[1], variance)


def _polynomial_weights(offsets: Sequence[int], order: int, left_out: Sequence[int]) -> np.ndarray:
    """Weights of channels in the value of the fitted polynomial, mean over `left_out`."""
    powers = np.arange(order + 1)
    # In units of the reach, for the sake of the condition number.
    scaled = np.asarray(offsets, dtype=float)[:, np.newaxis] / REACH
    wanted = (np.asarray(left_out, dtype=float)[:, np.newaxis] / REACH) ** powers
    return wanted.mean(axis=0) @ np.linalg.pinv(scaled**powers)


@dataclass(frozen=True, eq=False)
class SpikeTests:
    """Predictors for one or two channels, smooth or flexible, and for the level of the noise."""

    single: Predictor
    single_flexible: Predictor
    double: Predictor
    double_flexible: Predictor
    level: Predictor

    @classmethod
    def of(cls, n_channels: int) -> SpikeTests:
        """Make them for spectra of a length."""
        one, two = (0,), (0, 1)
        return cls(
            predictor(n_channels, one, 5, 3),
            predictor(n_channels, one, 4, 5),
            predictor(n_channels, two, 5, 3),
            predictor(n_channels, two, 4, 5),
            predictor(n_channels, one, 6, 1),
        )


def fewest_channels() -> int:
    """Return the length of the shortest spectra that can be searched."""
    return 4 * REACH


def logarithm(spectra: np.ndarray, floor: Any) -> np.ndarray:
    """Logarithm of intensities above a floor, which keeps the smallest ones finite."""
    return np.log(np.maximum(spectra, -0.75 * floor) + floor)
