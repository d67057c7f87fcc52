# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps and trajectories of a kinetics result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.kinetics.numbers.absorbed import cross_section
from hyperspy_dosekin.signals.kinetics.numbers.quantities import checked_doses
from hyperspy_dosekin.signals.kinetics.numbers.sharing import shared_maps
from hyperspy_dosekin.signals.kinetics.result.face import Face
from hyperspy_dosekin.signals.kinetics.result.population import PopulationTable
from hyperspy_dosekin.signals.kinetics.result.quantities import KineticQuantities

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.signals import BaseSignal, Signal1D


@dataclass(frozen=True, eq=False, repr=False)
class KineticsMaps(Face, KineticQuantities):
    """Methods of `DoseKinetics` that give its numbers as signals."""

    # Trajectories

    @property
    def integrity(self) -> Signal1D:
        """Latent integrity C(Φ) from dose 0 to the largest, a `DoseSeries`, mean over members."""
        grid = self.numbers.grid
        return self._series(self.numbers.estimate.mean_integrity(grid), grid, "integrity")

    @property
    def fitted(self) -> Signal1D:
        """Modelled intensity a C + b at the measured doses, a `DoseSeries`, mean over members."""
        return self.predict(self.numbers.dose)

    def predict(self, dose: npt.ArrayLike) -> Signal1D:
        """Modelled intensity a C + b at any doses.

        Parameters
        ----------
        dose
            Ascending doses in `dose_unit`, counted from true zero. Beyond the largest measured dose
            the fitted law continues.

        Returns
        -------
        DoseSeries
            Array ``(…space…, window, dose)`` in the unit of the data, mean over members.

        Raises
        ------
        ValueError
            If a dose is negative or not finite, or the doses do not ascend.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> result.predict([0, 1000, 2000, 4000])
        <DoseSeries, title: fitted..., dimensions: (4|4)>
        """
        doses = checked_doses(dose)
        if np.any(np.diff(doses) <= 0):
            raise ValueError(f"doses {doses.tolist()} must ascend; sort them and drop repeats.")
        return self._series(self.numbers.estimate.mean_intensity(doses), doses, "fitted")

    # Maps

    @property
    def parameters(self) -> Mapping[str, BaseSignal]:
        """A map of every parameter of the law, by its name."""
        names = self.numbers.parameter_names
        return MappingProxyType({name: self._signal(name) for name in names})

    @property
    def amplitude(self) -> BaseSignal:
        """Amplitude a in the unit of the data; negative where a window grows with dose."""
        return self._signal("amplitude")

    @property
    def offset(self) -> BaseSignal:
        """Offset b in the unit of the data."""
        return self._signal("offset")

    @property
    def cross_section(self) -> BaseSignal:
        """Cross section σ in barn of a first-order decay exp(−σ Φ): its rate constant.

        Raises
        ------
        ValueError
            If the law is not first order, or the dose is no fluence in e⁻/Å².
        """
        return self._map(cross_section(self.numbers), "cross_section", "Cross section (barn)")

    @property
    def half_change_dose(self) -> BaseSignal:
        """Dose at which half of the change within the measured range is done.

        C is then halfway between 1 and its value at the largest dose. It lies between measured
        frames, so that it hardly depends on the law, and says nothing of what comes after them.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> bool((result.half_change_dose.data < result.dose[-1]).all())
        True
        """
        return self._signal("half_change_dose")

    def masked(self, name: str = "half_integrity_dose") -> BaseSignal:
        """A map with NaN where the data do not determine D½.

        Parameters
        ----------
        name
            Name of a map: ``"half_integrity_dose"``, ``"critical_dose"``, ``"rate"``, ….

        Returns
        -------
        BaseSignal
            The map, of floating point numbers.

        Raises
        ------
        AttributeError
            If the law has no such parameter.
        ValueError
            If the fit was made with ``intervals=False``, so that nothing is known of it.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> result.masked().data
        array([nan, nan, nan, nan])
        """
        array, known = self.numbers.map(name), self.numbers.map("identifiable")
        # NumPy hands arrays of dask to dask.
        return self._map(np.where(known, array, np.nan), name)

    def dose_at(self, level: float = 0.5) -> BaseSignal:
        """Dose at which the integrity has fallen to a level.

        Parameters
        ----------
        level
            Integrity between 0 and 1.

        Returns
        -------
        BaseSignal
            Map of doses in `dose_unit`. Doses beyond the measured range are extrapolated by the
            law, see `reached`; NaN where the integrity never falls so far.

        Raises
        ------
        ValueError
            If the level does not lie between 0 and 1.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> earlier, later = result.dose_at(0.8), result.dose_at(0.5)
        >>> bool((earlier.data < later.data).all())
        True
        """
        known = {0.5: "half_integrity_dose", 1 / math.e: "critical_dose"}
        array = self.numbers.dose_at(level)
        quantity = with_unit(f"Dose at integrity {level:g}", self.numbers.dose_unit)
        if level in known:
            return self._map(array, known[level])
        return self._map(array, quantity, quantity)

    @property
    def population(self) -> PopulationTable:
        """What the pixels share: mean and spread of every parameter, with 95 % intervals.

        ``result.population["C–O", "rate"].spread`` is one of its numbers, ``print`` shows all.

        Raises
        ------
        AttributeError
            If they share nothing: fit with ``spatial="population"`` or ``spatial="field"``.
        """
        return PopulationTable.of(self.numbers)

    @property
    def shrinkage(self) -> BaseSignal:
        """How much of the answer of a pixel comes from the others.

        The variance of ln D½ after the data of the pixel itself, divided by that before them: 0
        where it speaks for itself, 1 where its answer is that of the population or the neighbours.

        Raises
        ------
        AttributeError
            If pixels share nothing: fit with ``spatial="population"`` or ``spatial="field"``.
        """
        shared_maps(self.numbers)
        return self._signal("shrinkage")

    @property
    def log_evidence(self) -> BaseSignal:
        """Logarithm of the probability of the data under law and priors, up to a constant.

        The constant is the same for all laws with the same data and options. `compare_laws` does
        more with it.

        Raises
        ------
        ValueError
            If the fit was made with ``intervals=False``.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> power = s.fit_dose_pinn(estimator="exact")
        >>> first = s.fit_dose_pinn(estimator="exact", law="first order")
        >>> (power.log_evidence.data - first.log_evidence.data).shape
        (4,)
        """
        return self._signal("log_evidence")

    @property
    def optimiser_spread(self) -> Mapping[str, BaseSignal]:
        """Standard deviation over the members of an ensemble, by name of the quantity.

        It says how well the optimiser repeats itself, which is not an uncertainty: members can
        agree on a wrong number that the data do not determine. Empty without an ensemble.
        """
        numbers, estimate = self.numbers, self.numbers.estimate
        if len(estimate.labels) < 2:
            return MappingProxyType({})
        spread = {name: self._map(each, name) for name, each in numbers.spread_of_maps.items()}
        for name, dose, value in (
            ("integrity", numbers.grid, estimate.integrity(numbers.grid)),
            ("fitted", numbers.dose, estimate.intensity(numbers.dose)),
        ):
            spread[name] = self._series(value.std(axis=0, ddof=1), dose, name)
        return MappingProxyType(spread)
