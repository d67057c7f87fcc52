# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fit behind the live figure: the calls of the methods, remembered by their arguments.

A window that is moved is integrated again, and fitted again with those that the options couple to
it. What `integrate_windows` and the fit gave for the others is still there.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.numerics.progress import no_progress
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.fit import fit_series_data
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions
from hyperspy_dosekin.signals.kinetics.options.offset import known_offset
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics

#: Doses of the drawn curves.
CURVE_POINTS = 61
#: Windows that are remembered, at their former limits too.
_REMEMBERED = 256


@dataclass(frozen=True, eq=False)
class LiveFit:
    """What the live figure and the table show.

    Parameters
    ----------
    kinetics
        The result, the same that `fit_dose_pinn(estimator="exact")` gives.
    grid
        Doses of the curves, ``(n_grid,)``, in the unit of the data's doses.
    fitted, lower, upper
        a C + b and its interval, ``(n_window, n_grid)``, in the unit of the areas; NaN where there
        is no estimate.
    """

    kinetics: DoseKinetics
    grid: np.ndarray
    fitted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class Memory:
    """What a function returned for its arguments, with the warnings that it gave; oldest go."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._known: OrderedDict[Hashable, tuple[Any, tuple[Any, ...]]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._known

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for a key, or is made now; its warnings are given every time.

        Parameters
        ----------
        key
            Everything that the value depends on.
        make
            Called where the key is new.
        """
        if key not in self._known:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                value = make()
            self._known[key] = value, tuple((each.message, each.category) for each in caught)
        self._known.move_to_end(key)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        value, told = self._known[key]
        for message, category in told:
            warnings.warn(message, category, stacklevel=2)
        return value


class LiveAreas:
    """Mean areas of windows over the pixels of a region.

    Parameters
    ----------
    signal
        Spectra of the region with their dose axis, in memory.
    """

    def __init__(self, signal: Any) -> None:
        self._signal = signal
        self._memory = Memory()

    def of(self, windows: Mapping[str, tuple[float, float]]) -> SeriesData:
        """Areas of some windows, `values` ``(n_window, n_dose)``.

        Raises
        ------
        ValueError, TypeError
            As `integrate_windows` does.
        """
        new = {name: each for name, each in windows.items() if (name, each) not in self._memory}
        if len(new) > 1:
            self._integrate_at_once(new)
        parts = [
            self._memory.get(window, lambda window=window: self._integrated(dict([window])))
            for window in windows.items()
        ]
        known = all(part.variance is not None for part in parts)
        ranges = [limits for part in parts for limits in part.dose_metadata["window_ranges"]]
        return replace(
            parts[0],
            values=np.concatenate([part.values for part in parts]),
            variance=np.concatenate([part.variance for part in parts]) if known else None,
            window_names=tuple(windows),
            windows=tuple(window for part in parts for window in part.windows or ()) or None,
            shared_errors={
                name: np.concatenate([part.shared_errors[name] for part in parts])
                for name in parts[0].shared_errors
            },
            dose_metadata={
                **parts[0].dose_metadata,
                "window_names": list(windows),
                "window_ranges": ranges,
            },
        )

    def _integrate_at_once(self, windows: Mapping[str, tuple[float, float]]) -> None:
        """Remember several windows after one call; not where it warns, of whichever of them."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = self._integrated(windows)
        if caught:
            return
        for place, window in enumerate(windows.items()):
            self._memory.get(window, lambda place=place: found.select([place]))

    def _integrated(self, windows: Mapping[str, tuple[float, float]]) -> SeriesData:
        return SeriesData.of(self._signal.integrate_windows(windows)).averaged()


class LiveEstimator:
    """Exact fits with intervals."""

    def __init__(self) -> None:
        self._memory = Memory()

    def fit(self, data: SeriesData, options: FitOptions) -> LiveFit:
        """Fit the windows of a series without space axes.

        Parameters
        ----------
        data
            Areas, ``(n_window, n_dose)``.
        options
            Options, of the exact estimator and without space.

        Raises
        ------
        ValueError
            If there are too few doses, or an option does not fit.
        """
        grid = np.linspace(0.0, float(data.dose[-1]), CURVE_POINTS)
        options.check_windows(data.window_names)
        offset = known_offset(options.offset, (), len(data.window_names))
        groups = [np.array(each) for each in exact_config(options).coupled(data.window_names)]
        found = [self._fitted(data, places, options, offset, grid) for places in groups]
        maps = ExactMaps.side_by_side([part.maps for part, _ in found], data.window_names)
        numbers = KineticsNumbers(replace(maps, data=data), options)
        # A property that is worked out once; windows that have not changed know theirs.
        growth = vars(numbers)["growth"] = np.empty(len(data.window_names))
        lower, upper = np.empty((2, growth.size, grid.size))
        for places, (part, band) in zip(groups, found, strict=True):
            growth[places] = part.numbers.growth
            lower[places], upper[places] = band
        kinetics = DoseKinetics(numbers)
        fitted = np.asarray(kinetics.estimate.mean_intensity(grid))
        return LiveFit(kinetics, grid, fitted, lower, upper)

    def _fitted(
        self,
        data: SeriesData,
        places: np.ndarray,
        options: FitOptions,
        offset: np.ndarray | None,
        grid: np.ndarray,
    ) -> tuple[DoseKinetics, tuple[Any, Any]]:
        """The fit of some windows that are coupled to no others, and its band."""
        names = tuple(data.window_names[place] for place in places)
        part = data.select(places.tolist())
        options = replace(
            options,
            offset=None if offset is None else tuple(offset[places].tolist()),
            hierarchy=tuple(pair for pair in options.hierarchy if set(pair) <= set(names)),
        )
        key = (
            names,
            part.dose.tobytes(),
            part.values.tobytes(),
            None if part.variance is None else part.variance.tobytes(),
            *(error.tobytes() for error in part.shared_errors.values()),
            # Two laws may have one name, and two options one text.
            id(options.kinetic_law),
            repr(options),
        )

        def make() -> tuple[DoseKinetics, tuple[Any, Any]]:
            fit = fit_series_data(part, options, report=no_progress)
            return fit, fit.intensity_interval(grid)

        return self._memory.get(key, make)
