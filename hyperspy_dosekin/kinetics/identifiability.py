# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the data say at which dose half of a window is gone.

Goodness of fit does not tell: a straight line is fitted perfectly by any half-integrity dose. A
window counts as identifiable where the posterior of ln D½ is narrow *and* the data alone, without
the prior, confine D½ to within a factor of e.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hyperspy_dosekin.kinetics.curves.preparation import broadcast_offset
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import ExactFit, fit_exact
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.profile import kinetic_profile

#: Largest posterior standard deviation of ln D½ of an identifiable window.
LARGEST_POSTERIOR_SD = 0.25
#: Largest width of the 95 % profile likelihood interval of ln D½.
LARGEST_PROFILE_WIDTH = 1.0


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Flag of each window and what it stands on, arrays ``(n_curve, n_window)``.

    Parameters
    ----------
    identifiable
        Boolean; ``False`` where dead.
    sd_log_half_dose
        Posterior standard deviation of ln D½; NaN where dead.
    profile_width
        Width of the 95 % profile likelihood interval of ln D½, infinite where it is open; NaN
        where it was not needed, the posterior being too wide already.
    """

    identifiable: np.ndarray
    sd_log_half_dose: np.ndarray
    profile_width: np.ndarray


def single_windows(
    problem: DoseProblem, config: ExactConfig, chosen: np.ndarray
) -> tuple[DoseProblem, ExactConfig]:
    """Take some of the windows of a problem, each as a curve of its own.

    Parameters
    ----------
    problem, config
        The data and options.
    chosen
        Boolean ``(n_curve, n_window)``.

    Returns
    -------
    A problem of shape ``(chosen.sum(), 1, n_dose)`` and options that go with it.
    """
    offset = broadcast_offset(config.offset, problem.values.shape[:2])
    part = DoseProblem(
        problem.dose_e_per_a2,
        problem.values[chosen][:, None],
        ("window",),
        None if problem.variance is None else problem.variance[chosen][:, None],
    )
    exponent = None if config.exponent == "shared" else config.exponent
    return part, replace(
        config,
        offset=None if offset is None else offset[chosen][:, None],
        exponent=exponent,
        hierarchy=(),
    )


def identifiability(
    problem: DoseProblem,
    config: ExactConfig | None = None,
    *,
    fit: ExactFit | None = None,
    sd_log_half_dose: np.ndarray | None = None,
) -> Identifiability:
    """Flag the windows whose half-integrity dose the data determine.

    Parameters
    ----------
    problem
        The data.
    config
        Options, those of `fit_exact`.
    fit
        Its result, if it is there already.
    sd_log_half_dose
        Posterior standard deviation of ln D½, if it is there already (from
        `KineticPosterior.summarise`).

    Examples
    --------
    >>> import numpy as np
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=(1, 2, 9))
    >>> rates = np.array([0.5, 4.0])[:, None]  # half of the first is left, nothing of the second
    >>> values = np.exp(-rates * dose / 900) + noise
    >>> identifiability(DoseProblem(dose, values, ("C–C", "C–O"))).identifiable.tolist()
    [[False, True]]
    """
    config = config or ExactConfig()
    if sd_log_half_dose is None:
        if fit is None:
            fit = fit_exact(problem, replace(config, hierarchy=()))
        sd_log_half_dose = kinetic_posterior(problem, config, fit=fit).summarise().sd_log_half_dose
    narrow = sd_log_half_dose <= LARGEST_POSTERIOR_SD
    width = np.full(narrow.shape, np.nan)
    if narrow.any():
        part, options = single_windows(problem, config, narrow)
        lower, upper = kinetic_profile(part, options).interval("half_integrity_dose")
        with np.errstate(divide="ignore"):
            width[narrow] = (np.log(upper) - np.log(lower))[:, 0]
    with np.errstate(invalid="ignore"):
        identifiable = narrow & (width <= LARGEST_PROFILE_WIDTH)
    return Identifiability(identifiable, sd_log_half_dose, width)
