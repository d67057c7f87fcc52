# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the data determine: the intervals, flags and certificate of a kinetics result."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.network.certificate import Certificate

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


class KineticsIntervals:
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> lower, upper = result.interval("rate", level=0.68)
        >>> bool((lower.data < upper.data).all())
        True
        >>> lower, upper = result.interval("dose_at", dose_level=0.8, method="profile")
        >>> result.interval("integrity")[0]
        <DoseSeries, title: integrity, dimensions: (4|101)>
        """
        from hyperspy_dosekin.kinetics.posterior.quantities import check_level

        check_level(level)
        if method not in INTERVAL_METHODS:
            raise ValueError(f"method={method!r} is not one of {INTERVAL_METHODS}.")
        scales = {**dict.fromkeys(self._maps.parameter_names, "none"), **INTERVAL_SCALES}
        if "rate" not in scales:
            del scales["rate_per_dose"]
        if name not in scales:
            raise ValueError(f"name={name!r} is not one of {tuple(scales)}.")
        if name == "dose_at" and not 0 < dose_level < 1:
            raise ValueError(f"dose_level={dose_level} must lie between 0 and 1, such as 0.5.")
        scale = {"none": 1.0, "dose": self.dose_max, "per dose": 1 / self.dose_max}[scales[name]]
        grid = np.linspace(0.0, self.dose_max, DOSE_GRID)
        ends = self._maps.interval(
            "rate" if name == "rate_per_dose" else name,
            level,
            method,
            dose_level=dose_level,
            normalised_dose=tuple(grid / self.dose_max) if name == "integrity" else (),
        )
        if name == "integrity":
            return tuple(self._series(end, grid, name) for end in ends)
        return tuple(self._map(end[..., 0] * scale, name) for end in ends)

    def integrity_interval(
        self, dose: np.ndarray, level: float = 0.95, method: str = "posterior"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Interval of the integrity at any doses, arrays ``(…space…, window, n_dose)``.

        Parameters
        ----------
        dose
            Doses in e⁻/Å², shape ``(n_dose,)``.
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> lower, upper = result.integrity_interval([0.0, 700.0])
        >>> lower.shape
        (4, 2)
        """
        normalised = tuple(np.asarray(dose) / self.dose_max)
        return self._maps.interval("integrity", level, method, normalised_dose=normalised)

    def intensity_interval(self, dose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> lower, upper = result.intensity_interval(result.dose)
        >>> bool(((lower < result.data.data) & (result.data.data < upper)).mean() > 0.8)
        True
        """
        return self._maps.band(tuple(np.asarray(dose) / self.dose_max))

    @property
    def identifiable(self) -> BaseSignal:
        """Whether the data determine D½.

        ``False`` where the posterior standard deviation of ln D½ is above 0.25, or the 95 %
        profile interval of ln D½ is wider than 1. A good fit does not make it ``True``: a
        straight line is fitted well by any D½.

        Raises
        ------
        ValueError
            If that was not examined, because the fit was made with ``intervals=False``.
        """
        if not self.has_intervals:
            raise ValueError(
                "whether the data determine D½ was not examined, because the fit was made with "
                "intervals=False; repeat it with intervals=True."
            )
        return self._map(self._maps.field("identifiable") == 1, "identifiable")

    @property
    def not_fitted(self) -> BaseSignal:
        """Pixels and windows without an estimate: dead, constant, or with too few frames."""
        return self._map(self._maps.field("dead") != 0, "not_fitted")

    @property
    def certificate(self) -> Certificate:
        """How far the networks are from the exact solution of the same problem.

        Raises
        ------
        AttributeError
            If the result does not come from a network.
        """
        from hyperspy_dosekin.kinetics.network.certificate import certify

        return certify(self.network, self._maps.as_fit(), self._options.as_prior())
