# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the data say at which dose half of a window is gone.

Goodness of fit does not tell: a straight line is fitted perfectly by any half-integrity dose. A
window counts as identifiable where nine tenths of the posterior of ln D½ lie near the estimate,
*and* the data have brought most of that: an answer that the prior has given is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.solution import dose_at_level
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.model.parameters import Parameters, assumed_before
from hyperspy_dosekin.kinetics.posterior.ends import PosteriorSummary
from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior

#: Least probability near the estimate (`NEAR`) of an identifiable window.
LEAST_NEAR = 0.9
#: Where pixels share a population or a field: the distance in ln D½ that counts as near, the share
#: of the determined pixels of a map that are expected to be near, and the least probability of each
#: (`field.flag`). There are two rules because there are two kinds of posterior. That of a single
#: curve has long tails, and promises more than it keeps: where three quarters within 0.25 suffice,
#: 0.91, 0.88 and 0.76 of the curves that are kept are right at a noise of 0.2, 1 and 5 %, with the
#: rule above 0.99, 0.98 and all (power law, 1500 curves of
#: `benchmarks/kinetics/misspecification.py`). That of a pixel among others is nearly normal, and
#: a share of right ones can be promised: where 0.88 are expected, 0.91 of populations and 0.97 of
#: fields are (180 maps of `benchmarks/kinetics/fields.py`, seeds 101 to 110).
SHARED_NEAR, SHARED_RIGHT, SHARED_LEAST_NEAR = 0.25, 0.88, 0.5
#: Largest standard deviation of ln D½ after the data, as a share of that before: a half leaves a
#: quarter of the information to the prior.
LARGEST_SHARE_OF_PRIOR = 0.5

_DRAWS = 4096


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Flag of each window and what it stands on, arrays ``(n_curve, n_window)``.

    Parameters
    ----------
    identifiable
        Boolean; ``False`` where dead.
    sd_log_half_dose
        Posterior standard deviation of ln D½; NaN where dead.
    near_estimate
        Probability that ln D½ lies within 0.2 of the estimate.
    sd_before
        Standard deviation of ln D½ before the data.
    """

    identifiable: np.ndarray
    sd_log_half_dose: np.ndarray
    near_estimate: np.ndarray
    sd_before: float


def spread_before(parameters: Parameters) -> float:
    """Standard deviation of ln D½ before the data; infinite where ½ may never be reached."""
    return _spread_before(parameters.law, parameters.prior_of_law, parameters.held)


@lru_cache(maxsize=64)
def _spread_before(law, prior, held) -> float:
    parameters = Parameters(law, prior, held)
    free = parameters.free
    draws = torch.quasirandom.SobolEngine(len(free), scramble=True, seed=1).draw(_DRAWS)
    uniform = draws.double().numpy().clip(1e-9, 1 - 1e-9)
    search = []
    for place, parameter in enumerate(free):
        on_scale = torch.as_tensor(assumed_before(parameter, prior).ppf(uniform[:, place]))
        search.append(parameter.to_search(parameter.from_free(on_scale)))
    log_dose = dose_at_level(law, parameters.values(search), 0.5).log()
    log_dose = log_dose[torch.isfinite(log_dose)]
    return float(log_dose.std())


def flags_of(summary: PosteriorSummary, parameters: Parameters) -> Identifiability:
    """Flag windows by the summary of their posterior."""
    before = spread_before(parameters)
    with np.errstate(invalid="ignore"):
        informed = summary.sd_log_half_dose <= LARGEST_SHARE_OF_PRIOR * before
        identifiable = informed & (summary.near_estimate >= LEAST_NEAR)
    return Identifiability(identifiable, summary.sd_log_half_dose, summary.near_estimate, before)


def identifiability(
    problem: DoseProblem, config: ExactConfig | None = None, *, fit: ExactFit | None = None
) -> Identifiability:
    """Flag the windows whose half-integrity dose the data determine.

    Parameters
    ----------
    config
        Options, those of `fit_exact`.
    fit
        Its result, if it is there already.

    Examples
    --------
    >>> dose = np.linspace(100.0, 900.0, 9)
    >>> noise = np.random.default_rng(0).normal(scale=0.01, size=(1, 2, 9))
    >>> rates = np.array([0.5, 4.0])[:, None]  # half of the first is left, nothing of the second
    >>> values = np.exp(-rates * dose / 900) + noise
    >>> identifiability(DoseProblem(dose, values, ("C–C", "C–O"))).identifiable.tolist()
    [[False, True]]
    """
    config = config or ExactConfig()
    if fit is None:
        fit = fit_exact(problem, config)
    summary = kinetic_posterior(problem, config, fit=fit).summarise()
    return flags_of(summary, config.parameters)
