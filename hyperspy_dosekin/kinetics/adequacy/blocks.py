# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examination of a block of a map, from arrays to arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hyperspy_dosekin.kinetics.block import problem_of
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig

from .examination import TESTS, FittedCurves, examine, fitted_curves
from .together import SIZE


def examination_fields(law: KineticLaw) -> tuple[str, ...]:
    """What the rows of `examine_block` hold, in their order."""
    tests = [f"{name} {what}" for what in ("statistic", "p") for name in TESTS]
    bounds = [f"{parameter.name} at bound" for parameter in law.parameters]
    rest = ("correlation", "scatter", "scatter together", "all pixels p")
    return (*tests, "freedom", "gain_spread", "adequate", *bounds, *rest)


def fit_of_block(
    values: np.ndarray,
    estimates: np.ndarray,
    variance: np.ndarray | None = None,
    *shared: np.ndarray,
    scatter: np.ndarray,
    dose: np.ndarray,
    window_names: tuple[str, ...],
    config: ExactConfig,
    offset_free: bool,
    dose_scale: float | None = None,
) -> FittedCurves:
    """The fits of a block of curves as their examination needs them.

    Parameters
    ----------
    values, variance
        Shape ``(…, n_window, n_dose)``.
    estimates
        Parameters of the law in their order, then a and b, ``(…, n_parameter + 2, n_window)``.
    *shared
        Errors that frames share, each of the shape of the values.
    scatter
        What `pixel_scatter` says of all pixels.
    dose, window_names, dose_scale
        As in `DoseProblem`.
    config, offset_free
        Options of the fit, and whether b was estimated.
    """
    if variance is not None:
        variance = np.broadcast_to(variance, values.shape)
        if config.noise != "absolute":
            variance = variance * scatter[:, :1]
    problem = problem_of(values, variance, dose, window_names, dose_scale, shared)
    rows = np.moveaxis(estimates.reshape(-1, *estimates.shape[-2:]), 1, 0)
    law = config.parameters.law
    parameters = {p.name: row for p, row in zip(law.parameters, rows[:-2], strict=True)}
    config = replace(config, offset=None if offset_free else rows[-1], hierarchy=())
    fit = fitted_curves(problem, config, parameters, rows[-2], rows[-1])
    return replace(fit, correlation=scatter[:, 1:])


def examine_block(fit: FittedCurves, scatter: np.ndarray, of_all: np.ndarray) -> np.ndarray:
    """Test the fits of a block of curves.

    Parameters
    ----------
    scatter
        What `pixel_scatter` says of all pixels.
    of_all
        P value of `law_of_all`, ``(n_window,)``.

    Returns
    -------
    numpy.ndarray
        ``(n_curve, len(examination_fields(law)), n_window)``, float64.
    """
    found = examine(fit)
    alike = (scatter[:, 1:] - np.eye(len(scatter))).max(axis=1)
    fields = [found.statistic[name] for name in TESTS] + [found.p_value[name] for name in TESTS]
    fields += [found.freedom, found.gain_spread]
    fields += [(found.adequate & (of_all >= SIZE)).astype(float)]
    fields += [found.at_bound[parameter.name].astype(float) for parameter in fit.law.parameters]
    fields += [
        found.correlation,
        *(
            np.broadcast_to(each, found.freedom.shape)
            for each in (np.sqrt(scatter[:, 0]), alike, of_all)
        ),
    ]
    return np.stack(fields, axis=1)
