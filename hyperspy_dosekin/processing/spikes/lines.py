# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells a line of the specimen from a spike: the channels beside have their share of it."""

from __future__ import annotations

import numpy as np

#: Channels on either side that tell a line of the specimen, and standard deviations it takes.
BESIDE, _LINE = 3, 2.5
#: Lines are at least as wide as the zero-loss peak; its width is known to about a tenth.
_NARROWEST = 0.9


def line_height(
    residual: np.ndarray, width: int, row: np.ndarray, channel: np.ndarray, fwhm: float
) -> tuple[np.ndarray, float]:
    """Height that a line of the specimen may have in channels that exceed what is expected.

    The zero-loss peak has broadened it, so that the channels beside have their share of it, which
    of a spike they have not. It is fitted to them; where it does not lie in the middle, the next
    two channels alone say more.

    Parameters
    ----------
    residual
        In standard deviations, shape ``(n_rows, n_channels)``.
    width
        Channels in question.
    row, channel
        The first of them, shape ``(n,)``.
    fwhm
        Width of the zero-loss peak in channels.

    Returns
    -------
    height : numpy.ndarray
        Over the channels in question, shape ``(n,)``, zero where it is not significant.
    spread : float
        Its standard deviation.
    """
    sigma = _NARROWEST * max(fwhm, 1.0) / np.sqrt(8 * np.log(2))
    distance = np.arange(1, BESIDE + 1) + 0.5 * (width - 1)
    shape = np.exp(-0.5 * (distance / sigma) ** 2)
    weights = 0.5 * shape / (shape**2).sum()
    own = np.exp(-0.5 * ((np.arange(width) - 0.5 * (width - 1)) / sigma) ** 2).mean()
    beside = np.arange(BESIDE)
    left, right = channel[:, np.newaxis] - 1 - beside, channel[:, np.newaxis] + width + beside
    last = residual.shape[-1] - 1
    left, right = (
        # Beyond the ends there is nothing.
        np.where(
            (place >= 0) & (place <= last),
            residual[row[:, np.newaxis], np.clip(place, 0, last)],
            0.0,
        )
        for place in (left, right)
    )
    both = left + right
    height, next_two = both @ weights, 0.5 * both[:, 0] / shape[0]
    spread = np.sqrt(2 * (weights**2).sum())
    significant = height > _LINE * spread
    significant |= next_two > _LINE * np.sqrt(0.5) / shape[0]
    line = np.where(significant, np.maximum(np.maximum(height, next_two), 0.0), 0.0)
    return own * line, float(own * spread)
