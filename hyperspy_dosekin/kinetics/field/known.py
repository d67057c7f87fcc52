# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Priors of pixels as plain numbers, which travel through blocks of maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .mixture import Assumed
from .pixels import PixelPrior
from .population import Population


def per_prior(d: int) -> int:
    """Numbers of a normal prior."""
    return d + d * (d + 1) // 2


def assumed(population: Population, says: np.ndarray) -> list[Assumed]:
    """The populations that are averaged over, with the priors of the pixels.

    Parameters
    ----------
    says
        What neighbours say, ``(n, n_design · n_number)``, see `packed`; without numbers the prior
        of a pixel is the population.
    """
    designs, weights = population.designs, population.weights
    if not says.shape[1]:
        return [
            Assumed(each, PixelPrior.common(each), weight=float(weight))
            for each, weight in zip(designs, weights, strict=True)
        ]
    d = population.layout.d
    numbers = torch.as_tensor(says.reshape(len(says), len(designs), -1))
    lower = torch.tril_indices(d, d)
    found = []
    for place, (each, alike) in enumerate(zip(designs, population.shares, strict=True)):
        mean, below = numbers[:, place, :d].T, numbers[:, place, d:]
        factor = torch.zeros(len(says), d, d, dtype=torch.float64)
        factor[:, lower[0], lower[1]] = below
        repeats = population.repeats if alike else 1.0
        prior = PixelPrior(mean.contiguous(), factor)
        found.append(Assumed(each, prior, repeats, float(weights[place])))
    return found


def packed(priors: Sequence[PixelPrior]) -> np.ndarray:
    """Priors of pixels as numbers, ``(n, n_design · (d + d(d + 1)/2))``."""
    d = len(priors[0].mean)
    lower = torch.tril_indices(d, d)
    parts = [torch.cat([prior.mean.T, prior.factor[:, lower[0], lower[1]]], 1) for prior in priors]
    return torch.cat(parts, 1).numpy()
