# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps from one set of nuisances to the next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hyperspy_dosekin.classification.nuisances import Nuisances

#: Steps of a width in a round are taken to this power, until the last rounds, which are averaged.
_HURRY = 1.9
#: A spectrum whose χ² lies so many standard deviations above its mean takes no part.
_OUTLIER = 6.0


def hurried(before: Nuisances, after: Nuisances) -> Nuisances:
    """The step from one set of widths to the next, prolonged."""
    root = np.linalg.cholesky(before.background_covariance)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ after.background_covariance @ inverse.T)
    side = root @ vectors
    step = np.clip(values, 0.25, 4.0) ** _HURRY
    return replace(
        after,
        background_covariance=(side * step) @ side.T,
        scale_sd=after.scale_sd * (after.scale_sd / before.scale_sd) ** (_HURRY - 1),
        shift_sd_ev=after.shift_sd_ev * (after.shift_sd_ev / before.shift_sd_ev) ** (_HURRY - 1),
    )


def mean_of(rounds: list[Nuisances]) -> Nuisances:
    """Mean of the last rounds, which fluctuate with the draws."""

    def mean(name: str) -> Any:
        return np.mean([getattr(each, name) for each in rounds], axis=0)

    return replace(
        rounds[-1],
        **{name: float(mean(name)) for name in ("scale_mean", "shift_mean_ev")},
        **{name: float(mean(name)) for name in ("scale_sd", "shift_sd_ev")},
        **{
            name: mean(name) for name in ("background_mean", "background_covariance", "class_share")
        },
    )


def moments(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted mean and standard deviation."""
    mean = float(np.average(values, weights=weight))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))


def regular(misfit: np.ndarray, n_channels: int) -> np.ndarray:
    """Spectra that the references explain about as well as the typical one."""
    typical = float(np.median(misfit))
    return misfit <= typical * (1 + _OUTLIER * np.sqrt(2 / n_channels))
