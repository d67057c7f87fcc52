# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nuisances and models of spectra in another unit."""

from __future__ import annotations

from dataclasses import replace

from hyperspy_dosekin.classification.model import Model
from hyperspy_dosekin.classification.nuisances import Nuisances


def in_units(nuisances: Nuisances, factor: float) -> Nuisances:
    """Nuisances of spectra multiplied by a factor; references are multiplied with them."""
    return replace(
        nuisances,
        noise=nuisances.noise.scaled(factor),
        background_mean=nuisances.background_mean * factor,
        background_covariance=nuisances.background_covariance * factor**2,
    )


def in_data_units(model: Model, unit: float) -> Model:
    """A model for spectra in the units of the data, out of one for spectra divided by `unit`."""
    units, novelty = model.units, model.novelty
    return replace(
        model,
        units=replace(units, centre=units.centre * unit, spread=units.spread * unit),
        nuisances=in_units(model.nuisances, unit),
        novelty=replace(novelty, mean=novelty.mean * unit, sigma=novelty.sigma * unit),
        likelihood=None if model.likelihood is None else model.likelihood.scaled(unit),
    )
