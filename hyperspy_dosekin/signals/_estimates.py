# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result asks of an estimator's outcome, whatever the estimator was."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.network.config import NetworkConfig
from hyperspy_dosekin.kinetics.network.fit import check_network_problem
from hyperspy_dosekin.kinetics.network.history import History
from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
from hyperspy_dosekin.signals._series_data import SeriesData

#: Names of the parameters that every estimator returns.
PARAMETERS = ("rate", "exponent", "amplitude", "offset")


class Estimate(ABC):
    """Fitted parameters and trajectories, for one or more members of an ensemble."""

    #: What the fit was made with, for people to read.
    description: str

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """One label for each member."""

    @abstractmethod
    def parameter(self, name: str) -> Any:
        """A parameter of `PARAMETERS`, ``(n_member, …space…, window)``."""

    @abstractmethod
    def integrity(self, dose_e_per_a2: np.ndarray) -> Any:
        """Integrity at some doses, ``(n_member, …space…, window, n_dose)``."""

    @abstractmethod
    def dose_at(self, level: float) -> Any:
        """Dose at which integrity falls to a level, e⁻/Å², ``(n_member, …space…, window)``."""

    @abstractmethod
    def to_arrays(self) -> dict[str, np.ndarray]:
        """Everything that a file must hold, as arrays of numbers."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Everything else that a file must hold, as JSON."""

    @classmethod
    @abstractmethod
    def from_arrays(
        cls, data: SeriesData, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]
    ) -> Estimate:
        """The estimate that `to_arrays` and `to_json` described, of the same data."""

    def intensity(self, dose_e_per_a2: np.ndarray) -> Any:
        """Modelled intensity a C + b, ``(n_member, …space…, window, n_dose)``."""
        amplitude = self.parameter("amplitude")[..., np.newaxis]
        return amplitude * self.integrity(dose_e_per_a2) + self.parameter("offset")[..., np.newaxis]


class NetworkEstimate(Estimate):
    """The outcome of a network fit."""

    def __init__(self, network: NetworkFit) -> None:
        self.network = network
        self.description = f"network, {len(network.config.seeds)} members"

    @property
    def labels(self) -> tuple[str, ...]:
        """The seeds."""
        return tuple(f"seed {seed}" for seed in self.network.config.seeds)

    def parameter(self, name: str) -> np.ndarray:
        """A parameter of `PARAMETERS`, ``(n_member, window)``."""
        return getattr(self.network, name)

    def integrity(self, dose_e_per_a2: np.ndarray) -> np.ndarray:
        """Integrity at some doses, ``(n_member, window, n_dose)``."""
        return self.network.integrity(dose_e_per_a2)

    def dose_at(self, level: float) -> np.ndarray:
        """Dose at which integrity falls to a level, e⁻/Å², ``(n_member, window)``."""
        return self.network.dose_at(level)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Parameters of the networks and history of their training."""
        history = self.network.history
        return {
            **{f"parameter {name}": array for name, array in self.network.parameters.items()},
            **{f"term {name}": array for name, array in history.terms.items()},
            "iteration": history.iteration,
            "learning rate": history.learning_rate,
        }

    def to_json(self) -> dict[str, Any]:
        """Configuration of the networks."""
        return {
            "config": asdict(self.network.config),
            "n_adam": self.network.history.n_adam,
            "complete": self.network.complete,
        }

    @classmethod
    def from_arrays(
        cls, data: SeriesData, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]
    ) -> NetworkEstimate:
        """The estimate that `to_arrays` and `to_json` described, of the same data."""

        def group(prefix: str) -> dict[str, np.ndarray]:
            return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}

        problem = data.problem()
        history = History(
            arrays["iteration"], arrays["learning rate"], group("term "), description["n_adam"]
        )
        return cls(
            NetworkFit(
                problem,
                NetworkConfig(**description["config"]),
                check_network_problem(problem),
                group("parameter "),
                history,
                description["complete"],
            )
        )
