# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fit of whole spectra found, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.posterior.quantities import Quantity, check_level
from hyperspy_dosekin.kinetics.spectra.fit import SpectraFit
from hyperspy_dosekin.kinetics.spectra.number import LEVEL
from hyperspy_dosekin.kinetics.spectra.summary import (
    ComponentSummary,
    component_interval,
    component_values,
    half_doses,
    integrities,
    spectra_interval,
    spectra_of,
    summary,
)
from hyperspy_dosekin.numerics.arguments import real_number
from hyperspy_dosekin.signals.kinetics.spectra.origin import SpectraOrigin
from hyperspy_dosekin.signals.signatures import did_you_mean

if TYPE_CHECKING:
    from pandas import DataFrame

    from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

#: Doses at which curves are drawn.
_GRID = 201
#: p-value of the test of fit below which the law does not describe the spectra.
_LEAST_ADEQUATE = 0.01
#: Ends of intervals that were asked for, by quantity, level and level of integrity.
_Kept = dict[tuple[str, float, "float | None"], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False, repr=False)
class SpectraNumbers:
    """The numbers of a fit of whole spectra; see `DoseSpectra`, which shows them as signals."""

    fit: SpectraFit
    origin: SpectraOrigin
    known_residue: np.ndarray
    maps: DoseKinetics | None = None
    _kept: _Kept = field(default_factory=dict, init=False)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.fit.n_component

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components, from the fastest."""
        return tuple(f"component {place + 1}" for place in range(self.n_components))

    @property
    def dose(self) -> np.ndarray:
        """Cumulative doses of the frames, ``(n_dose,)``."""
        return self.fit.problem.dose

    @property
    def dose_scale(self) -> float:
        """Dose that counts as 1 in rates."""
        return self.fit.problem.scale

    @property
    def dose_unit(self) -> str:
        """Unit of the doses; empty where the series does not say."""
        return self.origin.dose_unit

    @property
    def rank_test(self) -> DataFrame:
        """Test of the number of components, one row for each that was looked for.

        Columns ``component``; ``signal_to_noise``, its size over the largest that noise alone has
        on average; ``p``, the probability that noise alone has one as large; and ``seen``.
        """
        from pandas import DataFrame

        rows = [(t.n_component, t.signal_to_noise, t.p, t.p <= LEVEL) for t in self.fit.tests]
        return DataFrame(rows, columns=["component", "signal_to_noise", "p", "seen"])

    @property
    def values(self) -> Mapping[str, np.ndarray]:
        """Numbers of the components by name, ``(n_component,)`` each."""
        return self._values

    @cached_property
    def _values(self) -> dict[str, np.ndarray]:
        found = component_values(self.fit)
        if "rate" in found:
            found["rate_per_dose"] = found["rate"] / self.dose_scale
        found["half_integrity_dose"] = half_doses(self.fit) * self.dose_scale
        found["critical_dose"] = half_doses(self.fit, float(np.exp(-1))) * self.dose_scale
        return {name: np.where(np.isfinite(each), each, np.nan) for name, each in found.items()}

    @cached_property
    def _summary(self) -> ComponentSummary:
        return summary(self.fit, self.origin.dose_error.scale)

    @property
    def flags(self) -> Mapping[str, np.ndarray]:
        """Flags of the components by name, ``(n_component,)`` each: what `identifiable` shows."""
        with np.errstate(invalid="ignore"):
            reached = self.values["half_integrity_dose"] <= self.dose[-1]
        return {"identifiable": self._summary.identifiable, "reached": reached}

    @property
    def adequate(self) -> bool:
        """Whether the law describes the spectra: components of another form would not do better."""
        return not self.fit_p < _LEAST_ADEQUATE

    @property
    def fit_p(self) -> float:
        """Probability that spectra of the law leave as much as these do; NaN where it is unknown.

        Integrities of the law are compared with integrities of any form.
        """
        return self.fit.adequacy

    def interval_values(
        self, name: str, level: float = 0.95, *, dose_level: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `interval`, but arrays.

        Parameters
        ----------
        name, level, dose_level
            As for `interval`.

        Returns
        -------
        (lower, upper), arrays ``(n_component,)``; ``(n_component, n_dose)`` of the integrity,
        ``(n_component, n_channel)`` of spectra and ``(n_channel,)`` of the residue.

        Raises
        ------
        ValueError
            As for `interval`.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> found = s.fit_dose_spectra(1, energy_range=(8.0, 20.0))
        >>> found.interval_values("rate")[0].shape
        (1,)
        """
        check_level(level)
        if dose_level is not None:
            remedy = "give an integrity between 0 and 1"
            dose_level = real_number("dose_level", dose_level, remedy, above=0.0, below=1.0)
        key = (str(name), float(level), dose_level)
        if key not in self._kept:
            self._kept[key] = self._interval(name, level, dose_level)
        return self._kept[key]

    def _interval(
        self, name: str, level: float, dose_level: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        names = [*component_values(self.fit), "half_integrity_dose", "dose_at", "integrity"]
        known = [*names, "rate_per_dose", "critical_dose", "spectra", "residue"]
        if not isinstance(name, str) or name not in known:
            meant = did_you_mean(str(name), known)
            raise ValueError(
                f"interval({name!r}): there is no such quantity{meant} There are "
                f"{', '.join(known)}."
            )
        if name in ("spectra", "residue"):
            # Both come with one pass over the nodes.
            ends = spectra_interval(self.fit, level)
            low, high = (end[-1] + self.known_residue for end in ends)
            self._kept["residue", float(level), dose_level] = low, high
            self._kept["spectra", float(level), dose_level] = ends[0][:-1], ends[1][:-1]
            return self._kept[name, float(level), dose_level]
        asked = {"rate_per_dose": "rate", "critical_dose": "dose_at"}.get(name, name)
        at = float(np.exp(-1)) if name == "critical_dose" else dose_level
        grid = tuple(self.grid / self.dose_scale) if asked == "integrity" else ()
        ends = component_interval(self.fit, Quantity(asked, at, grid), level)
        is_dose = asked in ("half_integrity_dose", "dose_at")
        if not is_dose and name != "rate_per_dose":
            return ends
        lower, upper = (end * self.dose_scale if is_dose else end / self.dose_scale for end in ends)
        middle = self.values.get(name, np.sqrt(lower * upper))
        return self.origin.dose_error.widened(lower, upper, middle, level)

    @property
    def grid(self) -> np.ndarray:
        """Doses at which curves are drawn, from zero to the largest."""
        return np.linspace(0.0, float(self.dose[-1]), _GRID)

    @cached_property
    def spectra_values(self) -> np.ndarray:
        """Spectra of components and residue, ``(n_component + 1, n_channel)``."""
        measured = integrities(self.fit, self.dose / self.dose_scale)
        return spectra_of(self.fit, measured)[0]

    @cached_property
    def fitted_values(self) -> np.ndarray:
        """What the fit makes of the spectra without what was known, ``(n_dose, n_channel)``."""
        measured = integrities(self.fit, self.dose / self.dose_scale)
        curves = np.concatenate([measured, np.ones((1, self.dose.size))])
        return self.fit.frame_factors[:, None] * (curves.T @ self.spectra_values)
