# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a network fit: parameters of every member, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.laws.power_law import dose_at as law_dose_at
from hyperspy_dosekin.kinetics.laws.power_law import power_law_integrity
from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.crossing import first_crossing
from hyperspy_dosekin.kinetics.network.history import History
from hyperspy_dosekin.numerics.scaling import StandardScore

#: Doses at which a trajectory is sampled to find where it crosses a level.
CROSSING_SAMPLES = 2001


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """An ensemble of networks fitted to the windows of one curve.

    Parameters
    ----------
    problem
        The data that were fitted.
    config
        The settings of the fit.
    score
        The change of unit between the data and the standard scores that the network sees.
    parameters
        All parameters of all members, float64, ``(n_member, …)``.
    history
        Loss terms by iteration.
    complete
        ``False`` if the training was ended before its end.
    """

    problem: DoseProblem
    config: NetworkConfig
    score: StandardScore
    parameters: Mapping[str, np.ndarray]
    history: History
    complete: bool

    def _softplus(self, name: str) -> np.ndarray:
        return np.logaddexp(0.0, self.parameters[name][:, 0])

    @property
    def rate(self) -> np.ndarray:
        """Rate constant k per dose scale of the problem, ``(n_member, n_window)``."""
        return self._rate / self.problem.reach

    @property
    def _rate(self) -> np.ndarray:
        """The same per largest dose, the unit of dose of the networks."""
        return self._softplus("raw_rate")

    @property
    def exponent(self) -> np.ndarray:
        """Exponent p, ``(n_member, n_window)``."""
        return self._softplus("raw_exponent")

    @property
    def amplitude(self) -> np.ndarray:
        """Amplitude a in the unit of the data, ``(n_member, n_window)``."""
        return self.parameters["amplitude"][:, 0] * self.score.spread

    @property
    def offset(self) -> np.ndarray:
        """Offset b in the unit of the data, ``(n_member, n_window)``."""
        return self.parameters["offset"][:, 0] * self.score.spread + self.score.mean

    def integrity(self, dose: np.ndarray) -> np.ndarray:
        """Integrity C at any dose, ``(n_member, n_window, n_dose)``.

        Within the measured range the network answers. Beyond it a network knows nothing: there
        the fitted law continues from the value that the network has at the largest dose.
        """
        dose = np.asarray(dose, dtype=np.float64)
        if dose.ndim != 1 or not np.all(np.isfinite(dose)) or np.any(dose < 0):
            raise ValueError("doses must be a 1-D array of finite numbers that are not negative.")
        normalised = dose / self.problem.dose_max
        inside = self._network(np.minimum(normalised, 1.0))
        last, rate = self._network(np.ones(1)), self._rate[..., None]
        return np.where(
            normalised <= 1.0, inside, continued(last, rate, self.exponent[..., None], normalised)
        )

    def physics_residual(self, normalised_dose: np.ndarray) -> np.ndarray:
        """How far the networks are from the law, dC/dφ + k C^p, ``(n_member, n_window, n_dose)``.

        Parameters
        ----------
        normalised_dose
            Doses over the largest measured dose, from 0 to 1, ``(n_dose,)``.
        """
        value, slope = self._value_and_slope(normalised_dose)
        return slope + self._rate[..., None] * value ** self.exponent[..., None]

    def dose_at(self, level: float) -> np.ndarray:
        """Dose, unit of the series, at which C falls to `level`, ``(n_member, n_window)``."""
        found = crossing_of(*self._trajectory, level, self._rate, self.exponent)
        return found * self.problem.dose_max

    @cached_property
    def _trajectory(self) -> tuple[np.ndarray, np.ndarray]:
        """Normalised doses up to the largest, and the integrity there."""
        dose = np.linspace(0.0, 1.0, CROSSING_SAMPLES)
        return dose, self._network(dose)

    def _network(self, normalised_dose: np.ndarray) -> np.ndarray:
        return self._value_and_slope(normalised_dose, len(normalised_dose))[0]

    def _value_and_slope(
        self, normalised_dose: np.ndarray, first_slope: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Integrity at every dose, and its derivative from the dose `first_slope` on."""
        import torch

        from hyperspy_dosekin.kinetics.network.architecture import fourier_features, integrity

        parameters = {name: torch.as_tensor(value) for name, value in self.parameters.items()}
        with torch.no_grad():
            dose = torch.as_tensor(normalised_dose, dtype=torch.float64)
            found = integrity(parameters, fourier_features(parameters, dose, first_slope))
        value, slope = (each.transpose(1, 2).numpy() for each in found)
        return value, slope


def continued(
    last: np.ndarray, rate: np.ndarray, exponent: np.ndarray, normalised_dose: np.ndarray
) -> np.ndarray:
    """Integrity beyond the largest dose, by the law from what it is there.

    Parameters
    ----------
    last
        Integrity at the largest dose.
    rate, exponent
        Parameters of the law, per largest dose.
    normalised_dose
        Doses over the largest one; at those below 1 what it returns means nothing.
    """
    last = np.maximum(last, np.finfo(float).tiny)
    # With u = C/C(1), the law reads du/dφ = −k C(1)^(p−1) u^p: the same law again.
    further = np.maximum(normalised_dose - 1.0, 0.0)
    return last * power_law_integrity(further, rate * last ** (exponent - 1), exponent)


def crossing_of(
    normalised_dose: np.ndarray,
    trajectory: np.ndarray,
    level: float,
    rate: np.ndarray,
    exponent: np.ndarray,
) -> np.ndarray:
    """Where a trajectory up to the largest dose, or the law from there on, falls to a level.

    Parameters
    ----------
    normalised_dose
        Doses over the largest one, from 0 to 1, ``(n_dose,)``.
    trajectory
        Integrity there, ``(…, n_dose)``.
    level
        The level.
    rate, exponent
        Parameters of the law, per largest dose, ``(…)``.
    """
    last = np.maximum(trajectory[..., -1], np.finfo(float).tiny)
    beyond = 1.0 + law_dose_at(
        np.minimum(level / last, 1.0), rate * last ** (exponent - 1), exponent
    )
    crossing = first_crossing(normalised_dose, trajectory, level)
    return np.where(np.isnan(crossing), beyond, crossing)
