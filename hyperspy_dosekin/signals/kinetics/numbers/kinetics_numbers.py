# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of a kinetics result: arrays, flags and labels, without any signal or picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import compute, is_lazy
from hyperspy_dosekin.numerics.arguments import real_number, real_numbers, short
from hyperspy_dosekin.numerics.units import inverse_unit, with_unit
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.numbers.estimates import (
    Estimate,
    ExactEstimate,
    FieldNetworkEstimate,
    NetworkEstimate,
)
from hyperspy_dosekin.signals.kinetics.numbers.examination import examined, examined_field
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from hyperspy_dosekin.signals.kinetics.options.law_names import KNOWN_EXPONENTS
from hyperspy_dosekin.signals.progress import dask_progress
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.certificate import Certificate
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.windows.definitions import Window

#: Number of doses, from zero to the largest measured one, at which integrity is given.
DOSE_GRID = 101

#: Ways to an interval.
INTERVAL_METHODS = ("posterior", "profile")

#: Quantities that have an interval beside the parameters of the law, and the unit in which the
#: law gives them.
INTERVAL_SCALES: Mapping[str, str] = MappingProxyType(
    {
        "integrity": "none",
        "half_integrity_dose": "dose",
        "dose_at": "dose",
        "rate_per_dose": "per dose",
    }
)


@dataclass(frozen=True, eq=False)
class KineticsNumbers:
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

    maps: ExactMaps
    options: FitOptions
    network: NetworkFit | FieldNetworkFit | None = None
    shown: tuple[int, ...] | None = None
    examined: Any = None

    # What was fitted, and how

    @property
    def data(self) -> SeriesData:
        """The fitted series."""
        return self.maps.data if self.shown is None else self.maps.data.select(self.shown)

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        return self.data.window_names

    @property
    def windows(self) -> tuple[Window, ...] | None:
        """The windows, where they are ranges of a spectrum."""
        return self.data.windows

    @property
    def space_shape(self) -> tuple[int, ...]:
        """Sizes of the space axes."""
        return self.maps.data.space_shape

    @property
    def dose(self) -> np.ndarray:
        """Measured cumulative doses, ascending, in `dose_unit`."""
        return self.maps.data.dose

    @property
    def dose_max(self) -> float:
        """Largest measured dose."""
        return float(self.dose[-1])

    @property
    def dose_scale(self) -> float:
        """Dose that counts as 1 in rates and priors."""
        return self.maps.data.scale

    @property
    def dose_unit(self) -> str:
        """Unit of all doses; empty where the series does not say."""
        return self.maps.data.dose_unit

    @property
    def law(self) -> KineticLaw:
        """The law that was fitted."""
        return self.options.kinetic_law

    @property
    def estimate(self) -> Estimate:
        """What the estimator returned, member by member."""
        whole: Estimate = ExactEstimate(self.maps)
        if self.network is not None:
            of_field = self.field_network
            whole = (
                NetworkEstimate(self.required_network())
                if of_field is None
                else FieldNetworkEstimate(of_field)
            )
        return whole if self.shown is None else _Shown(whole, self.shown)

    @property
    def is_lazy(self) -> bool:
        """Whether nothing has been computed yet."""
        return is_lazy(self.maps.fields)

    @property
    def complete(self) -> bool:
        """``False`` where the fit was interrupted."""
        return self.maps.complete and (self.network is None or self.network.complete)

    @property
    def has_intervals(self) -> bool:
        """Whether intervals and flags were computed with the fit."""
        return self.options.intervals

    def computed(self, show_progressbar: bool | None = None) -> KineticsNumbers:
        """The same in memory; itself where it is."""
        if not self.is_lazy:
            return self
        # Together, so that the data are read once.
        with dask_progress(show_progressbar):
            fields, found = compute(self.maps.fields, self._examined)
        return replace(self, maps=replace(self.maps, fields=fields), examined=found)

    @cached_property
    def _examined(self) -> Any:
        return examined(self.maps) if self.examined is None else self.examined

    @property
    def examination(self) -> Any:
        """Tests of the residuals, ``(…space…, field, window)``; lazy where the result is."""
        return _taken(self._examined, self.shown, -1)

    def select(self, names: Sequence[str]) -> KineticsNumbers:
        """The numbers of some windows only.

        Raises
        ------
        KeyError
            If there is no such window.
        """
        known = self.window_names
        for name in names:
            if name not in known:
                raise KeyError(
                    f"there is no window {name!r} among {', '.join(map(repr, known))}"
                    f"{did_you_mean(name, known)}"
                )
        places = self.shown or range(len(known))
        return replace(self, shown=tuple(places[known.index(name)] for name in names))

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

    def _dose_at(self, level: float) -> Any:
        return self.estimate.mean_dose_at(_checked_integrity("level", level))

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

    def _log_evidence(self) -> Any:
        return self._examined_field("log_evidence", "the evidence of the law")

    def _examined_field(self, name: str, what: str) -> Any:
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

    def _field(self, name: str) -> Any:
        return _taken(self.maps.field(name), self.shown, -1)

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
        dose_level = _checked_integrity("dose_level", dose_level)
        if name == "integrity":
            return self.integrity_interval(self.grid, level, method)
        unit = self.dose_scale
        scale = {"none": 1.0, "dose": unit, "per dose": 1 / unit}[scales[name]]
        lower, upper = self.maps.interval(
            "rate" if name == "rate_per_dose" else name, level, method, dose_level=dose_level
        )
        power = {"none": 0, "dose": 1, "per dose": -1}[scales[name]]
        lower, upper = (_taken(end[..., 0], self.shown, -1) * scale for end in (lower, upper))
        if name == "rate_per_dose":
            error, estimate = self.maps.config.dose_error, self.estimate.mean_parameter("rate")
            lower, upper = error.widened(lower, upper, estimate * scale, level)
        if power:
            lower, upper = (self.own_dose(end, power) for end in (lower, upper))
        return window_first(lower), window_first(upper)

    def integrity_interval(
        self, dose: np.ndarray, level: float = 0.95, method: str = "posterior"
    ) -> tuple[Any, Any]:
        """Ends of the interval of C at any doses, ``(…space…, window, n_dose)``."""
        normalised = tuple(checked_doses(dose) / self.dose_scale)
        lower, upper = self.maps.interval("integrity", level, method, normalised_dose=normalised)
        return _taken(lower, self.shown, -2), _taken(upper, self.shown, -2)

    def intensity_interval(self, dose: np.ndarray) -> tuple[Any, Any]:
        """Ends of the 95 % interval of a C + b, ``(…space…, window, n_dose)``."""
        lower, upper = self.maps.band(tuple(checked_doses(dose) / self.dose_scale))
        return _taken(lower, self.shown, -2), _taken(upper, self.shown, -2)

    # Of a network

    @property
    def grid(self) -> np.ndarray:
        """Doses from zero to the largest measured one, at which integrity is given."""
        return np.linspace(0.0, self.dose_max, DOSE_GRID)

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

    @property
    def field_network(self) -> FieldNetworkFit | None:
        """The networks of a map; ``None`` where there are none."""
        if self.network is None or self.maps.sharing in ("", "joint"):
            return None
        from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit

        assert isinstance(self.network, FieldNetworkFit)
        return self.network

    def required_network(self) -> NetworkFit:
        """The trained networks of one curve.

        Raises
        ------
        AttributeError
            If the result does not come from such a network.
        """
        if self.network is None or self.field_network is not None:
            whose = "which has no network" if self.network is None else "which is one of a map"
            raise AttributeError(
                f"this result comes from the {self.estimate.description}, {whose}; "
                'fit with estimator="pinn" and spatial="mean" for one.'
            )
        from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit

        assert isinstance(self.network, NetworkFit)
        return self.network

    def some_network(self) -> NetworkFit | FieldNetworkFit:
        """The trained networks, of one curve or of a map.

        Raises
        ------
        AttributeError
            If the result does not come from a network.
        """
        return self.required_network() if self.field_network is None else self.field_network

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


class _Shown(Estimate):
    """An estimate of some of the windows."""

    def __init__(self, whole: Estimate, places: tuple[int, ...]) -> None:
        self.whole, self.places = whole, places
        self.description = whole.description

    @property
    def labels(self) -> tuple[str, ...]:
        """One label for each member."""
        return self.whole.labels

    def parameter(self, name: str) -> Any:
        """A parameter, ``(n_member, …space…, window)``."""
        return _taken(self.whole.parameter(name), self.places, -1)

    def integrity(self, dose: np.ndarray) -> Any:
        """Integrity at some doses, ``(n_member, …space…, window, n_dose)``."""
        return _taken(self.whole.integrity(dose), self.places, -2)

    def intensity(self, dose: np.ndarray) -> Any:
        """Modelled intensity, ``(n_member, …space…, window, n_dose)``."""
        return _taken(self.whole.intensity(dose), self.places, -2)

    def dose_at(self, level: float) -> Any:
        """Dose at which integrity falls to a level, ``(n_member, …space…, window)``."""
        return _taken(self.whole.dose_at(level), self.places, -1)

    def mean_dose_at(self, level: float) -> Any:
        """Mean of the doses at a level, ``(…space…, window)``."""
        return _taken(self.whole.mean_dose_at(level), self.places, -1)

    def change_dose(self, largest: float) -> Any:
        """Dose at which half of the change up to a largest dose is done."""
        return _taken(self.whole.change_dose(largest), self.places, -1)


#: Maps that are more than a parameter, by name.
_MAPS: Mapping[str, Callable[[KineticsNumbers], Any]] = {
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
    "shrinkage": lambda numbers: numbers._field("shrinkage"),
    "not_fitted": lambda numbers: numbers._field("dead") != 0,
}


def checked_doses(dose: Any) -> np.ndarray:
    """Doses to ask for, ``(n_dose,)``, checked.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If there is none, or one is negative or not finite.
    """
    remedy = "give one or more doses in the unit of the series, counted from zero"
    found = np.atleast_1d(real_numbers("dose", dose, remedy))
    if found.ndim != 1 or not found.size or np.any(found < 0):
        raise ValueError(f"dose={short(dose)} must be a row of doses, none negative; {remedy}.")
    return found


def _checked_integrity(name: str, level: Any) -> float:
    return real_number(
        name, level, "give an integrity between 0 and 1, such as 0.5", above=0.0, below=1.0
    )


def quantity_of(name: str, dose_unit: str) -> str:
    """What a map holds, with its unit."""
    texts = {
        "rate": "Rate constant k (per normalised dose)",
        "exponent": "Exponent p",
        "plateau": "Plateau C∞",
        "amplitude": "Amplitude a",
        "offset": "Offset b",
        "rate_per_dose": with_unit("Rate constant", inverse_unit(dose_unit)),
        "half_integrity_dose": with_unit("Half-integrity dose", dose_unit),
        "critical_dose": with_unit("Critical dose", dose_unit),
        "half_change_dose": with_unit("Half-change dose", dose_unit),
        "dose_at": with_unit("Dose at a level of integrity", dose_unit),
        "integrity": "Latent integrity C",
        "fitted": "Fitted intensity",
        "log_evidence": "Logarithm of the evidence",
        "shrinkage": "Share of the others in the answer of a pixel",
    }
    return texts.get(name, name)


def window_first(array: Any) -> Any:
    """``(window, …space…)`` of an array ``(…space…, window)``."""
    return np.moveaxis(array, -1, 0)


def _taken(array: Any, places: tuple[int, ...] | None, axis: int) -> Any:
    """Some windows of an array; all where there are no places."""
    if places is None:
        return array
    return np.take(array, list(places), axis=axis)
