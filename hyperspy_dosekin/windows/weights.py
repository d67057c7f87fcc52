# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas of windows as weighted sums of channels: the trapezoidal rule with ends inside channels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperspy_dosekin.windows.definitions import CHANNEL_TOLERANCE, Window, validate


@dataclass(frozen=True, eq=False)
class WindowWeights:
    """The areas of windows as sums of weighted channels.

    Parameters
    ----------
    names
        One label for each window.
    channels
        The channels that any window needs, a slice of the whole axis.
    weights
        Weight of each of those channels in each window, shape ``(n_window, n_used)``. The areas
        are ``intensity[..., channels] @ weights.T``.

    See Also
    --------
    window_weights : makes one from windows and an axis.
    """

    names: tuple[str, ...]
    channels: slice
    weights: np.ndarray

    @property
    def spans(self) -> tuple[slice, ...]:
        """For each window the slice of `channels` in which its weights are not zero."""
        spans = []
        for weight in self.weights:
            used = np.flatnonzero(weight)
            spans.append(slice(int(used[0]), int(used[-1]) + 1))
        return tuple(spans)

    def squared(self) -> WindowWeights:
        """Return the weights that turn variances of independent channels into those of areas."""
        return WindowWeights(self.names, self.channels, self.weights**2)


def window_weights(
    axis: npt.ArrayLike, windows: Iterable[Window], *, is_binned: bool = False
) -> WindowWeights:
    r"""Return the weights of the channels in the area of each window.

    The area is the exact integral of the straight lines that join the intensities of neighbouring
    channels, from the left limit of the window to the right one. For limits on channels it is the
    trapezoidal rule; between channels it changes continuously with the limits. It is linear in the
    intensities,

    .. math:: A = \int_l^r \sum_i y_i h_i(E)\,dE = \sum_i w_i y_i,

    where :math:`h_i` is 1 on channel *i* and falls to 0 on its neighbours.

    Parameters
    ----------
    axis
        Axis values of the channels, shape ``(n_channels,)``, ascending or descending, evenly spaced
        or not.
    windows
        Windows in the units of the axis.
    is_binned
        Whether intensities are the contents of bins, such as counts per channel. They are divided
        by the width of their channel to give a density, so areas have the unit of the contents.

    Returns
    -------
    WindowWeights
        Weights in the units of the axis, or without unit if `is_binned`.

    Raises
    ------
    ValueError
        If a window is not inside the axis or narrower than one channel.

    Examples
    --------
    >>> window_weights([0, 1, 2, 3], [Window("w", 0.5, 2)]).weights
    array([[0.125, 0.875, 0.5  ]])
    """
    axis = np.asarray(axis, dtype=np.float64)
    windows = tuple(windows)
    validate(windows, axis)
    if axis[0] > axis[-1]:
        # Area does not depend on the direction in which the detector counts its channels.
        ascending = window_weights(axis[::-1], windows, is_binned=is_binned)
        channels = slice(axis.size - ascending.channels.stop, axis.size - ascending.channels.start)
        return WindowWeights(ascending.names, channels, ascending.weights[:, ::-1])
    width = np.gradient(axis)
    weights = _hat_integrals(axis, _on_channels(axis, width, windows))
    if is_binned:
        weights /= width
    used = np.flatnonzero(weights.any(axis=0))
    channels = slice(int(used[0]), int(used[-1]) + 1)
    return WindowWeights(tuple(window.name for window in windows), channels, weights[:, channels])


def _on_channels(axis: np.ndarray, width: np.ndarray, windows: tuple[Window, ...]) -> np.ndarray:
    """Limits of the windows, shape ``(n_window, 2)``, on a channel where they almost are."""
    limits = np.array([(window.left, window.right) for window in windows])
    nearest = np.abs(limits[..., np.newaxis] - axis).argmin(axis=-1)
    near = np.abs(limits - axis[nearest]) <= CHANNEL_TOLERANCE * width[nearest]
    return np.where(near, axis[nearest], limits)


def _hat_integrals(axis: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Integral of each channel's hat function between limits, shape ``(n_window, n_channels)``."""
    # Of each stretch between two channels the part inside the window; the intensity at its middle
    # is a mean of the two channels, weighted by their distance.
    inside = np.clip(limits[:, np.newaxis, :], axis[:-1, np.newaxis], axis[1:, np.newaxis])
    share = (inside[..., 1] - inside[..., 0]) / np.diff(axis)
    middle = inside.mean(axis=-1)
    integrals = np.zeros((len(limits), axis.size))
    integrals[:, :-1] += share * (axis[1:] - middle)
    integrals[:, 1:] += share * (middle - axis[:-1])
    return integrals
