# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with whole frames: a gain of all pixels.

The beam current of a frame multiplies all of its pixels alike. Each pixel takes most of it for its
own decay, so that all are wrong together and no single one shows it. What is left over is the same
in all pixels, too, and its mean is known as well as they are many. Its size says how large the
gains are, also those that cannot be seen.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats

from .pixels import PixelNodes, PixelPrior
from .readout import Shared, readout_after

# A gain is found where the residuals of the mean are that unlikely without.
_FOUND = 0.001


def residuals(nodes: PixelNodes, shared: Shared) -> torch.Tensor:
    """Values less what is expected of them after the data, ``(n_dose, n)``."""
    curves = nodes.curves
    weight = torch.softmax(nodes.log_weight(shared, PixelPrior.common(shared)), 0).nan_to_num(0.0)
    after = readout_after(curves, nodes.sums, nodes.free, shared)
    expected = weight * after.amplitude * curves.integrity(nodes.free) + weight * after.offset
    return curves.values - expected.sum(1)


def common_gain(nodes: PixelNodes, shared: Shared) -> float:
    """Standard deviation of a gain of the frames that all pixels have in common.

    Parameters
    ----------
    nodes
        The pixels.
    shared
        Their population.

    Returns
    -------
    0 where the mean over the pixels follows its decay as well as their noise lets it.
    """
    curves = nodes.curves
    weight = curves.weight.numpy()
    total = weight.sum(1)
    seen = total > 0
    left = (weight * residuals(nodes, shared).numpy()).sum(1)[seen] / total[seen]
    level = curves.scale.centre / curves.scale.unit
    values = (weight * curves.values.numpy()).sum(1)[seen] / total[seen] + level
    integrity, slopes = curves.with_slopes(shared.mean[:, None])
    columns = [torch.ones_like(integrity)] if curves.offset is None else []
    taken = torch.cat([*columns, integrity, *slopes], 1).numpy()[seen]
    # In units of the noise of a mean; what looks like another decay is not seen.
    unit = float(shared.sigma) / np.sqrt(total[seen])
    basis = np.linalg.qr(taken / unit[:, None])[0]
    freedom = left.size - basis.shape[1]
    if freedom < 1:
        return 0.0
    white, along = left / unit, values / unit
    squares = float(white @ white - ((basis.T @ white) ** 2).sum())
    if stats.chi2.sf(squares, freedom) > _FOUND:
        return 0.0
    expected = float((along**2).sum() - ((basis.T * along) ** 2).sum())
    # So few residuals leave its size open: Student's t, at the ends of 95 %.
    wider = float(stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975))
    return wider * math.sqrt(max(squares - freedom, 0.0) / expected)
