# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Areas and D½ under every admissible way of processing the spectra."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.kinetics.curves.processing_error import processing_errors
from hyperspy_dosekin.numerics.text import printable
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.plotting.kinetics.specification import (
    SpecificationPicture,
    plot_specification,
)
from hyperspy_dosekin.signals.axes.origin import Origin
from hyperspy_dosekin.signals.axes.shared_error import attach_shared_errors
from hyperspy_dosekin.signals.drawing import FigureOptions, drawn, takes_figure_options
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData, relative_errors
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import (
    FitOptions,
    takes_fit_options,
    unused_by,
)
from hyperspy_dosekin.signals.kinetics.result.face import Face
from hyperspy_dosekin.signals.results import TabledResult, as_frame

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal, Signal1D
    from matplotlib.figure import FigureBase
    from pandas import DataFrame
    from typing_extensions import Unpack

#: Share of its width by which the window of a background is moved.
_MOVED = 0.2
#: Choices that are combined with each other; others are changed one at a time.
_COMBINED = ("zero_loss", "normalise")
#: Areas that differ by less, relatively, are the same.
_SAME = 1e-9
#: What the choice is called under which everything is as it was fitted.
AS_FITTED = "as fitted"


def admissible_choices(options: Mapping[str, Any]) -> dict[str, tuple[object, ...]]:
    """Alternatives of each step of `process_low_loss` that one may as well have taken.

    Parameters
    ----------
    options
        The options that were taken.

    Examples
    --------
    >>> options = {"zero_loss": "auto", "normalise": True, "align": True, "background": None}
    >>> admissible_choices(options)["normalise"]
    ('total', False)
    """
    choices: dict[str, tuple[object, ...]] = {
        "zero_loss": ("reflected", "fitted"),
        "normalise": (True, "total", False),
    }
    if options["align"] is not False:
        choices["align"] = (True, "linear")
    if options["background"] is not None:
        left, right = options["background"]
        moved = _MOVED * (right - left)
        choices["background"] = (
            (left - moved, right),
            (left + moved, right),
            (left, right + moved),
        )
    return {
        name: tuple(value for value in values if not _same(value, options[name]))
        for name, values in choices.items()
    }


def _same(first: object, second: object) -> bool:
    alike: dict[object, object] = {"cubic": True, "zero_loss": True}
    if isinstance(first, str | bool) and isinstance(second, str | bool):
        return bool(alike.get(first, first) == alike.get(second, second))
    return first is second


@dataclass(frozen=True, eq=False, repr=False)
class ProcessingSpread(TabledResult):
    """Areas and D½ under every admissible processing; made by `DoseKinetics.processing_spread`.

    Parameters
    ----------
    options
        What differs from the options of the processing under each choice, by its name; nothing
        under ``"as fitted"``, the first.
    numbers
        The fit of the exact estimator under each choice.
    data
        The fitted series with the errors of all choices, which `series` shows.
    failed
        Why choices are left out, by their name.
    fit_options
        The options of the fit that this is the spread of.

    Examples
    --------
    >>> from hyperspy_dosekin.data import dose_series
    >>> result = dose_series().process_low_loss().fit_dose_pinn(estimator="exact")
    >>> spread = result.processing_spread({"normalise": ("total",)})
    >>> spread.choices
    ('as fitted', 'normalise=total')
    >>> list(spread.areas) == list(spread.half_integrity_dose) == list(spread.choices)
    True
    """

    options: Mapping[str, Mapping[str, Any]]
    numbers: Mapping[str, KineticsNumbers]
    data: SeriesData
    failed: Mapping[str, str]
    fit_options: FitOptions

    @property
    def choices(self) -> tuple[str, ...]:
        """Names of the choices."""
        return tuple(self.numbers)

    @property
    def areas(self) -> Mapping[str, Signal1D]:
        """The `DoseSeries` of each choice, each in its own unit."""
        return {
            name: Face(each)._series(each.data.values, each.data.dose, each.data.title)
            for name, each in self.numbers.items()
        }

    @property
    def half_integrity_dose(self) -> Mapping[str, BaseSignal]:
        """Map of D½ of each choice."""
        return {
            name: Face(each)._signal("half_integrity_dose") for name, each in self.numbers.items()
        }

    @property
    def covariance(self) -> np.ndarray:
        """Covariance between frames that processing makes, ``(…space…, window, dose, dose)``.

        In the square of the unit of the areas; that of noise is beside it.
        """
        errors = np.stack(list(self.data.shared_errors.values()))
        return np.einsum("e...i,e...j->...ij", errors, errors)

    @property
    def series(self) -> Signal1D:
        """The fitted `DoseSeries`, which carries these errors to every fit, and to its file."""
        numbers = self.numbers[AS_FITTED]
        series: Any = Face(numbers)._series(self.data.values, self.data.dose, self.data.title)
        series.metadata.Signal.quantity = self.data.quantity
        if self.data.variance is not None:
            noise = Face(numbers)._series(self.data.variance, self.data.dose, "Noise variance")
            series.set_noise_variance(noise)
        attach_shared_errors(series, relative_errors(self.data))
        return series

    @takes_fit_options()
    def fit(self, **options: object) -> Any:
        """Fit the series with the error of processing in the intervals.

        Parameters
        ----------
        **options
            Options of the fit, by default those of the result that this is the spread of.

        Returns
        -------
        DoseKinetics
            The same as ``spread.series.fit_dose_pinn(**options)``.

        Examples
        --------
        >>> from hyperspy_dosekin.data import dose_series
        >>> result = dose_series().process_low_loss().fit_dose_pinn(estimator="exact")
        >>> spread = result.processing_spread({"normalise": ("total",)})
        >>> spread.fit()
        <DoseKinetics, 4 windows, 9 doses, exact estimator...>
        """
        given = {**replace(self.fit_options, processing_error=True).given(), **options}
        return self.series.fit_dose_pinn(**given)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each choice and window, as `pandas.DataFrame` takes them.

        D½ with its interval, NaN where that was not computed; of maps the median over the pixels.
        """
        rows = []
        for name, numbers in self.numbers.items():
            half, lower, upper = _half_doses(numbers)
            for place, window in enumerate(numbers.window_names):
                row = {"choice": name, "window": window, "half_integrity_dose": float(half[place])}
                ends = {"lower": float(lower[place]), "upper": float(upper[place])}
                rows.append({**row, **ends, "unit": numbers.dose_unit})
        return rows

    def to_dataframe(self) -> DataFrame:
        """Tidy pandas table: the `rows`, with the unit of doses in ``attrs``.

        Returns
        -------
        pandas.DataFrame
            A row for each choice and window.

        Examples
        --------
        >>> from hyperspy_dosekin.data import dose_series
        >>> result = dose_series().process_low_loss().fit_dose_pinn(estimator="exact")
        >>> len(result.processing_spread({"normalise": ("total",)}).to_dataframe())
        8
        """
        unit = self.numbers[AS_FITTED].dose_unit
        names = "half_integrity_dose", "lower", "upper"
        return as_frame(self.rows, units=dict.fromkeys(names, unit))

    @takes_figure_options
    def plot(self, **options: Unpack[FigureOptions]) -> FigureBase:
        """Draw D½ of every window under every choice: a specification curve.

        Choices are in the order of the mean of ln D½; below the curves is what each of them takes.

        Returns
        -------
        Figure
            A Matplotlib figure.

        Examples
        --------
        >>> from hyperspy_dosekin.data import dose_series
        >>> result = dose_series().process_low_loss().fit_dose_pinn(estimator="exact")
        >>> figure = result.processing_spread({"normalise": ("total",)}).plot()
        """
        first = self.numbers[AS_FITTED]
        values = np.stack([np.stack(_half_doses(each)) for each in self.numbers.values()], axis=1)
        steps = list(dict.fromkeys(step for each in self.options.values() for step in each))
        taken = [
            tuple(str(self.options[name].get(step, "")) for step in steps) for name in self.choices
        ]
        picture = SpecificationPicture(
            window_names=first.window_names,
            dose_unit=first.dose_unit,
            energy_windows=first.windows is not None,
            steps=tuple(steps),
            taken=tuple(taken),
            half_dose=values[0],
            lower=values[1],
            upper=values[2],
        )
        return drawn(plot_specification, picture, options)

    def __repr__(self) -> str:
        """One line: how many choices there are."""
        first = self.numbers[AS_FITTED]
        return printable(
            f"<ProcessingSpread, {len(self.numbers)} choices, {len(first.window_names)} windows>"
        )

    def _said(self) -> tuple[list[PrettyTable], list[str]]:
        first = self.numbers[AS_FITTED]
        table = PrettyTable([with_unit("D½", first.dose_unit), *first.window_names])
        for name, numbers in self.numbers.items():
            table.add_row([name, *map(_cell, *_half_doses(numbers))])
        notes = ["Cells: D½ [95 % interval of the noise alone]."]
        if first.space_shape:
            notes = ["Cells: median of D½ over the pixels."]
        notes += [f"{name}: left out, {why}" for name, why in self.failed.items()]
        return [table], notes


def _cell(half: float, lower: float, upper: float) -> str:
    return f"{half:.4g}" + ("" if np.isnan(lower) else f" [{lower:.4g}, {upper:.4g}]")


def _half_doses(numbers: KineticsNumbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """D½ of each window with its interval; of a map the medians, without."""
    half = np.asarray(numbers.map("half_integrity_dose"), dtype=np.float64)
    if not numbers.space_shape and numbers.has_intervals:
        lower, upper = numbers.interval("half_integrity_dose")
        return half, np.asarray(lower), np.asarray(upper)
    if numbers.space_shape:
        half = np.nanmedian(half.reshape(len(half), -1), axis=1)
    nothing = np.full_like(half, np.nan)
    return half, nothing, nothing


def make_spread(
    numbers: KineticsNumbers, choices: Mapping[str, Sequence[object]] | None, origin: Origin
) -> ProcessingSpread:
    """Process and fit a series under every choice; see `DoseKinetics.processing_spread`."""
    taken = admissible_choices(origin.options) if choices is None else choices
    unknown = [name for name in taken if name not in origin.options]
    if unknown:
        raise ValueError(
            f"choices names {', '.join(map(repr, unknown))}, which process_low_loss has no option "
            f"for; its options are {', '.join(origin.options)}."
        )
    alternatives = {name: list(values) for name, values in taken.items()}
    numbers = numbers.computed()
    windows = {window.name: (window.left, window.right) for window in numbers.windows or ()}
    data = replace(numbers.data, shared_errors={})
    fitted = {AS_FITTED: _fit(data, numbers)}
    options: dict[str, Mapping[str, Any]] = {AS_FITTED: {}}
    failed: dict[str, str] = {}

    def take(changes: Mapping[str, object]) -> bool:
        """Process and fit with some changes; return whether there is anything new."""
        name = ", ".join(f"{step}={value}" for step, value in changes.items())
        try:
            other = _areas(origin, windows, changes, data)
        except ValueError as error:
            failed[name] = str(error)
            return False
        if np.allclose(other.values, data.values, rtol=_SAME, atol=0, equal_nan=True):
            return False
        fitted[name], options[name] = _fit(other, numbers), dict(changes)
        return True

    new = {step: [v for v in values if take({step: v})] for step, values in alternatives.items()}
    together = [step for step in _COMBINED if new.get(step)]
    if len(together) > 1:
        for values in itertools.product(*(new[step] for step in together)):
            take(dict(zip(together, values, strict=True)))
    single = {
        step: [
            np.asarray(fitted[name].data.values)
            for name, changes in options.items()
            if list(changes) == [step]
        ]
        for step in alternatives
    }
    errors = processing_errors(np.asarray(data.values), single, data.dose)
    return ProcessingSpread(
        options, fitted, replace(data, shared_errors=errors), failed, numbers.options
    )


def _areas(
    origin: Origin,
    windows: Mapping[str, tuple[float, float]],
    changes: Mapping[str, object],
    data: SeriesData,
) -> SeriesData:
    """Areas after processing with some changes, like those of the result."""
    with warnings.catch_warnings():
        # They have been said of the same spectra.
        warnings.simplefilter("ignore", UserWarning)
        other = SeriesData.of(origin.areas(windows, **changes))
        if other.space_shape and not data.space_shape:
            other = other.averaged()
    other = replace(other.computed(), shared_errors={}, dose_scale=data.dose_scale)
    if other.values.shape != data.values.shape:
        raise ValueError(
            f"the spectra give areas of shape {other.values.shape}, and the result has "
            f"{data.values.shape}; pass spectra= those of this result, with their dose axis."
        )
    return other


def _fit(data: SeriesData, numbers: KineticsNumbers) -> KineticsNumbers:
    """The exact estimator on other areas, with intervals where there are no maps."""
    options = numbers.options
    intervals = not data.space_shape
    maps = ExactMaps.fit(
        data,
        exact_config(options),
        numbers.maps.offset if numbers.shown is None else _shown_offset(numbers),
        with_intervals=intervals,
    )
    exact = {name: value for name, value in options.given().items() if name not in _NETWORK}
    exact |= {"estimator": "exact", "intervals": intervals}
    return KineticsNumbers(maps, FitOptions.of(**exact))


#: Options that only the network has; it is not trained again for every choice.
_NETWORK = unused_by("exact")


def _shown_offset(numbers: KineticsNumbers) -> Any:
    offset = numbers.maps.offset
    return None if offset is None else offset[..., list(numbers.shown or ())]
