# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How strongly some channels of a spectrum stand out of what the others let expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from hyperspy_dosekin.processing.spikes.resolution import ASKED, deviations

if TYPE_CHECKING:
    from hyperspy_dosekin.processing.spikes.other_spectra import OtherSpectra

#: Channels side by side that are replaced at once: spikes of one or two, and two such.
WIDTHS = (1, 2, 3, 4)
#: Few counts are skewed to the high side: standard deviations to add, in units of the skewness.
PER_SKEWNESS = 2.0
#: Larger deviations pull no harder at the coefficients.
CLIPPED = 4.0
#: Several channels stand out more than one does, so that more can be asked of them.
_MARGIN = {1: 0.0, 2: 0.8, 3: 2.0, 4: 3.0}
#: Standard deviations by which each channel of a pair has to exceed what is expected.
EACH = 2.5


@dataclass(frozen=True, eq=False)
class Residuals:
    """What the model leaves of spectra, all of shape ``(n_spectra, n_channels)``.

    Parameters
    ----------
    deviation
        In units of `sigma`.
    quiet
        The same without single channels that stand out as nothing of the specimen can.
    sigma
        Standard deviation of the noise.
    skewness
        Of the noise.
    leverage
        As in `Placed`.
    available
        Whether the model covers the channel.
    whitened, group
        Of `Placed` for each place of the model, shape ``(n_place, n_component, n_channels)``, and
        the place of each spectrum, shape ``(n_spectra,)``.
    doubt
        Share of the variance that noise of the components has.
    strange
        Rows that the model does not describe.
    """

    deviation: np.ndarray
    quiet: np.ndarray
    sigma: np.ndarray
    skewness: np.ndarray
    leverage: np.ndarray
    available: np.ndarray
    whitened: np.ndarray
    group: np.ndarray
    doubt: np.ndarray
    strange: np.ndarray


def judge(
    left: Residuals,
    protected: np.ndarray,
    row: np.ndarray,
    channel: np.ndarray,
    width: int,
    finder: OtherSpectra,
) -> tuple[np.ndarray, ...]:
    """Row, channel, width, strength, excess and variance of what is put there."""
    n_channels = protected.shape[-1]
    inside = channel[:, np.newaxis] + np.arange(width)
    offsets = np.concatenate([np.arange(-ASKED, 0), np.arange(width, width + ASKED)])
    around = channel[:, np.newaxis] + offsets
    at = (row[:, np.newaxis], np.clip(around, 0, n_channels - 1))
    usable = (around >= 0) & (around < n_channels) & left.available[at] & ~protected[at]
    n_left = np.cumprod(usable[:, ASKED - 1 :: -1], axis=-1).sum(axis=-1)
    n_right = np.cumprod(usable[:, ASKED:], axis=-1).sum(axis=-1)
    beside = np.where(usable, left.quiet[at], 0.0)
    expectation = deviations(finder.model.fwhm, width).judge(beside, n_left, n_right)

    here = (row[:, np.newaxis], inside)
    score = left.deviation[here]
    clipped = np.clip(score, -CLIPPED, CLIPPED)
    # What the channels themselves have had to say in the coefficients is taken back.
    own_say = left.whitened[left.group[row][:, np.newaxis], :, inside]
    matrix = np.matmul(own_say, np.swapaxes(own_say, -1, -2))
    own = np.linalg.inv(np.eye(width) - matrix) - np.eye(width)
    score = score + np.matmul(own, clipped[..., np.newaxis])[..., 0]
    more = own.mean(axis=(-2, -1))
    own_variance = np.diagonal(own, axis1=-2, axis2=-1)

    # What is there besides the model is noisy too.
    shot = finder.gain / left.sigma[here].mean(axis=-1)
    expectation = expectation.noisier(shot, beside.max(axis=-1) - CLIPPED)
    tail = expectation.tail(score.mean(axis=-1), more)
    skewness = left.skewness[here].mean(axis=-1) / np.sqrt(width)
    limit = finder.threshold + _MARGIN[width] + PER_SKEWNESS * skewness
    strength = log_ndtr(-limit) - tail
    excess = score - expectation.value()
    spread = expectation.spread() + own_variance + left.doubt[here]
    if width > 1:
        each = excess / np.sqrt(1 + spread)
        strength = np.where(each.min(axis=-1) > EACH, strength, 0.0)
    pad = ((0, 0), (0, max(WIDTHS) - width))
    return (
        row,
        channel,
        np.full(len(row), width),
        strength,
        np.pad(excess, pad),
        np.pad(spread, pad),
    )
