# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a kinetics fit, as HyperSpy signals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.axes.origin import Origin
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.kinetics.absorbed import cross_section
from hyperspy_dosekin.signals.kinetics.estimates import Estimate
from hyperspy_dosekin.signals.kinetics.export import KineticsExport
from hyperspy_dosekin.signals.kinetics.intervals import KineticsIntervals
from hyperspy_dosekin.signals.kinetics.numbers import checked_doses
from hyperspy_dosekin.signals.kinetics.plots import KineticsPlots
from hyperspy_dosekin.signals.kinetics.population import PopulationTable
from hyperspy_dosekin.signals.kinetics.processing_spread import ProcessingSpread, make_spread
from hyperspy_dosekin.signals.kinetics.series_data import relative_errors
from hyperspy_dosekin.signals.kinetics.sharing import shared_maps
from hyperspy_dosekin.signals.kinetics.table import kinetics_html, kinetics_line, kinetics_text

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal, Signal1D

    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.history import History
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.signals.kinetics.maps import ExactMaps
    from hyperspy_dosekin.signals.kinetics.options import FitOptions
    from hyperspy_dosekin.windows.definitions import Window


@dataclass(frozen=True, eq=False, repr=False)
class DoseKinetics(KineticsIntervals, KineticsPlots, KineticsExport):
    """Degradation kinetics of the windows of a dose series.

    Made by `DoseSeries.fit_dose_pinn`, `EELSSpectrum.fit_dose_pinn` or
    `hyperspy_dosekin.load`. Each window i has a latent integrity C_i(φ) with
    dC_i/dφ = −k_i C_i^{p_i} (or another law, see `law`) and C_i(0) = 1, read out as the intensity
    a_i C_i + b_i, where φ is the dose divided by `dose_scale`, by default the
    largest measured dose. The names of windows
    are labels of fixed energy ranges, not assignments of bonds.

    A map is an array ``(window, …space…)``: navigation is the window and the signal is space;
    without space axes it is a one-dimensional signal over the windows. Doses are in the unit of
    the series, `dose_unit`. ``result["C–O"]`` is the result of one window, ``result["C–O", "C–C"]``
    of two. A result does not change: `compute` returns another one.

    Parameters
    ----------
    numbers
        The numbers, see `hyperspy_dosekin.signals.kinetics.numbers.KineticsNumbers`.

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

    def __getitem__(self, windows: str | Sequence[str]) -> DoseKinetics:
        """The result of one window or of some, by name."""
        names = (windows,) if isinstance(windows, str) else windows
        if not isinstance(names, list | tuple) or not names:
            raise KeyError(
                f"there is no window {short(windows)}; give one of "
                f"{', '.join(map(repr, self.window_names))}, or a list of them."
            )
        return DoseKinetics(self.numbers.select(names))

    # What was fitted, and how

    @property
    def data(self) -> Signal1D:
        """The fitted `DoseSeries`: sorted by dose and, for a fit of the mean, averaged."""
        data = self.numbers.data
        series = self._series(data.values, data.dose, data.title)
        series.metadata.Signal.quantity = data.quantity
        if data.variance is not None:
            series.set_noise_variance(self._series(data.variance, data.dose, "Noise variance"))
        attach_shared_errors(series, relative_errors(data))
        return series

    @property
    def window_names(self) -> tuple[str, ...]:
        """Labels of the windows."""
        return self.numbers.window_names

    @property
    def windows(self) -> tuple[Window, ...] | None:
        """The windows with their limits; ``None`` where they are no ranges of a spectrum."""
        return self.numbers.windows

    @property
    def dose(self) -> np.ndarray:
        """Measured cumulative doses, ascending, in `dose_unit`."""
        return self.numbers.dose.copy()

    @property
    def dose_max(self) -> float:
        """Largest measured dose."""
        return self.numbers.dose_max

    @property
    def dose_scale(self) -> float:
        """Dose that counts as 1 in `rate` and in its prior: the option of the fit, or `dose_max`.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False, dose_scale=500)
        >>> result.dose_scale
        500.0
        >>> bool(np.allclose(result.rate_per_dose.data, result.rate.data / 500))
        True
        """
        return self.numbers.dose_scale

    @property
    def dose_unit(self) -> str:
        """Unit of all doses: that of the series, e⁻/Å² where it could be converted."""
        return self.numbers.dose_unit

    @property
    def options(self) -> FitOptions:
        """The options of the fit."""
        return self.numbers.options

    @property
    def law(self) -> str:
        """Name of the kinetic law that was fitted."""
        return self.numbers.law.name

    @property
    def kinetic_law(self) -> KineticLaw:
        """The law that was fitted; without its code where it came from a file and is not known."""
        return self.numbers.law

    @property
    def estimate(self) -> Estimate:
        """What the estimator returned, member by member, as arrays."""
        return self.numbers.estimate

    @property
    def maps(self) -> ExactMaps:
        """What the exact estimator says of all windows, as arrays; lazy where the data are."""
        return self.numbers.maps

    @property
    def is_lazy(self) -> bool:
        """Whether the result has not been computed yet; see `compute`."""
        return self.numbers.is_lazy

    @property
    def has_intervals(self) -> bool:
        """Whether intervals and flags were computed with the fit."""
        return self.numbers.has_intervals

    @property
    def dose_metadata(self) -> dict[str, Any]:
        """The ``Dose`` node of the metadata of the data."""
        return dict(self.numbers.data.dose_metadata)

    @property
    def has_network(self) -> bool:
        """Whether the result comes from a network."""
        return self.numbers.network is not None

    @property
    def space_shape(self) -> tuple[int, ...]:
        """Sizes of the space axes, in the order of the arrays; empty for a fit of the mean."""
        return self.numbers.space_shape

    @property
    def complete(self) -> bool:
        """``False`` where the fit was interrupted and the result is what was there by then."""
        return self.numbers.complete

    @property
    def network(self) -> NetworkFit | FieldNetworkFit:
        """The trained networks, of all windows; those of a map for ``spatial="field"``.

        Raises
        ------
        AttributeError
            If the result does not come from a network.
        """
        return self.numbers.some_network()

    @property
    def history(self) -> History:
        """Loss terms by iteration of a network fit."""
        return self.network.history

    # Trajectories

    @property
    def integrity(self) -> Signal1D:
        """Latent integrity C(Φ) from dose 0 to the largest, a `DoseSeries`, mean over members."""
        grid = self.numbers.grid
        return self._series(self.estimate.mean_integrity(grid), grid, "integrity")

    @property
    def fitted(self) -> Signal1D:
        """Modelled intensity a C + b at the measured doses, a `DoseSeries`, mean over members."""
        return self.predict(self.numbers.dose)

    def predict(self, dose: Any) -> Signal1D:
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> result.predict([0, 1000, 2000, 4000])
        <DoseSeries, title: fitted..., dimensions: (4|4)>
        """
        doses = checked_doses(dose)
        if np.any(np.diff(doses) <= 0):
            raise ValueError(f"doses {doses.tolist()} must ascend; sort them and drop repeats.")
        return self._series(self.estimate.mean_intensity(doses), doses, "fitted")

    # Maps

    @property
    def parameters(self) -> Mapping[str, BaseSignal]:
        """A map of every parameter of the law, by its name."""
        names = self.numbers.parameter_names
        return MappingProxyType({name: self._signal(name) for name in names})

    @property
    def rate(self) -> BaseSignal:
        """Rate constant k per normalised dose, which is dose over `dose_scale`.

        Raises
        ------
        AttributeError
            If the law has none.
        """
        return self._signal("rate")

    @property
    def exponent(self) -> BaseSignal:
        """Exponent p; 1 for a fit of first order.

        Raises
        ------
        AttributeError
            If the law has none.
        """
        return self._signal("exponent")

    @property
    def amplitude(self) -> BaseSignal:
        """Amplitude a in the unit of the data; negative where a window grows with dose."""
        return self._signal("amplitude")

    @property
    def offset(self) -> BaseSignal:
        """Offset b in the unit of the data."""
        return self._signal("offset")

    @property
    def rate_per_dose(self) -> BaseSignal:
        """Rate constant k over `dose_scale`, in one over `dose_unit`, such as Å²/e⁻."""
        return self._signal("rate_per_dose")

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
    def half_integrity_dose(self) -> BaseSignal:
        """D½, the dose at which C is ½; NaN where it never is."""
        return self._signal("half_integrity_dose")

    @property
    def half_change_dose(self) -> BaseSignal:
        """Dose at which half of the change within the measured range is done.

        C is then halfway between 1 and its value at the largest dose. It lies between measured
        frames, so that it hardly depends on the law, and says nothing of what comes after them.

        Examples
        --------
        >>> import hyperspy_dosekin
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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact")
        >>> result.masked().data
        array([nan, nan, nan, nan])
        """
        array, known = self.numbers.map(name), self.numbers.map("identifiable")
        # NumPy hands arrays of dask to dask.
        return self._map(np.where(known, array, np.nan), name)

    @property
    def critical_dose(self) -> BaseSignal:
        """The dose at which C is 1/e."""
        return self._signal("critical_dose")

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
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> earlier, later = result.dose_at(0.8), result.dose_at(0.5)
        >>> bool((earlier.data < later.data).all())
        True
        """
        known = {0.5: "half_integrity_dose", 1 / math.e: "critical_dose"}
        array = self.numbers.dose_at(level)
        quantity = with_unit(f"Dose at integrity {level:g}", self.dose_unit)
        if level in known:
            return self._map(array, known[level])
        return self._map(array, quantity, quantity)

    @property
    def reached(self) -> BaseSignal:
        """Whether D½ lies inside the measured range of doses."""
        return self._signal("reached")

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
        >>> import hyperspy_dosekin
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
        numbers, estimate = self.numbers, self.estimate
        if len(estimate.labels) < 2:
            return MappingProxyType({})
        spread = {name: self._map(each, name) for name, each in numbers.spread_of_maps.items()}
        for name, dose, value in (
            ("integrity", numbers.grid, estimate.integrity(numbers.grid)),
            ("fitted", numbers.dose, estimate.intensity(numbers.dose)),
        ):
            spread[name] = self._series(value.std(axis=0, ddof=1), dose, name)
        return MappingProxyType(spread)

    @property
    def exact(self) -> DoseKinetics:
        """The same problem solved by the exact estimator, to compare a network with."""
        return DoseKinetics(replace(self.numbers, network=None))

    def compute(self, *, show_progressbar: bool | None = None) -> DoseKinetics:
        """Compute a lazy result, with one pass over the data.

        Parameters
        ----------
        show_progressbar
            Whether to show progress; ``None`` takes HyperSpy's preference.

        Returns
        -------
        DoseKinetics
            The same result in memory. This one stays as it is.

        Examples
        --------
        >>> import hyperspy_dosekin
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True, lazy=True)
        >>> lazy = s.fit_dose_pinn(intervals=False)
        >>> result = lazy.compute(show_progressbar=False)
        >>> lazy.is_lazy, result.is_lazy
        (True, False)
        """
        numbers = self.numbers.computed(show_progressbar)
        return self if numbers is self.numbers else DoseKinetics(numbers)

    def processing_spread(
        self, choices: Mapping[str, Sequence[Any]] | None = None, *, spectra: Any = None
    ) -> ProcessingSpread:
        """Process and fit again under every admissible choice of processing.

        What may as well have been done otherwise is a source of error that no repetition shows:
        the model of the zero-loss peak, what spectra are divided by, how they are moved, and where
        the background is fitted. The result holds the areas and D½ of all choices, and the
        covariance between frames that they make, with which its ``fit()`` gives intervals.

        Parameters
        ----------
        choices
            Alternatives by option of `process_low_loss`, such as ``{"normalise": ("total",)}``. By
            default both models of the zero-loss peak; normalisation to the zero-loss peak, to the
            whole spectrum and none; three ways to move spectra; and a background window moved or
            widened by a fifth, where there is one. ``zero_loss`` and ``normalise`` are combined
            with each other, the others changed one at a time. An alternative that the spectra do
            not allow is left out and named.
        spectra
            Recorded spectra with their dose axis, where the result does not know them because the
            areas were sliced, copied or loaded; the options of `process_low_loss` are then its
            defaults.

        Returns
        -------
        ProcessingSpread
            ``print`` it for a table, ``plot()`` for a specification curve, ``fit()`` for
            intervals that hold the error of processing. Everything is computed, by the exact
            estimator; maps of single choices have no intervals.

        Raises
        ------
        ValueError
            If the spectra are not known, have been changed since, or do not fit the result, or an
            option is not one of `process_low_loss`.

        Examples
        --------
        >>> from hyperspy_dosekin.data import dose_series
        >>> result = dose_series().process_low_loss().fit_dose_pinn(estimator="exact")
        >>> spread = result.processing_spread({"normalise": ("total", False)})
        >>> spread
        <ProcessingSpread, 3 choices, 4 windows>
        >>> spread.covariance.shape
        (4, 9, 9)
        """
        data = self.numbers.data
        if data.windows is None:
            raise ValueError(
                "the windows of this result are no ranges of a spectrum; only areas of energy "
                "windows can be processed again."
            )
        origin = data.origin if spectra is None else Origin.of(spectra)
        if origin is None:
            raise ValueError(
                "this result does not know the spectra it was made of: the areas were sliced, "
                "copied, loaded, or not made by process_low_loss(). Pass spectra= the recorded "
                "spectra with their dose axis."
            )
        if not origin.is_unchanged:
            raise ValueError(
                "the data of the recorded spectra have been replaced since they were processed; "
                "pass spectra= those that this result was made of."
            )
        return make_spread(self.numbers, choices, origin)

    # To read and to keep

    def __repr__(self) -> str:
        """One line: what was fitted, and how."""
        return printable(kinetics_line(self.numbers))

    def __str__(self) -> str:
        """Table of parameters, with the warnings that apply."""
        return printable(kinetics_text(self.numbers))

    def _repr_html_(self) -> str:
        return kinetics_html(self.numbers)

    def as_model(self) -> Any:
        """Make a HyperSpy model of the data with the fitted law as its component.

        Returns
        -------
        hyperspy.models.model1d.Model1D
            Model of `data` with one `PowerLawDegradation`, or `KineticDegradation` for other laws,
            its values set at every pixel and window. A network fit gives the law with the mean of
            its parameters. Lazy results are computed.

        Raises
        ------
        ValueError
            If the result was loaded without the code of its law.

        Warns
        -----
        UserWarning
            If the data do not determine D½ in some windows: ``model.fit()`` will return numbers and
            standard deviations there all the same.

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

        return kinetics_model(self.numbers, self.data)

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
            As for `hyperspy.signals.BaseSignal.save`. Whatever happens meanwhile, the old file or
            the new one is there, whole.

        Raises
        ------
        ValueError
            If the file name has the extension of another format.

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
        # Formats of all kinds of results would come with the first fit.
        from hyperspy_dosekin.signals.kinetics.file import save

        save(self.numbers, path, overwrite=overwrite)
