# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise that neighbouring channels share, as where spectra were interpolated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperspy_dosekin.numerics.photon_transfer import PhotonTransfer, joined, photon_transfer

#: Beyond this factor, for more than this share of the channels, the data win.
FACTOR, _SHARE = 2.0, 1 / 3
#: Noise of joined channels that is larger by so much is correlated, and not as small as it looks.
_CORRELATED = 3.0
_INDEPENDENT = 1.5
#: Joined elements that tell it; without them, correlation does not explain a smaller ratio.
_FEWEST_JOINED, _ABSURD = 60, 0.01
#: Channels that are joined to see how much more the noise of a window is.
_WINDOW = 8


def noise_of_windows(
    found: PhotonTransfer, boxes: list[np.ndarray], variances: list[np.ndarray]
) -> PhotonTransfer | None:
    """The noise of many channels together, for each of them, where they are correlated.

    Interpolated channels scatter less than their noise, since they share it, and a window of them
    scatters more than so many channels of their own.
    """
    # A single spectrum has structure, which more joined channels take for noise.
    if found.ratio >= 1 / FACTOR or any(box.size == box.shape[-1] for box in boxes):
        return None
    half, wide = (
        photon_transfer(joined(boxes, n), joined(variances, n), fewest=_FEWEST_JOINED)
        for n in (_WINDOW // 2, _WINDOW)
    )
    if half is None or wide is None or wide.ratio < _CORRELATED * found.ratio:
        return None
    # What is missing of a sum falls as one over its channels.
    factor = float(np.clip(2 - half.ratio / wide.ratio, 1.0, 2.0))
    each = replace(
        wide,
        level=wide.level / _WINDOW,
        variance=wide.variance / _WINDOW,
        offset=wide.offset / _WINDOW,
    )
    return each.times(factor)


def believed_noise(
    found: PhotonTransfer, boxes: list[np.ndarray], variances: list[np.ndarray]
) -> PhotonTransfer | None:
    """What the data say where they win over the claim, else ``None``."""
    if found.share_beyond(FACTOR) <= _SHARE:
        return None
    if found.ratio >= 1:
        return found
    # Interpolated channels scatter less than their noise, since they share it. Pairs tell; in more
    # joined channels of a single spectrum there is structure.
    pairs, wide = (
        photon_transfer(joined(boxes, n), joined(variances, n), fewest=_FEWEST_JOINED)
        for n in (2, 4)
    )
    if pairs is not None and pairs.ratio < min(1 / FACTOR, _INDEPENDENT * found.ratio):
        return found
    if wide is None:
        return found if boxes[0].shape[-1] < 64 or found.ratio < _ABSURD else None
    if not wide.ratio < 1 / FACTOR:
        return None
    growth = wide.ratio / found.ratio
    return found.times(growth) if growth >= _CORRELATED else found
