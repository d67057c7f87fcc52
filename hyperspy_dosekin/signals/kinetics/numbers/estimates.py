# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result asks of an estimator's outcome, whatever the estimator was."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.comparison.half_change import SHARES, half_change
from hyperspy_dosekin.kinetics.estimate.exact_fit import law_dose, law_integrity
from hyperspy_dosekin.lazy.blocks import map_blocks
from hyperspy_dosekin.numerics.threads import torch_threads

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.lazy.arrays import Array
    from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps

#: Names of the parameters that every estimator of the power law returns.
PARAMETERS = ("rate", "exponent", "amplitude", "offset")

#: Levels whose doses are found with the fit, and their fields.
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
    def integrity(self, dose: np.ndarray) -> Any:
        """Integrity at some doses, ``(n_member, …space…, window, n_dose)``."""

    @abstractmethod
    def dose_at(self, level: float) -> Any:
        """Dose at which integrity falls to a level, ``(n_member, …space…, window)``."""

    def intensity(self, dose: np.ndarray) -> Array:
        """Modelled intensity a C + b, ``(n_member, …space…, window, n_dose)``."""
        amplitude = self.parameter("amplitude")[..., np.newaxis]
        return amplitude * self.integrity(dose) + self.parameter("offset")[..., np.newaxis]

    # Means over the members, the same without the first axis

    def mean_parameter(self, name: str) -> Any:
        """Mean of a parameter over the members, ``(…space…, window)``."""
        return self.parameter(name).mean(axis=0)

    def mean_integrity(self, dose: np.ndarray) -> Array:
        """Mean integrity, ``(…space…, window, n_dose)``."""
        return self.integrity(dose).mean(axis=0)

    def mean_intensity(self, dose: np.ndarray) -> Array:
        """Mean intensity, ``(…space…, window, n_dose)``."""
        return self.intensity(dose).mean(axis=0)

    def mean_dose_at(self, level: float) -> Array:
        """Mean of the doses at a level, ``(…space…, window)``; NaN where a member never falls."""
        dose = self.dose_at(level)
        return np.where(np.isfinite(dose), dose, np.nan).mean(axis=0)

    def change_dose(self, largest: float) -> Array:
        """Dose at which half of the change up to a largest dose is done, ``(…space…, window)``."""
        return half_change(np.asarray(self.mean_integrity(SHARES * largest))) * largest


class ExactEstimate(Estimate):
    """The outcome of the exact estimator: one member, with or without space axes.

    Everything is made from the fields of the fit block by block, one step for each map, so that
    maps of lazy fits add little to the graph of their tasks.
    """

    def __init__(self, maps: ExactMaps) -> None:
        self.maps = maps
        named = "" if maps.law.name == "power law" else f", {maps.law.name}"
        shared = f", {maps.sharing}" if maps.sharing else ""
        self.description = f"exact estimator{named}{shared}"

    @property
    def labels(self) -> tuple[str, ...]:
        """One member."""
        return ("exact",)

    def parameter(self, name: str) -> Any:
        """A parameter of the law or the readout, ``(1, …space…, window)``."""
        return self.mean_parameter(name)[np.newaxis]

    def mean_parameter(self, name: str) -> Any:
        """The same, ``(…space…, window)``."""
        return self.maps.field(name)

    def integrity(self, dose: np.ndarray) -> Any:
        """Integrity at some doses, ``(1, …space…, window, n_dose)``."""
        return self.mean_integrity(dose)[np.newaxis]

    def mean_integrity(self, dose: np.ndarray) -> Any:
        """The same, ``(…space…, window, n_dose)``."""
        return self._at(dose, ())

    def intensity(self, dose: np.ndarray) -> Array:
        """Modelled intensity a C + b, ``(1, …space…, window, n_dose)``."""
        return self.mean_intensity(dose)[np.newaxis]

    def mean_intensity(self, dose: np.ndarray) -> Any:
        """The same, ``(…space…, window, n_dose)``."""
        return self._at(dose, self._places("amplitude", "offset"))

    def dose_at(self, level: float) -> Any:
        """Dose at which integrity falls to a level, ``(1, …space…, window)``."""
        return self._dose_at(level, never=np.inf)[np.newaxis]

    def mean_dose_at(self, level: float) -> Array:
        """The same, ``(…space…, window)``; NaN where the integrity never falls so far."""
        return self._dose_at(level, never=np.nan)

    def change_dose(self, largest: float) -> Array:
        """Dose at which half of the change up to a largest dose is done, ``(…space…, window)``."""
        return map_blocks(
            _change_doses,
            "(f,w)->(w)",
            self.maps.fields,
            method="fit_dose_pinn",
            places=self._places(*self.maps.parameter_names),
            largest=largest,
            law=self.maps.law,
            dose_scale=self.maps.data.scale,
        )

    def _at(self, dose: np.ndarray, readout: tuple[int, ...]) -> object:
        normalised = np.asarray(dose) / self.maps.data.scale
        if np.any(normalised < 0) or not np.all(np.isfinite(normalised)):
            raise ValueError("doses must be finite and not negative, in the unit of the series.")
        return map_blocks(
            _trajectories,
            "(f,w)->(w,d)",
            self.maps.fields,
            output_sizes={"d": normalised.size},
            method="fit_dose_pinn",
            places=self._places(*self.maps.parameter_names),
            readout=readout,
            normalised_dose=normalised,
            law=self.maps.law,
        )

    def _dose_at(self, level: float, never: float) -> Array:
        stored = _STORED_DOSES.get(level)
        names = self.maps.parameter_names if stored is None else (stored,)
        return map_blocks(
            _doses,
            "(f,w)->(w)",
            self.maps.fields,
            method="fit_dose_pinn",
            places=self._places(*names),
            level=level if stored is None else None,
            law=self.maps.law,
            dose_scale=self.maps.data.scale,
            never=never,
        )

    def _places(self, *names: str) -> tuple[int, ...]:
        return tuple(self.maps.field_names.index(name) for name in names)


def _trajectories(
    fields: np.ndarray,
    places: tuple[int, ...],
    readout: tuple[int, ...],
    normalised_dose: np.ndarray,
    law: KineticLaw,
) -> np.ndarray:
    """Integrity or, with the places of amplitude and offset, intensity at some doses."""
    parameters = [fields[..., place, :] for place in places]
    with torch_threads(1):
        integrity = law_integrity(*parameters, law=law, normalised_dose=normalised_dose)
    if not readout:
        return integrity
    amplitude, offset = (fields[..., place, :, np.newaxis] for place in readout)
    return amplitude * integrity + offset


def _doses(
    fields: np.ndarray,
    places: tuple[int, ...],
    level: float | None,
    law: KineticLaw,
    dose_scale: float,
    never: float,
) -> np.ndarray:
    """Doses at a level, unit of the series; a field that holds them if the level is ``None``."""
    parameters = [fields[..., place, :] for place in places]
    if level is None:
        (dose,) = parameters
    else:
        with torch_threads(1):
            dose = law_dose(*parameters, law=law, level=level)
    dose = dose * dose_scale
    return dose if np.isinf(never) else np.where(np.isfinite(dose), dose, never)


def _change_doses(
    fields: np.ndarray, places: tuple[int, ...], largest: float, law: KineticLaw, dose_scale: float
) -> np.ndarray:
    """Doses at which half of the change up to the largest is done, unit of the series."""
    shares = SHARES * (largest / dose_scale)
    return half_change(_trajectories(fields, places, (), shares, law)) * largest


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

    def integrity(self, dose: np.ndarray) -> np.ndarray:
        """Integrity at some doses, ``(n_member, window, n_dose)``."""
        return self.network.integrity(dose)

    def dose_at(self, level: float) -> np.ndarray:
        """Dose at which integrity falls to a level, unit of the series, ``(n_member, window)``."""
        return self.network.dose_at(level)


class FieldNetworkEstimate(Estimate):
    """The outcome of the networks of a map; pixels that were not fitted are NaN."""

    def __init__(self, network: FieldNetworkFit) -> None:
        self.network = network
        self.description = f"network, {network.n_member} members, field"

    @property
    def labels(self) -> tuple[str, ...]:
        """The seeds."""
        return tuple(f"seed {seed}" for seed in self.network.config.seeds)

    def parameter(self, name: str) -> np.ndarray:
        """A parameter of `PARAMETERS`, ``(n_member, …space…, window)``."""
        return self.network.map(name)

    def integrity(self, dose: np.ndarray) -> np.ndarray:
        """Integrity at some doses, ``(n_member, …space…, window, n_dose)``."""
        return np.stack([self.network.integrity(dose, m) for m in range(self.network.n_member)])

    def mean_integrity(self, dose: np.ndarray) -> np.ndarray:
        """The same, the mean over the members, one after the other."""
        return self._mean(lambda member: self.network.integrity(dose, member))

    def mean_intensity(self, dose: np.ndarray) -> np.ndarray:
        """Mean intensity a C + b, ``(…space…, window, n_dose)``, one member after the other."""
        amplitude, offset = (self.parameter(name)[..., None] for name in ("amplitude", "offset"))
        return self._mean(
            lambda member: amplitude[member] * self.network.integrity(dose, member) + offset[member]
        )

    def dose_at(self, level: float) -> np.ndarray:
        """Dose at which integrity falls to a level, ``(n_member, …space…, window)``."""
        if level in _STORED_DOSES:
            return self.network.map(_STORED_DOSES[level]) * self.network.dose_scale
        return np.stack([self.network.dose_at(level, m) for m in range(self.network.n_member)])

    def _mean(self, of_member: Callable[[int], np.ndarray]) -> np.ndarray:
        number = self.network.n_member
        whole = of_member(0) / number
        for member in range(1, number):
            whole += of_member(member) / number
        return whole
