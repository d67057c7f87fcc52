# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the data determine: the intervals, flags and certificate of a kinetics result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.signals.kinetics.numbers.adequacy import check_table
from hyperspy_dosekin.signals.kinetics.result.face import Face

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal
    from prettytable import PrettyTable

    from hyperspy_dosekin.kinetics.network.certificate import Certificate
    from hyperspy_dosekin.lazy.arrays import Array


@dataclass(frozen=True, eq=False, repr=False)
class KineticsIntervals(Face):
    """Methods of `DoseKinetics` that say how sure its numbers are."""

    def interval(
        self,
        name: str,
        level: float = 0.95,
        method: str = "posterior",
        *,
        dose_level: float = 0.5,
    ) -> tuple[BaseSignal, BaseSignal]:
        """Interval of a quantity: what repeats of the experiment would show.

        Intervals belong to the kinetic law and the data, and come from the exact solution of the
        law, also where a network was fitted.

        Parameters
        ----------
        name
            A parameter of the law (``"rate"`` and ``"exponent"`` for the power law),
            ``"rate_per_dose"``, ``"half_integrity_dose"``, ``"dose_at"`` or ``"integrity"``.
        level
            Probability or confidence of the interval.
        method
            ``"posterior"``: central interval of the posterior with the priors of the fit;
            ``"profile"``: profile likelihood, without priors (for laws other than the power
            law the range over the nodes of a posterior without priors).
        dose_level
            Integrity of ``"dose_at"``.

        Returns
        -------
        lower, upper : BaseSignal
            Maps, or `DoseSeries` for ``"integrity"``. An open interval ends in 0 or infinity.

        Raises
        ------
        ValueError
            If the name or the method is unknown, or the level does not lie between 0 and 1.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> lower, upper = result.interval("rate", level=0.68)
        >>> bool((lower.data < upper.data).all())
        True
        >>> lower, upper = result.interval("dose_at", dose_level=0.8, method="profile")
        >>> result.interval("integrity")[0]
        <DoseSeries, title: integrity, dimensions: (4|101)>
        """
        lower, upper = self.numbers.interval(name, level, method, dose_level)
        if name == "integrity":
            grid = self.numbers.grid
            return self._series(lower, grid, name), self._series(upper, grid, name)
        return self._map(lower, name), self._map(upper, name)

    def integrity_interval(
        self, dose: np.ndarray, level: float = 0.95, method: str = "posterior"
    ) -> tuple[Array, Array]:
        """Interval of the integrity at any doses, arrays ``(…space…, window, n_dose)``.

        Parameters
        ----------
        dose
            Doses in the unit of the series, shape ``(n_dose,)``.
        level
            Probability of the interval, or its confidence.
        method
            As for `interval`.

        Returns
        -------
        lower, upper : numpy.ndarray
            Shape ``(…space…, window, n_dose)``.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> lower, upper = result.integrity_interval([0.0, 700.0])
        >>> lower.shape
        (4, 2)
        """
        return self.numbers.integrity_interval(dose, level, method)

    def intensity_interval(self, dose: np.ndarray) -> tuple[Array, Array]:
        """95 % posterior interval of the fitted intensity a C + b at any doses.

        It says where the curve of the fit lies, with all parameters unknown, and can be narrow
        where nothing else is determined.

        Parameters
        ----------
        dose
            Doses, shape ``(n_dose,)``.

        Returns
        -------
        lower, upper : numpy.ndarray
            Shape ``(…space…, window, n_dose)``, in the unit of the data.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> lower, upper = result.intensity_interval(result.dose)
        >>> bool(((lower < result.data.data) & (result.data.data < upper)).mean() > 0.8)
        True
        """
        return self.numbers.intensity_interval(dose)

    @property
    def adequate(self) -> BaseSignal:
        """Whether the law describes the data: the tests of the residuals, together, do not fail.

        Of right fits one window in twenty fails by chance, however many tests there are. A law with
        a parameter at the end of its box, where correlated noise is taken for what it leaves, does
        not describe the data either.

        Where it is ``False``, D½ is doubtful even if it is `identifiable`, because its interval
        stands on the law. What no residual can show is not in it: where a window ends, and a dose
        that is wrong by a factor. It is lazy where the result is.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> result.adequate.data.shape
        (4,)
        """
        return self._signal("adequate")

    def check(self) -> PrettyTable:
        """Tests of the residuals: χ², Durbin–Watson, single frames, curvature, common gain.

        Returns
        -------
        prettytable.PrettyTable
            One row for each window and test, and one for all its tests together, with the p value
            that noise alone would give, or with space axes the share of pixels of which it is below
            0.05.

        Examples
        --------
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> result.check().field_names
        ['window', 'test', 'value', 'p', 'a small p says']
        """
        return check_table(self.numbers)

    @property
    def not_fitted(self) -> BaseSignal:
        """Pixels and windows without an estimate: dead, constant, or with too few frames."""
        return self._signal("not_fitted")

    @property
    def certificate(self) -> Certificate:
        """How far the networks are from the exact solution of the same problem.

        Raises
        ------
        AttributeError
            If the result does not come from a network.
        """
        return self.numbers.certificate()
