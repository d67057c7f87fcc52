# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well each frame is predicted from the others, without fitting anything again."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves

# A frame that alone carries a coefficient has no others to be predicted from.
_LEAST = 1e-6


def log_predictive(curves: PreparedCurves, index: np.ndarray, integrity: Tensor) -> Tensor:
    """Ln of the probability of each frame given the others, summed over the frames.

    With given kinetic parameters a frame is left out of a linear fit, which has a closed form; over
    values θ of the posterior of all frames 1/p(y_j | the others) is the mean of
    1/p(y_j | the others, θ). The offset is free here where it is not known, and the noise white.

    Parameters
    ----------
    index
        Places of some in ``n_curve · n_window``, shape ``(n,)``.
    integrity
        Trajectories of equally likely parameters, ``(n_value, n, n_dose)``.

    Returns
    -------
    Shape ``(n,)``, NaN where too few frames are left over.
    """
    n_dose = curves.values.shape[-1]
    values = torch.as_tensor(curves.values.reshape(-1, n_dose)[index])
    weight = torch.ones_like(values)
    if curves.root_weight is not None:
        weight = torch.as_tensor(curves.root_weight.reshape(-1, n_dose)[index]) ** 2
    taken = torch.zeros_like(weight)
    if not curves.offset_known:
        taken = weight / weight.sum(-1, keepdim=True)
        values = values - (taken * values).sum(-1, keepdim=True)
        integrity = integrity - (taken * integrity).sum(-1, keepdim=True)
    norm = (weight * integrity**2).sum(-1, keepdim=True).clamp(min=1e-30)
    amplitude = (weight * integrity * values).sum(-1, keepdim=True) / norm
    squared = weight * (values - amplitude * integrity) ** 2
    left = (1 - taken - weight * integrity**2 / norm).clamp(min=_LEAST)
    gone = squared / left
    freedom = torch.as_tensor(curves.freedom.reshape(-1)[index])
    if curves.variance_known:
        log_density = 0.5 * (left.log() - gone - math.log(2 * math.pi))
    else:
        others = (freedom - 1).clamp(min=1.0)[:, None]
        total = squared.sum(-1, keepdim=True)
        variance = (total - gone).clamp(min=1e-12 * total) / others
        student = torch.distributions.StudentT(others)
        log_density = student.log_prob((gone / variance).sqrt())
        log_density = log_density + 0.5 * (left.log() - variance.log())
    each = math.log(len(integrity)) - torch.logsumexp(-log_density, 0)
    found = torch.where(weight > 0, each, 0.0).sum(-1)
    return torch.where(freedom > 1, found, torch.nan)
