# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the exact estimator says about a block of curves, in one array and one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.band import intensity_interval
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

from .identifiability import identifiability

#: Level of the intervals that are computed along with the estimates.
LEVEL = 0.95
#: Quantities of those intervals; D½ is in normalised dose.
INTERVALS = ("rate", "exponent", "half_integrity_dose")
#: What the rows of a block hold, in their order.
FIELDS = (
    "rate",
    "exponent",
    "amplitude",
    "offset",
    "residual_sigma",
    "noise_sigma",
    "converged",
    "dead",
    "sd_log_half_dose",
    "profile_width",
    "identifiable",
    *(f"{name} {end}" for name in INTERVALS for end in ("lower", "upper")),
)


def problem_of(
    values: np.ndarray,
    variance: np.ndarray | None,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
) -> DoseProblem:
    """Make a problem of a block ``(…, n_window, n_dose)``, its leading axes flattened."""
    flat = (-1, *values.shape[-2:])
    spread = None if variance is None else np.reshape(variance, flat)
    return DoseProblem(dose_e_per_a2, np.reshape(values, flat), tuple(window_names), spread)


def offset_of(offset: np.ndarray | None, n_window: int) -> np.ndarray | None:
    """Known offsets of a block, its leading axes flattened, or ``None``."""
    return None if offset is None else np.reshape(offset, (-1, n_window))


def fit_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
    config: ExactConfig,
    with_intervals: bool = True,
    band_dose: Sequence[float] = (),
) -> np.ndarray:
    """Fit a block of curves and say what the data determine.

    Parameters
    ----------
    values
        Intensities, ``(…, n_window, n_dose)``.
    variance
        Their noise variance, of the same shape, or ``None``.
    offset
        Known offset, ``(…, n_window)``, or ``None``.
    dose_e_per_a2, window_names
        As in `DoseProblem`.
    config
        Options; its offset is replaced by the one of the block.
    with_intervals
        Whether to compute the posterior and the flags, most of the work.
    band_dose
        Normalised doses at which the interval of the fitted intensity a·C + b is wanted, too; its
        lower ends and then its upper ends follow the other rows.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, len(FIELDS) + 2·n_band_dose, n_window)``, float64, NaN where there is no
        estimate.
    """
    lead, n_window = values.shape[:-2], values.shape[-2]
    problem = problem_of(values, variance, dose_e_per_a2, window_names)
    config = replace(config, offset=offset_of(offset, n_window))
    fit = fit_exact(problem, config)
    found = {name: getattr(fit, name) for name in FIELDS[:8]}
    if with_intervals or len(band_dose):
        # Windows are taken one by one there, so the estimate is, too.
        alone = config if not config.hierarchy else replace(config, hierarchy=())
        quantities = [Quantity(name) for name in INTERVALS]
        posterior = kinetic_posterior(problem, alone, fit=fit)
        summary = posterior.summarise(quantities, [LEVEL])
        flags = identifiability(problem, alone, fit=fit, sd_log_half_dose=summary.sd_log_half_dose)
        found["sd_log_half_dose"] = flags.sd_log_half_dose
        found["profile_width"] = flags.profile_width
        found["identifiable"] = flags.identifiable
        for quantity in quantities:
            ends = summary.intervals[quantity, LEVEL]
            for end, value in zip(("lower", "upper"), ends, strict=True):
                found[f"{quantity.name} {end}"] = value
    block = np.full((values[..., 0, 0].size, len(FIELDS), n_window), np.nan)
    for position, name in enumerate(FIELDS):
        if name in found:
            block[:, position] = found[name]
    if len(band_dose):
        block = with_band(block, intensity_interval(posterior, band_dose, LEVEL))
    return block.reshape(*lead, -1, n_window)


def with_band(block: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Put the ends ``(n, n_window, n_grid)`` of an interval after the rows of a block."""
    return np.concatenate([block, *(np.moveaxis(end, -1, 1) for end in ends)], axis=1)


def interval_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *,
    dose_e_per_a2: np.ndarray,
    window_names: Sequence[str],
    config: ExactConfig,
    quantity: Quantity,
    level: float,
    method: str,
) -> np.ndarray:
    """Interval of one quantity for a block of curves.

    Parameters
    ----------
    values, variance, offset, dose_e_per_a2, window_names, config
        As for `fit_block`.
    quantity
        What the interval is of; doses are in normalised dose.
    level
        Its probability or confidence.
    method
        ``"posterior"`` or ``"profile"``.

    Returns
    -------
    numpy.ndarray
        Lower and upper ends, ``(…, 2, n_window, n_value)``.
    """
    from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile

    lead, n_window = values.shape[:-2], values.shape[-2]
    problem = problem_of(values, variance, dose_e_per_a2, window_names)
    config = replace(config, offset=offset_of(offset, n_window), hierarchy=())
    make = {"posterior": kinetic_posterior, "profile": kinetic_profile}[method]
    ends = make(problem, config).interval(
        quantity.name,
        level,
        dose_level=quantity.dose_level if quantity.name == "dose_at" else None,
        normalised_dose=quantity.normalised_dose,
    )
    shape = (-1, n_window, quantity.n_value)
    return np.stack([np.reshape(end, shape) for end in ends], axis=1).reshape(
        *lead, 2, n_window, quantity.n_value
    )
