# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves as the posterior and the profile take them: prepared, with robust weights if asked."""

from __future__ import annotations

from dataclasses import replace

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.numerics.device import resolve_device

from .robust import robust_weights


def interval_curves(problem: DoseProblem, config: ExactConfig) -> PreparedCurves:
    """Prepare the curves of a problem for intervals."""
    parameters = config.parameters
    curves = prepare_curves(
        problem,
        offset=config.offset,
        parameters=[parameter.name for parameter in parameters.free],
        absolute_variance=config.noise != "relative",
    )
    if config.loss is None:
        return curves
    root, scale = robust_weights(curves, parameters, config.loss, resolve_device(config.device))
    if not curves.variance_known:
        # Relative weights: the noise is marginalised (or profiled) as without them.
        root = root * scale[..., None]
    return replace(curves, root_weight=root)
