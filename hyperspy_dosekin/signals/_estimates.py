# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result asks of an estimator's outcome, whatever the estimator was."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.power_law import dose_at as law_dose_at
from hyperspy_dosekin.kinetics.power_law import power_law_integrity
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals._blockwise import map_blocks

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws import KineticLaw
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.signals._exact_maps import ExactMaps

#: Names of the parameters that every estimator of the power law returns.
PARAMETERS = ("rate", "exponent", "amplitude", "offset")

#: Levels whose doses are found with the fit of other laws, and their fields.
_STORED_DOSES = {0.5: "half_integrity_dose", 1 / math.e: "critical_dose"}


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

    def intensity(self, dose_e_per_a2: np.ndarray) -> Any:
        """Modelled intensity a C + b, ``(n_member, …space…, window, n_dose)``."""
        amplitude = self.parameter("amplitude")[..., np.newaxis]
        return amplitude * self.integrity(dose_e_per_a2) + self.parameter("offset")[..., np.newaxis]


class ExactEstimate(Estimate):
    """The outcome of the exact estimator: one member, with or without space axes."""

    def __init__(self, maps: ExactMaps) -> None:
        self.maps = maps
        named = "" if maps.law is None else f", {maps.law.name}"
        self.description = f"exact estimator{named}"

    @property
    def labels(self) -> tuple[str, ...]:
        """One member."""
        return ("exact",)

    def parameter(self, name: str) -> Any:
        """A parameter of the law or the readout, ``(1, …space…, window)``."""
        return self.maps.field(name)[np.newaxis]

    def integrity(self, dose_e_per_a2: np.ndarray) -> Any:
        """Integrity at some doses, ``(1, …space…, window, n_dose)``."""
        normalised = np.asarray(dose_e_per_a2) / self.maps.data.dose_e_per_a2[-1]
        if np.any(normalised < 0) or not np.all(np.isfinite(normalised)):
            raise ValueError("doses must be finite and not negative, in e⁻/Å².")
        parameters = self._parameters()
        return map_blocks(
            _trajectories if self.maps.law is None else _law_trajectories,
            f"{','.join('()' for _ in parameters)}->(d)",
            *parameters,
            output_sizes={"d": normalised.size},
            normalised_dose=normalised,
            **self._law(),
        )

    def dose_at(self, level: float) -> Any:
        """Dose at which integrity falls to a level, e⁻/Å², ``(1, …space…, window)``."""
        stored = _STORED_DOSES.get(level)
        if self.maps.law is not None and stored is not None:
            dose = self.parameter(stored)
        else:
            parameters = self._parameters()
            dose = map_blocks(
                _doses if self.maps.law is None else _law_doses,
                f"{','.join('()' for _ in parameters)}->()",
                *parameters,
                level=level,
                **self._law(),
            )
        return dose * self.maps.data.dose_e_per_a2[-1]

    def _parameters(self) -> list[Any]:
        return [self.parameter(name) for name in self.maps.parameter_names]

    def _law(self) -> dict[str, KineticLaw]:
        return {} if self.maps.law is None else {"law": self.maps.law}


def _trajectories(
    rate: np.ndarray, exponent: np.ndarray, normalised_dose: np.ndarray
) -> np.ndarray:
    return power_law_integrity(normalised_dose, rate[..., np.newaxis], exponent[..., np.newaxis])


def _doses(rate: np.ndarray, exponent: np.ndarray, level: float) -> np.ndarray:
    return law_dose_at(level, rate, exponent)


def _law_trajectories(*parameters: np.ndarray, **options: Any) -> np.ndarray:
    from hyperspy_dosekin.kinetics.law_block import law_integrity

    with torch_threads(1):
        return law_integrity(*parameters, **options)


def _law_doses(*parameters: np.ndarray, **options: Any) -> np.ndarray:
    from hyperspy_dosekin.kinetics.law_block import law_dose

    with torch_threads(1):
        return law_dose(*parameters, **options)


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
