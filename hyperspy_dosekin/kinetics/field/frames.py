# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with whole frames: unequal noise, a gain of all pixels, and a jump of all.

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

from .curves import SharedCurves
from .pixels import PixelNodes, PixelPrior
from .readout import Shared, readout_after

# A gain, unequal noise, or more than a jump is found where residuals are that unlikely without.
_FOUND = 0.001
# Share of the noise of a frame that is left over at least, noise of the largest intensity that is
# tried, over the rest, and the change of ln noise that is none.
_LEAST_FREE, _GROWTH, _SETTLED = 0.05, np.array([0.0, *np.geomspace(0.02, 500, 80)]), 0.03


def _expected(nodes: PixelNodes, shared: Shared) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a·C + b after the data at the frames, ``(n_dose, n)``."""
    curves = nodes.curves
    weight = torch.softmax(nodes.log_weight(shared, PixelPrior.common(shared)), 0).nan_to_num(0.0)
    after = readout_after(curves, nodes.sums, nodes.free, shared)
    integrity = curves.integrity(nodes.free)
    value = after.amplitude * integrity + after.offset
    spread = (after.var_a * integrity + 2 * after.cov_ab) * integrity + after.var_b
    mean = (weight * value).sum(1)
    variance = (weight * (value**2 + spread)).sum(1) - mean**2
    return mean.numpy(), variance.clamp(min=0).numpy()


def frame_noise(nodes: PixelNodes, shared: Shared) -> np.ndarray | None:
    """Noise variance of the frames over that of weight 1, ``(n_dose,)``; ``None`` for no change.

    Noise that grows with the intensity, as that of counts or of a gain of every pixel does, is
    larger in frames in which more is left: 1 + β ȳ² with one number β. Frames of their own would
    not do: those at the ends are hardly left over.

    Parameters
    ----------
    nodes
        The pixels, with the frame noise that is known of them so far.
    """
    curves = nodes.curves
    mean, variance = _expected(nodes, shared)
    usable = curves.weight.numpy() > 0
    count = usable.sum(1)
    if (count < 2).any():
        return None
    values = np.where(usable, curves.values.numpy(), 0.0)
    left = np.where(usable, values - mean, 0.0)
    # What all pixels have in common is no noise.
    left = np.where(usable, left - (left.sum(1) / count)[:, None], 0.0)
    before = np.array(curves.scale.frame_noise or np.ones(len(count)))
    known = before * float(shared.sigma) ** 2
    # A frame that the fit follows leaves less than its noise.
    free = 1 - np.where(usable, variance, 0.0).sum(1) / count / known
    free = np.clip(free, _LEAST_FREE, 1.0)
    found = np.log(np.maximum((left**2).sum(1) / (count - 1) / free, 1e-300))
    precision = 0.5 * (count - 1) * free
    level = values.sum(1) / count + curves.scale.centre / curves.scale.unit
    shapes = np.log(1 + _GROWTH[:, None] * (level / np.abs(level).max()) ** 2)
    shapes -= (shapes @ precision / precision.sum())[:, None]
    found -= precision @ found / precision.sum()
    misfit = ((found - shapes) ** 2) @ precision
    best = int(misfit.argmin())
    if not curves.scale.frame_noise and misfit[0] - misfit[best] < stats.chi2.isf(_FOUND, 1):
        return None
    noise = np.exp(shapes[best])
    return None if np.abs(np.log(noise / before)).max() < _SETTLED else noise


def common_gain(nodes: PixelNodes, shared: Shared) -> float:
    """Standard deviation of a gain of the frames that all pixels have in common.

    Returns
    -------
    0 where the mean over the pixels follows its decay as well as their noise lets it.
    """
    curves = nodes.curves
    weight = curves.weight.numpy()
    total = weight.sum(1)
    seen = total > 0
    left = curves.values.numpy() - _expected(nodes, shared)[0]
    left = (weight * left).sum(1)[seen] / total[seen]
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


def only_a_jump(curves: SharedCurves, sigma: float) -> tuple[float, float] | None:
    """Doses between which all that the pixels show has happened; ``None`` where they show more.

    A jump of all pixels from one frame to the next, with nothing in between, says no more of any
    decay. Where nothing changes at all it may be anywhere.

    Parameters
    ----------
    sigma
        Standard deviation of the noise of weight 1, in the units of the curves.
    """
    weight, values = curves.weight.numpy(), curves.values.numpy()
    freedom = int((weight.sum(1) > 0).sum()) - 2
    places = []
    for place in range(1, len(weight)) if freedom > 0 else ():
        before = np.arange(len(weight))[:, None] < place
        total = np.stack([np.where(part, weight, 0.0).sum(0) for part in (before, ~before)])
        level = np.stack(
            [np.where(part, weight * values, 0.0).sum(0) for part in (before, ~before)]
        )
        level /= np.maximum(total, 1e-300)
        # Noise about two levels is independent of their difference, which knows size and sign.
        jump = np.where((total > 0).all(0), level[0] - level[1], 0.0)
        left = (jump * weight * (values - np.where(before, *level))).sum(1)
        expected = sigma**2 * (jump**2 * weight).sum(1)
        squares = float((left**2 / np.where(expected > 0, expected, np.inf)).sum())
        if stats.chi2.sf(squares, freedom) > _FOUND:
            places.append(place)
    if not places:
        return None
    return float(curves.dose[places[0] - 1]), float(curves.dose[places[-1]])
