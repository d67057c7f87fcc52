# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a kinetics result: arrays, flags and labels, without any signal or picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.adequacy.whitening import likely_shared
from hyperspy_dosekin.kinetics.block import LEVEL
from hyperspy_dosekin.kinetics.posterior.band import probability_of_growth
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.numbers.examination import examined_field
from hyperspy_dosekin.signals.kinetics.numbers.fitted import FittedSeries
from hyperspy_dosekin.signals.kinetics.numbers.quantities import (
    INTERVAL_SCALES,
    checked_doses,
    checked_integrity,
)
from hyperspy_dosekin.signals.kinetics.numbers.selection import taken, window_first
from hyperspy_dosekin.signals.kinetics.options.law_names import KNOWN_EXPONENTS
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.network.certificate import Certificate
    from hyperspy_dosekin.lazy.arrays import Array

#: Ways to an interval.
INTERVAL_METHODS = ("posterior", "profile")


@dataclass(frozen=True, eq=False)
class KineticsNumbers(FittedSeries):
    """All numbers of a fit of dose kinetics.

    A map is an array ``(window, …space…)``.

    Parameters
    ----------
    maps
        What the exact estimator says of the data; lazy where the data are.
    options
        Options of the fit.
    network
        The network's fit of the same data, of which the numbers then are.
    shown
        Places of the windows that the numbers are of; ``None`` for all.
    examined
        Tests of the residuals of all windows, where they are there already; see `examination`.
    """

    # Maps

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters of the law."""
        return self.maps.parameter_names

    def map(self, name: str) -> Any:
        """A map ``(window, …space…)`` by the name of the attribute of `DoseKinetics`.

        Raises
        ------
        AttributeError
            If the law has no such parameter.
        ValueError
            If a flag was asked for that was not computed.
        """
        make = _MAPS.get(name)
        return window_first(self._parameter(name) if make is None else make(self))

    def dose_at(self, level: float) -> Any:
        """Map of the doses at which integrity falls to a level; NaN where it never does.

        Raises
        ------
        ValueError
            If the level does not lie between 0 and 1.
        """
        return window_first(self.own_dose(self._dose_at(level)))

    def own_dose(self, dose: Any, power: int = 1) -> Any:
        """Doses ``(…space…, window)`` on the axis as those that the pixel has received itself.

        A pixel that gets m times the dose on the axis shows C(m Φ): what happens to it at the dose
        D on the axis happens at m D.

        Parameters
        ----------
        dose
            The doses.
        power
            1 for doses, −1 for what is given for each dose.
        """
        relative = self.maps.data.relative_dose
        return dose if relative is None else dose * relative[..., np.newaxis] ** power

    def _dose_at(self, level: float) -> Array:
        return self.estimate.mean_dose_at(checked_integrity("level", level))

    def _parameter(self, name: str) -> Any:
        """A parameter of the law or the readout, or what the law knows of it."""
        if name in (*self.parameter_names, "amplitude", "offset"):
            return self.estimate.mean_parameter(name)
        if name == "exponent" and self.law.name in KNOWN_EXPONENTS:
            # NaN where nothing was fitted.
            return 0 * self.estimate.mean_parameter("rate") + KNOWN_EXPONENTS[self.law.name]
        raise AttributeError(
            f"the kinetic law {self.law.name!r} has no {name}; its parameters are "
            f"{', '.join(self.parameter_names)}, see result.parameters."
        )

    def _reached(self) -> Any:
        dose = self._dose_at(0.5)
        return (dose >= self.dose[0]) & (dose <= self.dose_max)

    def _identifiable(self) -> Any:
        return self._examined_field("identifiable", "whether the data determine D½") == 1

    def _log_evidence(self) -> Array:
        return self._examined_field("log_evidence", "the evidence of the law")

    def _examined_field(self, name: str, what: str) -> Array:
        if not self.has_intervals:
            raise ValueError(
                f"{what} was not examined, because the fit was made with intervals=False; repeat "
                "it with intervals=True."
            )
        return self._field(name)

    def bounded(self) -> np.ndarray:
        """Windows whose intensity was taken to be not negative, ``(window,)``, without space."""
        from hyperspy_dosekin.kinetics.curves.preparation import prepare_curves

        config, data = self.maps.config, self.data
        nothing = np.zeros(len(data.window_names), dtype=bool)
        if config.nonnegative is False or self.maps.offset is not None:
            return nothing
        problem = data.problem(quiet=True)
        curves = prepare_curves(
            problem,
            parameters=[p.name for p in config.parameters.free],
            absolute_variance=config.noise != "relative",
        )
        found = config.bounded(curves)
        return nothing if found is None else found[0] & ~curves.dead[0]

    def _field(self, name: str) -> Array:
        return taken(self.maps.field(name), self.shown, -1)

    @cached_property
    def growth(self) -> np.ndarray:
        """How likely each window of a series without space axes grows while C falls, ``(window,)``.

        By the fit, 1 or 0, where no posterior was computed or D½ is determined.
        """
        grows = np.asarray(self.map("amplitude") < 0, dtype=np.float64)
        if not self.has_intervals or self.map("identifiable").all():
            return grows
        with torch_threads(1):
            found = taken(probability_of_growth(self.maps.posterior)[0], self.shown, -1)
        return np.where(self.map("identifiable"), grows, np.nan_to_num(found))

    @cached_property
    def likely_shared(self) -> np.ndarray | None:
        """What errors that frames share have most likely added to a series, ``(window, n_dose)``.

        By the fit; ``None`` where there are no such errors.
        """
        data = self.data
        if not data.shared_errors:
            return None
        values = np.asarray(data.values, dtype=float)
        fitted = np.asarray(self.estimate.intensity(data.dose)).mean(axis=0)
        if data.variance is None:
            deviation = np.broadcast_to(self.map("noise_sigma")[:, None], values.shape)
        else:
            deviation = np.sqrt(np.maximum(data.variance, 0.0))
        errors = np.stack([np.asarray(error, dtype=float) for error in data.shared_errors.values()])
        return likely_shared(values - fitted, deviation, errors)

    # Intervals

    def interval(
        self, name: str, level: float = 0.95, method: str = "posterior", dose_level: float = 0.5
    ) -> tuple[Any, Any]:
        """Ends of an interval as maps, or ``(…space…, window, dose)`` for ``"integrity"``.

        See `DoseKinetics.interval`.
        """
        from hyperspy_dosekin.kinetics.posterior.quantities import check_level

        check_level(level)
        if not isinstance(method, str) or method not in INTERVAL_METHODS:
            raise ValueError(f"method={method!r} is not one of {INTERVAL_METHODS}.")
        scales = {**dict.fromkeys(self.parameter_names, "none"), **INTERVAL_SCALES}
        if "rate" not in scales:
            del scales["rate_per_dose"]
        if not isinstance(name, str) or name not in scales:
            raise ValueError(
                f"name={name!r} is not one of {tuple(scales)}{did_you_mean(name, scales)}"
            )
        dose_level = checked_integrity("dose_level", dose_level)
        if name == "integrity":
            return self.integrity_interval(self.grid, level, method)
        unit = self.dose_scale
        scale = {"none": 1.0, "dose": unit, "per dose": 1 / unit}[scales[name]]
        lower, upper = self.maps.interval(
            "rate" if name == "rate_per_dose" else name, level, method, dose_level=dose_level
        )
        power = {"none": 0, "dose": 1, "per dose": -1}[scales[name]]
        with np.errstate(over="ignore"):
            # An end beyond float64 is infinite.
            lower, upper = (taken(end[..., 0], self.shown, -1) * scale for end in (lower, upper))
        if name == "rate_per_dose":
            error, estimate = self.maps.config.dose_error, self.estimate.mean_parameter("rate")
            lower, upper = error.widened(lower, upper, estimate * scale, level)
        if power:
            lower, upper = (self.own_dose(end, power) for end in (lower, upper))
        return window_first(lower), window_first(upper)

    def integrity_interval(
        self, dose: np.ndarray, level: float = 0.95, method: str = "posterior"
    ) -> tuple[Array, Array]:
        """Ends of the interval of C at any doses, ``(…space…, window, n_dose)``."""
        normalised = tuple(checked_doses(dose) / self.dose_scale)
        lower, upper = self.maps.interval("integrity", level, method, normalised_dose=normalised)
        return taken(lower, self.shown, -2), taken(upper, self.shown, -2)

    def intensity_interval(self, dose: np.ndarray) -> tuple[Array, Array]:
        """Ends of the 95 % interval of a C + b, ``(…space…, window, n_dose)``."""
        at = tuple(checked_doses(dose) / self.dose_scale)
        lower, upper = self.maps.interval("intensity", LEVEL, "posterior", normalised_dose=at)
        return taken(lower, self.shown, -2), taken(upper, self.shown, -2)

    # Of a network

    @property
    def spread_of_maps(self) -> Mapping[str, np.ndarray]:
        """Standard deviation over the members by name, maps; empty without an ensemble."""
        estimate = self.estimate
        if len(estimate.labels) < 2:
            return {}
        rate, half = estimate.parameter("rate"), estimate.dose_at(0.5)
        members = {
            **{name: estimate.parameter(name) for name in ("exponent", "amplitude", "offset")},
            "rate": rate,
            "rate_per_dose": rate / self.dose_scale,
            "half_integrity_dose": np.where(np.isfinite(half), half, np.nan),
        }
        return {name: window_first(each.std(axis=0, ddof=1)) for name, each in members.items()}

    def certificate(self) -> Certificate:
        """How far the networks are from the exact solution of the same problem."""
        from hyperspy_dosekin.kinetics.network.certificate import certify

        of_field = self.field_network
        if of_field is not None:
            whole = of_field.certificate()
        else:
            whole = certify(
                self.required_network(), self.maps.of_noise_alone(), self.options.as_prior()
            )
        if self.shown is None:
            return whole
        places = list(self.shown)
        return replace(
            whole,
            window_names=self.window_names,
            loss_ratio=whole.loss_ratio[places],
            residual_rms=whole.residual_rms[places],
            max_deviation=whole.max_deviation[places],
        )


#: Maps that are more than a parameter, by name.
_MAPS: Mapping[str, Callable[[KineticsNumbers], object]] = {
    "rate_per_dose": lambda numbers: numbers.own_dose(
        numbers._parameter("rate") / numbers.dose_scale, -1
    ),
    "half_integrity_dose": lambda numbers: numbers.own_dose(numbers._dose_at(0.5)),
    "critical_dose": lambda numbers: numbers.own_dose(numbers._dose_at(1 / math.e)),
    "half_change_dose": lambda numbers: numbers.own_dose(
        numbers.estimate.change_dose(float(numbers.data.dose[-1]))
    ),
    "log_evidence": KineticsNumbers._log_evidence,
    "reached": KineticsNumbers._reached,
    "identifiable": KineticsNumbers._identifiable,
    "adequate": lambda numbers: examined_field(numbers.law, numbers.examination, "adequate") == 1,
    "noise_sigma": lambda numbers: numbers._field("noise_sigma"),
    "shrinkage": lambda numbers: numbers._field("shrinkage"),
    "not_fitted": lambda numbers: numbers._field("dead") != 0,
}
