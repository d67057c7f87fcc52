# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decay curves with their truth, for testing estimators; spectra are simulated in ``data``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.power_law import half_dose, power_law_integrity
from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, EXPONENT_BOX, LOG_RATE_BOX, Prior

#: The nine frames of arXiv:2605.01697, in e⁻/Å².
PAPER_DOSE = 152.0 * np.arange(1, 10)


@dataclass(frozen=True, eq=False)
class SimulatedCurves:
    """Curves and what they were made of.

    Parameters
    ----------
    problem
        The data.
    rate, exponent
        True k and p, ``(n_curve, n_window)``.
    """

    problem: DoseProblem
    rate: np.ndarray
    exponent: np.ndarray

    @property
    def log_half_dose(self) -> np.ndarray:
        """True ln D½, D½ in normalised dose."""
        return np.log(half_dose(self.rate, self.exponent))


def draw_prior(
    random: np.random.Generator, shape: tuple[int, int], prior: Prior = DEFAULT_PRIOR
) -> tuple[np.ndarray, np.ndarray]:
    """Draw k and p from a prior cut off at the box of the estimator.

    Parameters
    ----------
    random
        Source of chance.
    shape
        ``(n_curve, n_window)``.
    """
    log_rate, exponent = np.empty(shape), np.empty(shape)
    missing = np.ones(shape, dtype=bool)
    while missing.any():
        log_rate[missing] = random.normal(*prior.log_rate, size=int(missing.sum()))
        exponent[missing] = random.normal(*prior.exponent, size=int(missing.sum()))
        missing = (log_rate < LOG_RATE_BOX[0]) | (log_rate > LOG_RATE_BOX[1])
        missing |= (exponent < EXPONENT_BOX[0]) | (exponent > EXPONENT_BOX[1])
    return np.exp(log_rate), exponent


def simulate_curves(
    random: np.random.Generator,
    rate: np.ndarray,
    exponent: np.ndarray,
    *,
    noise: float | np.ndarray,
    amplitude: float = 3.0,
    offset: float = 5.0,
    dose: np.ndarray = PAPER_DOSE,
    dose_scale: float | None = None,
    with_variance: bool = False,
) -> SimulatedCurves:
    """Simulate noisy curves of the power law with a linear readout.

    Parameters
    ----------
    random
        Source of chance.
    rate, exponent
        k and p, ``(n_curve, n_window)``.
    noise
        Standard deviation of the normal noise, as a share of the amplitude; a number, or one for
        each curve and window.
    amplitude, offset
        a and b.
    dose
        Doses of the frames.
    dose_scale
        Dose that counts as 1; the largest if not given.
    with_variance
        Whether the problem tells the variance of the noise.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> rate, exponent = draw_prior(random, (5, 4))
    >>> simulate_curves(random, rate, exponent, noise=0.01).problem.values.shape
    (5, 4, 9)
    """
    dose = np.asarray(dose, dtype=np.float64)
    scale = dose[-1] if dose_scale is None else dose_scale
    integrity = power_law_integrity(dose / scale, rate[..., None], exponent[..., None])
    sigma = np.asarray(noise * abs(amplitude))[..., None]
    values = amplitude * integrity + offset + sigma * random.normal(size=integrity.shape)
    names = tuple(f"window {place}" for place in range(rate.shape[1]))
    variance = np.broadcast_to(sigma**2, values.shape).copy() if with_variance else None
    problem = DoseProblem(dose, values, names, variance, dose_scale)
    return SimulatedCurves(problem, rate, exponent)
