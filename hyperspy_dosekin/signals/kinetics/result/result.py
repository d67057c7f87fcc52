# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a kinetics fit, as HyperSpy signals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.arguments import short
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.signals.axes.origin import Origin
from hyperspy_dosekin.signals.kinetics.numbers.estimates import Estimate
from hyperspy_dosekin.signals.kinetics.result.export import KineticsExport
from hyperspy_dosekin.signals.kinetics.result.face_maps import KineticsMaps
from hyperspy_dosekin.signals.kinetics.result.intervals import KineticsIntervals
from hyperspy_dosekin.signals.kinetics.result.notes import notes_of
from hyperspy_dosekin.signals.kinetics.result.plots import KineticsPlots
from hyperspy_dosekin.signals.kinetics.result.processing_spread import ProcessingSpread, make_spread
from hyperspy_dosekin.signals.kinetics.result.table import kinetics_line, kinetics_tables

if TYPE_CHECKING:
    from pathlib import Path

    from hyperspy.models.model1d import Model1D
    from hyperspy.signal import BaseSignal
    from hyperspy.signals import Signal1D
    from prettytable import PrettyTable

    from hyperspy_dosekin.kinetics.field.network_fit import FieldNetworkFit
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.kinetics.network.history import History
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
    from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
    from hyperspy_dosekin.windows.definitions import Window


@dataclass(frozen=True, eq=False, repr=False)
class DoseKinetics(KineticsMaps, KineticsIntervals, KineticsPlots, KineticsExport):
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
        The numbers, see `KineticsNumbers`.

    References
    ----------
    G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

    Examples
    --------
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
        from hyperspy_dosekin.signals.kinetics.result.file import series_of

        return series_of(self.numbers.data)

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
        >>> s = hyperspy_dosekin.data.dose_series_image(shape=(3, 2), processed=True, lazy=True)
        >>> lazy = s.fit_dose_pinn(intervals=False)
        >>> result = lazy.compute(show_progressbar=False)
        >>> lazy.is_lazy, result.is_lazy
        (True, False)
        """
        numbers = self.numbers.computed(show_progressbar)
        return self if numbers is self.numbers else DoseKinetics(numbers)

    def processing_spread(
        self,
        choices: Mapping[str, Sequence[object]] | None = None,
        *,
        spectra: BaseSignal | None = None,
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

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        return kinetics_tables(self.numbers), notes_of(self.numbers)

    def as_model(self) -> Model1D:
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
        >>> s = hyperspy_dosekin.data.dose_series(processed=True)
        >>> result = s.fit_dose_pinn(estimator="exact", intervals=False)
        >>> model = result.as_model()
        >>> [component.name for component in model]
        ['PowerLawDegradation']
        """
        from hyperspy_dosekin.signals.kinetics.result.model import kinetics_model

        return kinetics_model(self.numbers, self.data)

    def _write(self, path: str | Path, overwrite: bool | None) -> None:
        # Formats of all kinds of results would come with the first fit.
        from hyperspy_dosekin.signals.kinetics.result.file import save

        save(self.numbers, path, overwrite=overwrite)
