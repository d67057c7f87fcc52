# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves as the posterior and the profile take them: prepared, with robust weights if asked."""

from __future__ import annotations

from dataclasses import replace

from hyperspy_dosekin.kinetics.curves.preparation import PreparedCurves, prepare_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.objective import Layout
from hyperspy_dosekin.numerics.device import resolve_device

from .robust import robust_weights


def exponent_is_free(config: ExactConfig) -> bool:
    """Whether p is estimated; a shared p is taken as one of each window's own."""
    return config.exponent is None or config.exponent == "shared"


def known_exponent(config: ExactConfig) -> float:
    """Return the known p of options where it is not free."""
    assert isinstance(config.exponent, (int, float))
    return float(config.exponent)


def interval_curves(problem: DoseProblem, config: ExactConfig) -> PreparedCurves:
    """Prepare the curves of a problem for intervals.

    Parameters
    ----------
    problem
        The data.
    config
        Options; offset, exponent, loss, noise and device are used.
    """
    free = exponent_is_free(config)
    curves = prepare_curves(
        problem,
        offset=config.offset,
        exponent_free=free,
        absolute_variance=config.noise == "absolute",
    )
    if config.loss is None:
        return curves
    exponent = "free" if free else known_exponent(config)
    layout = Layout(1, exponent, not curves.offset_known, config.prior)
    device = resolve_device(config.device)
    root, scale = robust_weights(curves, layout, config.loss, device)
    if not curves.variance_known:
        # Relative weights: the noise is marginalised (or profiled) as without them.
        root = root * scale[..., None]
    return replace(curves, root_weight=root)
