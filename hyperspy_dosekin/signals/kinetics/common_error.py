# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that all pixels have in common, where pixels share what they tell.

Many pixels together know a half-integrity dose better than one, but not better than what is wrong
with all of them alike, such as a drift of the normalisation. How far the parameters move with such
an error of one standard deviation is taken from the mean over the pixels; it is added in
quadrature to what the noise leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from hyperspy_dosekin.kinetics.block import fitted, interval_names
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.field.block import NEAR_BY
from hyperspy_dosekin.kinetics.identifiability import LEAST_NEAR
from hyperspy_dosekin.kinetics.posterior.posterior import NEAR
from hyperspy_dosekin.lazy.blocks import compute

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.signals.kinetics.series_data import SeriesData


def is_logarithmic(law: KineticLaw, name: str) -> bool:
    """Whether an interval of a quantity is widened in its logarithm."""
    if name in ("half_integrity_dose", "dose_at"):
        return True
    return any(each.name == name and each.logarithmic for each in law.parameters)


def shifts_of(data: SeriesData, config: ExactConfig, offset: Any) -> dict[str, np.ndarray]:
    """How far the parameters of each window move with an error of one standard deviation.

    Parameters
    ----------
    data
        A series with space axes.
    config
        Options.
    offset
        Known offset of each pixel, ``(…space…, window)``, or ``None``.

    Returns
    -------
    By name of the quantity ``(n_window,)``, of D½ and the rate in the logarithm; empty where pixels
    have no error in common. Infinite where the mean then never falls to one half, or cannot be
    fitted.
    """
    if not data.shared_errors:
        return {}
    mean = data.averaged()
    problem = replace(mean.problem(), shared_error=None)
    known = None
    if offset is not None:
        space = tuple(range(np.ndim(offset) - 1))
        known = np.asarray(compute(offset), dtype=np.float64).mean(axis=space)[None]
    config = replace(config, offset=known, hierarchy=())
    names = interval_names(config.parameters.law)
    square = {name: np.zeros(len(data.window_names)) for name in names}
    for error in mean.shared_errors.values():
        ends = []
        for sign in (1.0, -1.0):
            moved = problem.values + sign * np.asarray(error)[None]
            found = fitted(fit_exact(replace(problem, values=moved), config))
            with np.errstate(divide="ignore", invalid="ignore"):
                ends.append(
                    {
                        name: np.log(found[name][0])
                        if is_logarithmic(config.parameters.law, name)
                        else found[name][0]
                        for name in names
                    }
                )
        for name in names:
            with np.errstate(invalid="ignore"):
                half = 0.5 * (ends[0][name] - ends[1][name])
            square[name] += np.where(np.isfinite(half), half, np.inf) ** 2
    return {name: np.sqrt(each) for name, each in square.items()}


def widened(
    lower: np.ndarray,
    upper: np.ndarray,
    estimate: np.ndarray,
    shift: np.ndarray,
    level: float,
    *,
    logarithmic: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of an interval with a shift in quadrature about the estimate; open ends stay open.

    Parameters
    ----------
    lower, upper, estimate
        ``(…, n_window)``.
    shift
        Standard deviation, ``(n_window,)``.
    level
        Probability of the interval.
    logarithmic
        Whether it is one of the logarithm.
    """
    reach = shift * special.ndtri(0.5 * (1 + level))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if logarithmic:
            low = estimate * np.exp(-np.hypot(np.log(lower / estimate), reach))
            high = estimate * np.exp(np.hypot(np.log(upper / estimate), reach))
        else:
            low = estimate - np.hypot(estimate - lower, reach)
            high = estimate + np.hypot(upper - estimate, reach)
    return np.where(np.isnan(low), lower, low), np.where(np.isnan(high), upper, high)


def widened_fields(
    fields: np.ndarray,
    *,
    names: tuple[str, ...],
    law: KineticLaw,
    shifts: Mapping[str, np.ndarray],
    level: float,
) -> np.ndarray:
    """The fields of maps ``(…, n_field, n_window)`` with wider intervals, and flags that know it.

    Parameters
    ----------
    fields
        As the fit made them.
    names
        What they hold.
    law
        The law.
    shifts
        See `shifts_of`.
    level
        Probability of the stored intervals.
    """
    fields = fields.copy()
    row = {name: place for place, name in enumerate(names)}
    for name, shift in shifts.items():
        ends = [row[f"{name} {end}"] for end in ("lower", "upper")]
        lower, upper = widened(
            fields[..., ends[0], :],
            fields[..., ends[1], :],
            fields[..., row[name], :],
            shift,
            level,
            logarithmic=is_logarithmic(law, name),
        )
        if name != "half_integrity_dose" and not is_logarithmic(law, name):
            parameter = next(each for each in law.parameters if each.name == name)
            lower = np.maximum(lower, np.minimum(parameter.lower, fields[..., ends[0], :]))
            upper = np.minimum(upper, np.maximum(parameter.upper, fields[..., ends[1], :]))
        fields[..., ends[0], :], fields[..., ends[1], :] = lower, upper
    spread = np.hypot(fields[..., row["sd_log_half_dose"], :], shifts["half_integrity_dose"])
    with np.errstate(divide="ignore"):
        near, near_by = (special.erf(reach / (spread * np.sqrt(2.0))) for reach in (NEAR, NEAR_BY))
    fields[..., row["sd_log_half_dose"], :] = spread
    fields[..., row["near_estimate"], :] = np.minimum(near, fields[..., row["near_estimate"], :])
    # What is wrong with all pixels alike does not average out over them.
    fields[..., row["identifiable"], :] *= near_by >= LEAST_NEAR
    return fields
