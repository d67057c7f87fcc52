# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a kinetics fit, as HyperSpy signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.signals.axes.wrapping import make_dose_series, make_map
from hyperspy_dosekin.signals.kinetics.estimates import Estimate, ExactEstimate, NetworkEstimate
from hyperspy_dosekin.signals.kinetics.intervals import DOSE_GRID, KineticsIntervals
from hyperspy_dosekin.signals.kinetics.law_names import KNOWN_EXPONENTS
from hyperspy_dosekin.signals.kinetics.plots import KineticsPlots
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.history import History
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.signals.kinetics.dose_series import DoseSeries
    from hyperspy_dosekin.signals.kinetics.maps import ExactMaps
    from hyperspy_dosekin.signals.kinetics.options import FitOptions

#: What each parameter map holds, with its unit.
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "rate": "Rate constant k (per normalised dose)",
        "exponent": "Exponent p",
        "plateau": "Plateau C∞",
        "amplitude": "Amplitude a",
        "offset": "Offset b",
        "rate_per_dose": "Rate constant (Å²/e⁻)",
        "half_integrity_dose": "Half-integrity dose (e⁻/Å²)",
        "critical_dose": "Critical dose (e⁻/Å²)",
        "integrity": "Latent integrity C",
        "fitted": "Fitted intensity",
    }
)


class DoseKinetics(KineticsIntervals, KineticsPlots):
    """Degradation kinetics of the windows of a dose series.

    Made by `DoseSeries.fit_dose_pinn`, `EELSSpectrum.fit_dose_pinn` or
    `hyperspy_dosekin.load`. Each window i has a latent integrity C_i(φ) with
    dC_i/dφ = −k_i C_i^{p_i} (or another law, see `law`) and C_i(0) = 1, read out as the intensity
    a_i C_i + b_i, where φ is the dose divided by the largest measured dose. The names of windows
    are labels of fixed energy ranges, not assignments of bonds.

    A map is an array ``(window, …space…)``: navigation is the window and the signal is space;
    without space axes it is a one-dimensional signal over the windows.

    References
    ----------
    G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

    Examples
    --------
    >>> import hyperspy_dosekin
    >>> s = hyperspy_dosekin.data.dose_series(processed=True)
    >>> result = s.fit_dose_pinn(estimator="exact")
    >>> result
    <DoseKinetics, 4 windows, 9 doses, exact estimator...>
    >>> result.half_integrity_dose.data.shape
    (4,)
    >>> lower, upper = result.interval("half_integrity_dose")
    >>> result.identifiable.data.tolist()
    [False, False, False, False]
    """

    def __init__(
        self,
        data: SeriesData,
        maps: ExactMaps,
        options: FitOptions,
        *,
        network: NetworkFit | None = None,
    ) -> None:
        self._data = data
        self._maps = maps
        self._options = options
        self._network = network
        self._estimate: Estimate = (
            ExactEstimate(maps) if network is None else NetworkEstimate(network)
        )

    # What was fitted, and how

    @property
    def data(self) -> DoseSeries:
        """The fitted series: sorted by dose and, for a fit of the mean, averaged over space."""
        series = self._series(self._data.values, self._data.dose_e_per_a2, self._data.title)
        series.metadata.Signal.quantity = self._data.quantity
        if self._data.variance is not None:
            series.set_noise_variance(
                self._series(self._data.variance, self._data.dose_e_per_a2, "Noise variance")
            )
        return series

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        return self._data.window_names

    @property
    def dose(self) -> np.ndarray:
        """Measured cumulative doses, ascending, e⁻/Å²."""
        return self._data.dose_e_per_a2.copy()

    @property
    def dose_max(self) -> float:
        """Largest measured dose, e⁻/Å²: the unit of normalised dose."""
        return float(self._data.dose_e_per_a2[-1])

    @property
    def options(self) -> FitOptions:
        """The options of the fit."""
        return self._options

    @property
    def law(self) -> str:
        """Name of the kinetic law that was fitted."""
        return self.kinetic_law.name

    @property
    def kinetic_law(self) -> KineticLaw:
        """The law that was fitted; without its code where it came from a file and is not known."""
        from hyperspy_dosekin.kinetics.laws.registry import kinetic_law

        return kinetic_law(self._options.law)

    @property
    def estimate(self) -> Estimate:
        """What the estimator returned, member by member, as arrays."""
        return self._estimate

    @property
    def maps(self) -> ExactMaps:
        """What the exact estimator says of the data, as arrays; lazy where the data are."""
        return self._maps

    @property
    def is_lazy(self) -> bool:
        """Whether the result has not been computed yet; see `compute`."""
        return is_lazy(self._maps.fields)

    @property
    def has_intervals(self) -> bool:
        """Whether intervals and flags were computed with the fit."""
        return self._options.intervals

    @property
    def dose_metadata(self) -> dict[str, Any]:
        """The ``Dose`` node of the metadata of the data."""
        return dict(self._data.dose_metadata)

    @property
    def has_network(self) -> bool:
        """Whether the result comes from a network."""
        return self._network is not None

    @property
    def space_shape(self) -> tuple[int, ...]:
        """Sizes of the space axes, in the order of the arrays; empty for a fit of the mean."""
        return self._data.space_shape

    @property
    def complete(self) -> bool:
        """``False`` where the fit was interrupted and the result is what was there by then."""
        return self._maps.complete and (self._network is None or self._network.complete)

    @property
    def network(self) -> NetworkFit:
        """The trained networks.

        Raises
        ------
        AttributeError
            If the result does not come from a network.
        """
        if self._network is None:
            raise AttributeError(
                f"this result comes from the {self._estimate.description}, which has no network; "
                'fit with estimator="pinn" and spatial="mean" for one.'
            )
        return self._network

    @property
    def history(self) -> History:
        """Loss terms by iteration of a network fit."""
        return self.network.history

    # Trajectories

    @property
    def integrity(self) -> DoseSeries:
        """Latent integrity C(Φ) from dose 0 to the largest, mean over members."""
        grid = np.linspace(0.0, self.dose_max, DOSE_GRID)
        return self._series(self._estimate.mean_integrity(grid), grid, "integrity")

    @property
    def fitted(self) -> DoseSeries:
        """Modelled intensity a C + b at the measured doses, mean over members."""
        return self.predict(self._data.dose_e_per_a2)

    def predict(self, dose: Any) -> DoseSeries:
        """Modelled intensity a C + b at any doses.

        Parameters
        ----------
        dose
            Ascending doses in e⁻/Å², counted from true zero. Beyond the largest measured dose
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> result.predict([0, 1000, 2000, 4000])
        <DoseSeries, title: fitted..., dimensions: (4|4)>
        """
        doses = np.atleast_1d(np.asarray(dose, dtype=np.float64))
        if np.any(np.diff(doses) <= 0):
            raise ValueError(f"doses {doses.tolist()} must ascend; sort them and drop repeats.")
        return self._series(self._estimate.mean_intensity(doses), doses, "fitted")

    # Maps

    @property
    def parameters(self) -> Mapping[str, BaseSignal]:
        """A map of every parameter of the law, by its name."""
        names = self._maps.parameter_names
        return MappingProxyType({name: self._map(self._mean(name), name) for name in names})

    @property
    def rate(self) -> BaseSignal:
        """Rate constant k per normalised dose.

        Raises
        ------
        AttributeError
            If the law has none.
        """
        return self._map(self._law_parameter("rate"), "rate")

    @property
    def exponent(self) -> BaseSignal:
        """Exponent p; 1 for a fit of first order.

        Raises
        ------
        AttributeError
            If the law has none.
        """
        return self._map(self._law_parameter("exponent"), "exponent")

    @property
    def amplitude(self) -> BaseSignal:
        """Amplitude a in the unit of the data; negative where a window grows with dose."""
        return self._map(self._mean("amplitude"), "amplitude")

    @property
    def offset(self) -> BaseSignal:
        """Offset b in the unit of the data."""
        return self._map(self._mean("offset"), "offset")

    @property
    def rate_per_dose(self) -> BaseSignal:
        """Rate constant k/Φ_max, in Å²/e⁻."""
        return self._map(self._law_parameter("rate") / self.dose_max, "rate_per_dose")

    @property
    def half_integrity_dose(self) -> BaseSignal:
        """D½, the dose at which C is ½, e⁻/Å²; NaN where it never is."""
        return self.dose_at(0.5)

    @property
    def critical_dose(self) -> BaseSignal:
        """The dose at which C is 1/e, e⁻/Å²."""
        return self.dose_at(1 / math.e)

    def dose_at(self, level: float = 0.5) -> BaseSignal:
        """Dose at which the integrity has fallen to a level.

        Parameters
        ----------
        level
            Integrity between 0 and 1.

        Returns
        -------
        BaseSignal
            Map of doses in e⁻/Å². Doses beyond the measured range are extrapolated by the law,
            see `reached`; NaN where the integrity never falls so far.

        Raises
        ------
        ValueError
            If the level does not lie between 0 and 1.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> earlier, later = result.dose_at(0.8), result.dose_at(0.5)
        >>> bool((earlier.data < later.data).all())
        True
        """
        return self._map(self._mean_dose_at(level), _quantity_of_level(level))

    @property
    def reached(self) -> BaseSignal:
        """Whether D½ lies inside the measured range of doses."""
        dose = self._mean_dose_at(0.5)
        inside = (dose >= self._data.dose_e_per_a2[0]) & (dose <= self.dose_max)
        return self._map(inside, "reached")

    @property
    def optimiser_spread(self) -> Mapping[str, BaseSignal]:
        """Standard deviation over the members of an ensemble, by name of the quantity.

        It says how well the optimiser repeats itself, which is not an uncertainty: members can
        agree on a wrong number that the data do not determine. Empty without an ensemble.
        """
        if len(self._estimate.labels) < 2:
            return MappingProxyType({})
        grid = np.linspace(0.0, self.dose_max, DOSE_GRID)
        measured = self._data.dose_e_per_a2
        rate = self._estimate.parameter("rate")
        maps = {
            **{
                name: self._estimate.parameter(name) for name in ("exponent", "amplitude", "offset")
            },
            "rate": rate,
            "rate_per_dose": rate / self.dose_max,
            "half_integrity_dose": _finite(self._estimate.dose_at(0.5)),
        }
        spread = {name: self._map(value.std(axis=0, ddof=1), name) for name, value in maps.items()}
        for name, dose, value in (
            ("integrity", grid, self._estimate.integrity(grid)),
            ("fitted", measured, self._estimate.intensity(measured)),
        ):
            spread[name] = self._series(value.std(axis=0, ddof=1), dose, name)
        return MappingProxyType(spread)

    @property
    def exact(self) -> DoseKinetics:
        """The same problem solved by the exact estimator, to compare a network with."""
        return DoseKinetics(self._data, self._maps, self._options)

    def compute(self, *, show_progressbar: bool | None = None) -> None:
        """Compute a lazy result in place, with one pass over the data.

        Parameters
        ----------
        show_progressbar
            Whether to show progress; ``None`` takes HyperSpy's preference.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True, lazy=True)
        >>> result = s.fit_dose_pinn(intervals=False)
        >>> result.is_lazy
        True
        >>> result.compute(show_progressbar=False)
        >>> result.is_lazy
        False
        """
        maps = self._maps.computed(show_progressbar)
        if maps is not self._maps:
            self.__init__(self._data, maps, self._options, network=self._network)

    # To read and to keep

    def __repr__(self) -> str:
        """One line: what was fitted, and how."""
        shape = "×".join(str(size) for size in self.space_shape)
        parts = [f"{shape} pixels"] if shape else []
        parts += [f"{len(self.window_names)} windows", f"{self.dose.size} doses"]
        parts += [self._estimate.description]
        parts += [] if self.complete else ["incomplete"]
        parts += ["lazy"] if self.is_lazy else []
        if not shape and not self.is_lazy and self.has_intervals:
            flags = zip(self.window_names, self.identifiable.data, strict=True)
            undetermined = [name for name, flag in flags if not flag]
            if undetermined:
                parts.append(f"D½ not determined in {', '.join(undetermined)}")
        return f"<DoseKinetics, {', '.join(parts)}>"

    def __str__(self) -> str:
        """Table of parameters, with the warnings that apply."""
        from hyperspy_dosekin.signals.kinetics.table import kinetics_text

        return kinetics_text(self)

    def _repr_html_(self) -> str:
        from hyperspy_dosekin.signals.kinetics.table import kinetics_html

        return kinetics_html(self)

    def as_model(self) -> Any:
        """Make a HyperSpy model of the data with the fitted law as its component.

        Returns
        -------
        hyperspy.models.model1d.Model1D
            Model of `data` with one `PowerLawDegradation`, its values set at every pixel and
            window. A network fit gives the law with the mean of its parameters. Lazy results
            are computed.

        Raises
        ------
        ValueError
            If the law is neither the power law nor first order, for which there is no component.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> model = result.as_model()
        >>> [component.name for component in model]
        ['PowerLawDegradation']
        """
        from hyperspy_dosekin.signals.kinetics.model import kinetics_model

        return kinetics_model(self)

    def save(self, path: Any, *, overwrite: bool | None = None) -> None:
        """Save the result to a ``.hspy`` or ``.zspy`` file, without pickle.

        HyperSpy opens the file as the fitted `DoseSeries`; `hyperspy_dosekin.load` gives back
        the whole result. Of a law that is not registered the name, the parameters and all
        numbers are stored; its code is not.

        Parameters
        ----------
        path
            File name; ``.hspy`` is added where there is no extension.
        overwrite
            As for `hyperspy.signals.BaseSignal.save`.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     result.save(f"{folder}/kinetics.hspy")
        ...     same = hyperspy_dosekin.load(f"{folder}/kinetics.hspy")
        >>> bool((same.rate.data == result.rate.data).all())
        True
        """
        from hyperspy_dosekin.signals.kinetics.file import save

        save(self, path, overwrite=overwrite)

    # Plumbing

    def _mean(self, name: str) -> Any:
        return self._estimate.mean_parameter(name)

    def _law_parameter(self, name: str) -> Any:
        """A parameter of the law, or what the law knows of it."""
        if name in self._maps.parameter_names:
            return self._mean(name)
        if name == "exponent" and self.law in KNOWN_EXPONENTS:
            # NaN where nothing was fitted.
            return 0 * self._mean("rate") + KNOWN_EXPONENTS[self.law]
        raise AttributeError(
            f"the kinetic law {self.law!r} has no {name}; its parameters are "
            f"{', '.join(self._maps.parameter_names)}, see result.parameters."
        )

    def _mean_dose_at(self, level: float) -> Any:
        if not 0 < level < 1:
            raise ValueError(f"level={level} must lie between 0 and 1, for instance 0.5.")
        return self._estimate.mean_dose_at(level)

    def _map(self, array: Any, name: str) -> BaseSignal:
        return make_map(
            array,
            self._data.space_axes,
            self.window_names,
            title=name.replace("_", " "),
            quantity=QUANTITIES.get(name, name),
        )

    def _series(self, array: Any, dose: np.ndarray, name: str) -> DoseSeries:
        return make_dose_series(
            array,
            dose,
            self._data.space_axes,
            self.window_names,
            title=name,
            quantity=QUANTITIES.get(name, name),
            dose_metadata=self._data.dose_metadata,
        )


def _finite(dose: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(dose), dose, np.nan)


def _quantity_of_level(level: float) -> str:
    if level == 0.5:
        return "half_integrity_dose"
    if level == 1 / math.e:
        return "critical_dose"
    return f"Dose at integrity {level:g} (e⁻/Å²)"
