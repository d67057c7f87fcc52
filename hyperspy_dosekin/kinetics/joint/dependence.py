# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much less windows of the same frames say together than as many independent ones.

What is left of the gain of a frame moves all its windows alike. Each window knows of it, as an
error that its frames share, but the product of their likelihoods counts it once for each. With d
the derivative by the shared parameter less what rate, amplitude and offset can make of it, and V
the covariance of a window, its score is dᵀ V⁻¹ e, of variance dᵀ V⁻¹ d. The power to which the
product has to be raised (a composite likelihood: Ribatet, Cooley & Davison, Statistica Sinica 22,
813, 2012) is the sum of these variances over the variance of the sum of the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hyperspy_dosekin.kinetics.adequacy.common_mode import CommonGain
from hyperspy_dosekin.kinetics.adequacy.examination import fitted_curves
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.model.config import ExactConfig

# Share of correlations of rates that counts: their inverse is needed.
_MOST = 0.97


def power_of_windows(
    problem: DoseProblem,
    config: ExactConfig,
    fit: ExactFit,
    gain: CommonGain | None,
    shared: Sequence[str],
) -> float:
    """Power of the product of the likelihoods of the windows of a series, in (0, 1].

    Parameters
    ----------
    problem
        The data without the gain; its variance is that of the noise beside it.
    fit
        The fit by which the gain was estimated.
    gain
        The gain.
    shared
        Names of the shared parameters.
    """
    law = config.parameters.law
    places = [i for i, each in enumerate(law.parameters) if each.name in shared]
    found = _errors_of(problem, config, fit, gain) if places else []
    claimed = np.zeros((len(places), len(places)))
    scores = 0.0
    for rows, root, error in found:
        wanted = [len(rows) - len(law.parameters) + place for place in places]
        rest = root @ np.delete(rows, wanted, axis=0).T
        moved = root @ rows[wanted].T
        moved = moved - _span(rest) @ moved
        claimed += moved.T @ moved
        scores = scores + moved.T @ root @ error
    if not found:
        return 1.0
    scores = np.asarray(scores)
    spread = np.trace(np.linalg.pinv(claimed) @ (scores @ scores.T))
    rank = np.linalg.matrix_rank(claimed)
    return float(min(rank / spread, 1.0)) if spread > 0 else 1.0


def correlation_of_rates(
    problem: DoseProblem, config: ExactConfig, fit: ExactFit, gain: CommonGain | None
) -> np.ndarray:
    """Correlation of the errors of ln k of the windows of a series, ``(n_window, n_window)``.

    That of the shape, amplitude and offset of each window is its own: the shape is given, the
    readout is not.

    Parameters
    ----------
    problem, config, fit, gain
        As for `power_of_windows`.
    """
    law = config.parameters.law
    rate = next(i for i, each in enumerate(law.parameters) if each.name == "rate")
    number = problem.values.shape[1]
    found = _errors_of(problem, config, fit, gain)
    if not found:
        return np.eye(number)
    errors = []
    for rows, root, error in found:
        own = len(rows) - len(law.parameters)
        moved = root @ rows[own + rate]
        moved = moved - _span(root @ rows[:own].T) @ moved
        errors.append(moved @ root @ error)
    covariance = np.array(errors) @ np.array(errors).T
    size = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    return _MOST * covariance / size / size[:, None] + (1 - _MOST) * np.eye(number)


def _errors_of(
    problem: DoseProblem, config: ExactConfig, fit: ExactFit, gain: CommonGain | None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What the errors of each window are made of; empty where nothing is common to windows.

    Returns
    -------
    For each window what its curve changes by with amplitude, offset and parameters,
    ``(n, n_dose)``, the root of its precision, and its errors as linear functions of the gains of
    the frames and the noise of all windows, ``(n_dose, (n_window + 1) · n_dose)``.
    """
    if gain is None or problem.variance is None:
        return []
    offset = None if config.offset is None else fit.offset
    config = replace(config, offset=offset, hierarchy=())
    curves = fitted_curves(problem, config, fit.parameters, fit.amplitude, fit.offset)
    fitted, columns = (each[0] for each in curves.columns())
    variance = problem.variance[0] / gain.widening[0]
    usable = problem.usable[0] & (variance > 0)
    weight = np.where(usable, 1 / np.sqrt(np.where(usable, variance, 1.0)), 0.0)
    lines, columns = fitted * weight, columns * weight[:, None]
    n_window, n_dose = lines.shape
    # Errors as linear functions of the gains of the frames and the noise of each window.
    unit = np.eye((n_window + 1) * n_dose).reshape(n_window + 1, n_dose, -1)
    true, noise = gain.spread[0] * unit[0], unit[1:]
    left = [np.eye(n_dose) - _span(rows.T) for rows in columns]
    says = [
        line[:, None] * (residual @ (line[:, None] * true + each))
        for line, residual, each in zip(lines, left, noise, strict=True)
    ]
    every = []
    for window, (line, rows) in enumerate(zip(lines, columns, strict=True)):
        covariance = gain.by_others[1][window, 0]
        found = covariance @ sum(each for other, each in enumerate(says) if other != window)
        error = line[:, None] * (true - found) + noise[window]
        precision = np.linalg.inv(np.eye(n_dose) + line[:, None] * covariance * line)
        every.append((rows, np.linalg.cholesky(precision).T, error))
    return every


def _span(columns: np.ndarray) -> np.ndarray:
    """The projection on the space of some columns."""
    vectors, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    kept = vectors[:, sizes > 1e-9 * max(sizes.max(initial=0.0), 1e-300)]
    return kept @ kept.T
