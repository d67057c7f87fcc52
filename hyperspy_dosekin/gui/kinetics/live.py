# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact fit behind the live figure: of the windows, only what has changed is worked on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from hyperspy_dosekin.kinetics.block import FIELDS, INTERVALS, LEVEL
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.axes.dose import dose_unit_factor, find_dose_axis
from hyperspy_dosekin.signals.kinetics.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.options import FitOptions, exact_config, known_offset
from hyperspy_dosekin.signals.kinetics.result import DoseKinetics
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData
from hyperspy_dosekin.signals.windows.integrate import window_areas, window_weights_of

#: Doses of the drawn curves.
CURVE_POINTS = 61
#: Windows whose intervals are remembered, at their former limits too.
_REMEMBERED = 256


@dataclass(frozen=True, eq=False)
class LiveFit:
    """What the live figure and the table show.

    Parameters
    ----------
    kinetics
        The result, the same that `fit_dose_pinn(estimator="exact")` gives.
    grid
        Doses of the curves, ``(n_grid,)``, e⁻/Å².
    fitted, lower, upper
        a C + b and its interval, ``(n_window, n_grid)``, in the unit of the areas; NaN where there
        is no estimate.
    """

    kinetics: DoseKinetics
    grid: np.ndarray
    fitted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class LiveAreas:
    """Mean areas of windows over the pixels of a region; those that have not moved are remembered.

    Parameters
    ----------
    signal
        Spectra of the region with their dose axis, in memory.
    """

    def __init__(self, signal: Any) -> None:
        self._signal = signal
        self._known: OrderedDict[tuple[float, float], tuple[Any, ...]] = OrderedDict()
        self._series: SeriesData | None = None

    def of(self, windows: Mapping[str, tuple[float, float]]) -> SeriesData:
        """Areas of some windows, `values` ``(n_window, n_dose)``.

        Raises
        ------
        ValueError, TypeError
            As `integrate_windows` does.
        """
        parts = [self._one(name, limits) for name, limits in windows.items()]
        assert self._series is not None
        known = all(variance is not None for _, variance, _ in parts)
        metadata = {
            **self._series.dose_metadata,
            "window_names": list(windows),
            "window_ranges": [limits_ev for *_, limits_ev in parts],
        }
        return replace(
            self._series,
            values=np.stack([values for values, *_ in parts]),
            variance=np.stack([variance for _, variance, _ in parts]) if known else None,
            window_names=tuple(windows),
            space_axes=(),
            dose_metadata=metadata,
        )

    def _one(self, name: str, limits: tuple[float, float]) -> tuple[Any, ...]:
        """Values and variance ``(n_dose,)`` of a window, and its limits in eV."""
        if limits not in self._known:
            if self._series is None:
                # Axes, metadata and all the checks, once for each region.
                series = SeriesData.of(self._signal.integrate_windows({name: limits}))
                window = series.dose_metadata["window_ranges"][0]
            else:
                series, window = self._integrated(name, limits)
            mean = series.averaged()
            self._series = series if self._series is None else self._series
            variance = None if mean.variance is None else mean.variance[0]
            self._known[limits] = (mean.values[0], variance, window)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(limits)
        return self._known[limits]

    def _integrated(self, name: str, limits: tuple[float, float]) -> tuple[SeriesData, list[float]]:
        """The same as `integrate_windows`, without the making of a signal, which takes longer."""
        assert self._series is not None
        (window,), weights = window_weights_of(self._signal, {name: limits})
        axis = find_dose_axis(self._signal)
        order = np.argsort(np.asarray(axis.axis) * (dose_unit_factor(axis.units) or 1.0))
        arrays = [
            None if array is None else np.moveaxis(array, axis.index_in_array, -1)[..., order]
            for array in window_areas(self._signal, weights)
        ]
        series = replace(self._series, values=arrays[0], variance=arrays[1])
        return series, [window.left, window.right]


class LiveEstimator:
    """Exact fits with intervals, of which those of windows that have not changed are remembered.

    A joint fit of all windows takes milliseconds; the posterior of a window takes most of the
    time, and belongs to that window alone.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Any, ...], tuple[np.ndarray, ...]] = OrderedDict()

    def fit(self, data: SeriesData, options: FitOptions) -> LiveFit:
        """Fit the windows of a series without space axes.

        Parameters
        ----------
        data
            Areas, ``(n_window, n_dose)``.
        options
            Options; the estimator is the exact one whatever they say.

        Raises
        ------
        ValueError
            If there are too few doses, or an option does not fit.
        """
        from hyperspy_dosekin.kinetics.estimate.fit import fit_exact

        options = replace(options, estimator="exact", spatial="mean", network={})
        config = exact_config(options)
        n_window = len(data.window_names)
        offset = known_offset(options.offset, (), n_window)
        problem = _problem(data, slice(None))
        with torch_threads(1):
            joint = replace(config, offset=None if offset is None else offset[np.newaxis])
            fit = fit_exact(problem, joint)
            keys = [self._key(data, offset, fit, options, place) for place in range(n_window)]
            missing = [place for place, key in enumerate(keys) if key not in self._known]
            if missing:
                self._examine(data, joint, fit, missing, keys)
        found = [self._known[key] for key in keys]
        for key in keys:
            self._known.move_to_end(key)
        while len(self._known) > max(_REMEMBERED, n_window):
            self._known.popitem(last=False)
        block = np.full((len(FIELDS), n_window), np.nan)
        for row, name in enumerate(FIELDS):
            if hasattr(fit, name):
                block[row] = getattr(fit, name)[0]
        first = FIELDS.index("sd_log_half_dose")
        block[first:] = np.stack([rest for rest, _, _ in found], axis=1)
        maps = ExactMaps(data, config, offset, block)
        kinetics = DoseKinetics(data, maps, options)
        grid = np.linspace(0.0, kinetics.dose_max, CURVE_POINTS)
        return LiveFit(
            kinetics,
            grid,
            fit.fitted(grid / kinetics.dose_max)[0],
            np.stack([lower for _, lower, _ in found]),
            np.stack([upper for _, _, upper in found]),
        )

    @staticmethod
    def _key(
        data: SeriesData, offset: np.ndarray | None, fit: Any, options: FitOptions, place: int
    ) -> tuple[Any, ...]:
        """Everything that the intervals of a window depend on."""
        variance = None if data.variance is None else data.variance[place].tobytes()
        return (
            data.dose_e_per_a2.tobytes(),
            np.asarray(data.values[place], dtype=np.float64).tobytes(),
            variance,
            None if offset is None else float(offset[place]),
            # The grid of the posterior is built about the estimate, whose last digits depend on
            # what other windows were fitted with it where the hierarchy couples them.
            float(fit.rate[0, place]),
            float(fit.exponent[0, place]),
            options.exponent,
            repr(options.prior),
            options.loss,
            options.noise,
            options.dtype,
        )

    def _examine(
        self, data: SeriesData, config: Any, fit: Any, places: list[int], keys: list[Any]
    ) -> None:
        """Posterior, flags and band of some windows, as `kinetics.block.fit_block` has them."""
        from hyperspy_dosekin.kinetics.identifiability import identifiability
        from hyperspy_dosekin.kinetics.posterior.band import intensity_interval
        from hyperspy_dosekin.kinetics.posterior.posterior import kinetic_posterior
        from hyperspy_dosekin.kinetics.posterior.quantities import Quantity

        problem = _problem(data, places)
        known = config.offset
        alone = replace(
            config, hierarchy=(), offset=None if known is None else np.asarray(known)[:, places]
        )
        arrays = {entry.name: getattr(fit, entry.name) for entry in fields(fit)}
        part = replace(
            fit, **{n: a[:, places] for n, a in arrays.items() if isinstance(a, np.ndarray)}
        )
        quantities = [Quantity(name) for name in INTERVALS]
        posterior = kinetic_posterior(problem, alone, fit=part)
        summary = posterior.summarise(quantities, [LEVEL])
        flags = identifiability(problem, alone, fit=part, sd_log_half_dose=summary.sd_log_half_dose)
        grid = np.linspace(0.0, 1.0, CURVE_POINTS)
        lower, upper = intensity_interval(posterior, grid, LEVEL)
        rows = [flags.sd_log_half_dose, flags.profile_width, flags.identifiable]
        rows += [end for quantity in quantities for end in summary.intervals[quantity, LEVEL]]
        rest = np.stack([np.asarray(row, dtype=np.float64)[0] for row in rows])
        for column, place in enumerate(places):
            self._known[keys[place]] = (rest[:, column], lower[0, column], upper[0, column])


def _problem(data: SeriesData, chosen: Any) -> DoseProblem:
    names = np.array(data.window_names, dtype=object)[chosen]
    return DoseProblem(
        data.dose_e_per_a2,
        np.asarray(data.values, dtype=np.float64)[np.newaxis, chosen],
        tuple(names),
        None if data.variance is None else np.asarray(data.variance)[np.newaxis, chosen],
    )
