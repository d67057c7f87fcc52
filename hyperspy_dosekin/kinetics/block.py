# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the exact estimator says about a block of curves, in one array and one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.band import intensity_interval
from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior, kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

from .identifiability import flags_of

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.posterior.profile import KineticProfile

#: Level of the intervals that are computed along with the estimates.
LEVEL = 0.95
_FITTED = ("amplitude", "offset", "residual_sigma", "noise_sigma", "converged", "dead")
_DOSES = {"half_integrity_dose": 0.5, "critical_dose": np.exp(-1.0)}
_FLAGS = ("sd_log_half_dose", "near_estimate", "identifiable", "log_evidence")


def parameter_names(law: KineticLaw) -> tuple[str, ...]:
    """Names of the parameters of a law."""
    return tuple(parameter.name for parameter in law.parameters)


def interval_names(law: KineticLaw) -> tuple[str, ...]:
    """Quantities of the intervals that a block holds; D½ is in normalised dose."""
    return (*parameter_names(law), "half_integrity_dose")


def interval_fields(law: KineticLaw) -> tuple[str, ...]:
    """What the rows of `examined` hold, in their order."""
    ends = [f"{name} {end}" for name in interval_names(law) for end in ("lower", "upper")]
    return (*_FLAGS, *ends)


def block_fields(law: KineticLaw) -> tuple[str, ...]:
    """What the rows of a block hold, in their order; doses are normalised."""
    return (*parameter_names(law), *_FITTED, *_DOSES, *interval_fields(law))


def problem_of(
    values: np.ndarray,
    variance: np.ndarray | None,
    dose: np.ndarray,
    window_names: Sequence[str],
    dose_scale: float | None = None,
    shared: Sequence[np.ndarray] = (),
) -> DoseProblem:
    """Make a problem of a block ``(…, n_window, n_dose)``, its leading axes flattened."""
    flat = (-1, *values.shape[-2:])
    spread = None if variance is None else np.reshape(variance, flat)
    names = tuple(window_names)
    errors = np.stack([np.reshape(error, flat) for error in shared]) if shared else None
    return DoseProblem(dose, np.reshape(values, flat), names, spread, dose_scale, errors)


def offset_of(offset: np.ndarray | None, n_window: int) -> np.ndarray | None:
    """Known offsets of a block, its leading axes flattened, or ``None``."""
    return None if offset is None else np.reshape(offset, (-1, n_window))


def examined(posterior: KineticPosterior) -> dict[str, np.ndarray]:
    """Intervals and flags of all curves by name, each ``(n_curve, n_window)``."""
    law = posterior.parameters.law
    quantities = [Quantity(name) for name in interval_names(law)]
    summary = posterior.summarise(quantities, [LEVEL])
    flags = flags_of(summary, posterior.parameters)
    found = {
        "sd_log_half_dose": summary.sd_log_half_dose,
        "near_estimate": summary.near_estimate,
        "identifiable": flags.identifiable,
        "log_evidence": summary.log_evidence,
    }
    for quantity in quantities:
        ends = summary.intervals[quantity, LEVEL]
        if quantity.dose_level is not None:
            half = posterior.fit.dose_at(quantity.dose_level)
            ends = posterior.config.dose_error.widened(*ends, half, LEVEL)
        for end, value in zip(("lower", "upper"), ends, strict=True):
            found[f"{quantity.name} {end}"] = value
    return found


def fitted(fit: ExactFit) -> dict[str, np.ndarray]:
    """Estimates of all curves by name, each ``(n_curve, n_window)``."""
    found = dict(fit.parameters)
    found |= {name: getattr(fit, name) for name in _FITTED}
    return found | {name: fit.dose_at(level) for name, level in _DOSES.items()}


def fit_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *shared: np.ndarray,
    dose: np.ndarray,
    window_names: Sequence[str],
    config: ExactConfig,
    dose_scale: float | None = None,
    with_intervals: bool = True,
    made: list[KineticPosterior] | None = None,
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
    *shared
        Errors that frames share, each of the shape of the values.
    dose, window_names, dose_scale
        As in `DoseProblem`.
    config
        Options; its offset is replaced by the one of the block.
    with_intervals
        Whether to compute the posterior and the flags, most of the work.
    made
        The posterior is added to it, for what is asked of it next.

    Returns
    -------
    numpy.ndarray
        Shape ``(…, len(block_fields(law)), n_window)``, float64, NaN where there is no estimate.
    """
    lead, n_window = values.shape[:-2], values.shape[-2]
    problem = problem_of(values, variance, dose, window_names, dose_scale, shared)
    config = replace(config, offset=offset_of(offset, n_window))
    problem, config = with_moved_frames(problem, config)
    fit = fit_exact(problem, config)
    found = fitted(fit)
    if with_intervals:
        posterior = kinetic_posterior(problem, config, fit=fit)
        found |= examined(posterior)
        if made is not None:
            made.append(posterior)
    block = stacked(found, block_fields(config.parameters.law))
    return block.reshape(*lead, block.shape[1], n_window)


def stacked(found: Mapping[str, np.ndarray], fields: Sequence[str]) -> np.ndarray:
    """Rows of a block, ``(n_curve, n_field, n_window)``; NaN for what there is not."""
    nothing = np.full(found["amplitude"].shape, np.nan)
    return np.stack([np.asarray(found.get(name, nothing), dtype=float) for name in fields], axis=1)


def interval_block(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    *shared: np.ndarray,
    dose: np.ndarray,
    window_names: Sequence[str],
    config: ExactConfig,
    quantity: Quantity,
    level: float,
    method: str,
    dose_scale: float | None = None,
) -> np.ndarray:
    """Interval of one quantity for a block of curves.

    Parameters
    ----------
    values, variance, offset, *shared, dose, window_names, config, dose_scale
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
    problem = problem_of(values, variance, dose, window_names, dose_scale, shared)
    config = replace(config, offset=offset_of(offset, n_window))
    if method == "profile":
        # Windows are by themselves there.
        config = replace(config, hierarchy=())
    problem, config = with_moved_frames(problem, config)
    make = {"posterior": kinetic_posterior, "profile": kinetic_profile}[method]
    found = interval_of(make(problem, config, fit=fit_exact(problem, config)), quantity, level)
    return found.reshape(*lead, *found.shape[1:])


def interval_of(
    made: KineticPosterior | KineticProfile, quantity: Quantity, level: float
) -> np.ndarray:
    """Ends of the interval of one quantity, ``(n_curve, 2, n_window, n_value)``."""
    if quantity.name == "intensity":
        assert isinstance(made, KineticPosterior)
        ends = intensity_interval(made, quantity.normalised_dose, level)
    else:
        ends = made.interval(
            quantity.name,
            level,
            dose_level=quantity.dose_level if quantity.name == "dose_at" else None,
            normalised_dose=quantity.normalised_dose,
        )
    if quantity.dose_level is not None:
        estimate = made.fit.dose_at(quantity.dose_level)
        ends = made.config.dose_error.widened(*ends, estimate, level)
    shape = (*made.problem.values.shape[:2], quantity.n_value)
    return np.stack([np.reshape(end, shape) for end in ends], axis=1)
