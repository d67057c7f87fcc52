# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact estimator over all pixels of a series, eager or chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.block import (
    LEVEL,
    block_fields,
    fit_block,
    interval_block,
    interval_of,
    offset_of,
    parameter_names,
)
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.exact_fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.laws.solution import streams
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.posterior import KineticPosterior, kinetic_posterior
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.lazy.blocks import is_lazy, map_blocks
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.numbers.pixels import (
    fit_eagerly,
    joined_blocks,
    over_pixels,
)
from hyperspy_dosekin.signals.kinetics.numbers.pooled import with_pooled_noise
from hyperspy_dosekin.signals.progress import dask_progress

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.lazy.arrays import Array

#: Pixels that are fitted at a time: small blocks lose half of the time and more to the calls of
#: Torch, larger ones gain nothing.
PIXELS_AT_A_TIME = 8192
#: The same on a device other than the processor, which fills it.
PIXELS_ON_A_DEVICE = 2**18
#: The same with intervals, which take most of the time, so that progress shows. Several blocks of
#: the posterior, which threads share.
PIXELS_WITH_INTERVALS = 4096
#: The same for laws that are integrated, which take longer.
PIXELS_OF_LAWS = 32
#: Values of the nodes of a fit of a series, at most, that are kept for what is asked next; .5 MB.
_KEPT_VALUES = 50_000


@dataclass(frozen=True, eq=False)
class ExactMaps:
    """Exact fits of every pixel and window.

    Parameters
    ----------
    data
        The series.
    config
        Options of the estimator, without the offset.
    offset
        Known offset, ``(…space…, window)``, or ``None``.
    fields
        NumPy or dask array ``(…space…, field, window)``, see `field_names`.
    complete
        ``False`` if the fit was interrupted; what had not been fitted is NaN.
    with_intervals
        Whether the fields of intervals and flags were computed.
    notes
        What has to be said of the fit beside what follows from its numbers.
    """

    data: SeriesData
    config: ExactConfig
    offset: Any
    fields: Any
    complete: bool = True
    with_intervals: bool = True
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        data: SeriesData,
        config: ExactConfig,
        offset: Any = None,
        *,
        with_intervals: bool = True,
        progress: Progress = no_progress,
        stop: Stop = never_stop,
    ) -> ExactMaps:
        """Fit all pixels; lazy data give lazy fields, of which nothing is computed."""
        maps = cls(data, config, offset, None, True, with_intervals)
        count, step = len(maps.field_names), maps._pixels_at_a_time()
        kernel = partial(
            fit_block,
            dose=data.dose,
            window_names=data.window_names,
            config=config,
            dose_scale=data.dose_scale,
            with_intervals=with_intervals,
        )
        if is_lazy(data.values):
            maps = replace(maps, data=joined_blocks(data, step))
            fields = over_pixels(kernel, maps._weighed, offset, "f,w", {"f": count}, step)
            return replace(maps, fields=fields)
        made: list[KineticPosterior] | None = [] if maps._is_series else None
        kernel = partial(kernel, made=made)
        fields, complete = fit_eagerly(kernel, count, step, maps._weighed, offset, progress, stop)
        maps = replace(maps, fields=fields, complete=complete)
        if made and made[0].n_kept <= _KEPT_VALUES:
            # A property that is worked out once; its nodes are there already.
            vars(maps)["posterior"] = made[0]
        return maps

    @property
    def _is_series(self) -> bool:
        """Whether it has no space axes, so that its posterior is kept."""
        return not self.data.space_shape and not is_lazy(self.data.values)

    @property
    def _weighed(self) -> SeriesData:
        """The series with the noise that a pixel by itself is fitted with."""
        return with_pooled_noise(self.data, self.config, self.offset)

    def _pixels_at_a_time(self) -> int:
        if not streams(self.law):
            return PIXELS_OF_LAWS
        if resolve_device(self.config.device).type != "cpu":
            return PIXELS_ON_A_DEVICE
        return PIXELS_WITH_INTERVALS if self.with_intervals else PIXELS_AT_A_TIME

    @property
    def sharing(self) -> str:
        """What pixels share: nothing here."""
        return ""

    @property
    def law(self) -> KineticLaw:
        """The law."""
        return self.config.parameters.law

    @property
    def examined_config(self) -> ExactConfig:
        """Options for the tests of residuals."""
        return self.config

    @property
    def series_config(self) -> ExactConfig:
        """Options with the known offset, of a series without space axes."""
        offset = offset_of(self.offset, len(self.data.window_names))
        return replace(self.config, offset=offset)

    @property
    def field_names(self) -> tuple[str, ...]:
        """What the fields hold, in their order."""
        return block_fields(self.law)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters of the law."""
        return parameter_names(self.law)

    def computed(self, show_progressbar: bool | None = None) -> ExactMaps:
        """The same with all fields in memory; itself where they are."""
        if not is_lazy(self.fields):
            return self
        with dask_progress(show_progressbar):
            return replace(self, fields=self.fields.compute())

    def field(self, name: str) -> Any:
        """One of `field_names`, ``(…space…, window)``."""
        place = self.field_names.index(name)
        return map_blocks(_row, "(f,w)->(w)", self.fields, method="fit_dose_pinn", place=place)

    def as_fit(self) -> ExactFit:
        """The fit of a series without space axes, as one curve."""
        amplitude = self._whole("amplitude")
        return ExactFit(
            self.law,
            {name: self._whole(name) for name in self.parameter_names},
            amplitude,
            offset=self._whole("offset"),
            residual_sigma=self._whole("residual_sigma"),
            noise_sigma=self._whole("noise_sigma"),
            objective=np.full_like(amplitude, np.nan),
            converged=self._whole("converged") == 1,
            dead=self._whole("dead") == 1,
        )

    @cached_property
    def posterior(self) -> KineticPosterior:
        """Posterior of the windows of a series without space axes."""
        problem = self.data.problem(quiet=True, shared=True)
        problem, config = with_moved_frames(problem, self.series_config)
        return kinetic_posterior(problem, config, fit=self.as_fit())

    def of_noise_alone(self) -> ExactFit:
        """The same fit without the errors that frames share, of which a network knows nothing."""
        error = self.config.dose_error
        if not (self.data.shared_errors or error.increment or error.pre_exposure):
            return self.as_fit()
        alone = replace(self.data, shared_errors={})
        config = replace(self.config, dose_error=error.of_frames)
        return ExactMaps.fit(alone, config, self.offset, with_intervals=False).as_fit()

    def of_networks(self) -> DoseProblem:
        """What networks are fitted to: errors of the doses of single frames weigh these less."""
        problem = self.data.problem(quiet=True)
        error = self.config.dose_error.of_frames
        return with_moved_frames(problem, replace(self.series_config, dose_error=error))[0]

    def _whole(self, name: str) -> np.ndarray:
        return np.asarray(self.field(name))[np.newaxis]

    def interval(
        self,
        name: str,
        level: float,
        method: str,
        *,
        dose_level: float = 0.5,
        normalised_dose: tuple[float, ...] = (),
    ) -> tuple[Any, Any]:
        """Lower and upper ends, ``(…space…, window, n_value)`` each.

        Parameters
        ----------
        name
            A parameter of the law, ``"half_integrity_dose"``, ``"dose_at"``, ``"integrity"`` or
            ``"intensity"``, a·C + b.
        level, method
            As for `DoseKinetics.interval`; of an intensity only the posterior.
        dose_level, normalised_dose
            Integrity of ``"dose_at"``, and doses of ``"integrity"`` and ``"intensity"``.
        """
        with_fit = self.with_intervals and f"{name} lower" in self.field_names
        if with_fit and method == "posterior" and level == LEVEL:
            lower, upper = (self.field(f"{name} {end}") for end in ("lower", "upper"))
            return lower[..., np.newaxis], upper[..., np.newaxis]
        chosen = dose_level if name == "dose_at" else None
        return self._interval(Quantity(name, chosen, normalised_dose), level, method)

    def _interval(self, quantity: Quantity, level: float, method: str) -> tuple[Array, Array]:
        """An interval that was not computed with the fit."""
        if self._is_series and method == "posterior":
            with torch_threads(1):
                lower, upper = interval_of(self.posterior, quantity, level)[0]
            return lower, upper
        kernel = partial(
            interval_block,
            dose=self.data.dose,
            window_names=self.data.window_names,
            config=self.config,
            dose_scale=self.data.dose_scale,
            quantity=quantity,
            level=level,
            method=method,
        )
        sizes = {"e": 2, "v": quantity.n_value}
        ends = over_pixels(
            kernel, self._weighed, self.offset, "e,w,v", sizes, PIXELS_WITH_INTERVALS
        )
        return ends[..., 0, :, :], ends[..., 1, :, :]

    @classmethod
    def side_by_side(cls, parts: Sequence[ExactMaps], order: Sequence[str]) -> ExactMaps:
        """Fits of some windows each as one of all of them.

        Parameters
        ----------
        parts
            Fits with the same doses, space axes, law and options.
        order
            Names of the windows, in their new order.
        """
        first = parts[0]
        names = [name for part in parts for name in part.data.window_names]
        places = [names.index(name) for name in order]

        def joined(arrays: list[Any], axis: int) -> Any:
            if any(array is None for array in arrays):
                return None
            return np.take(np.concatenate(arrays, axis=axis), places, axis=axis)

        data = replace(
            first.data,
            values=joined([part.data.values for part in parts], -2),
            variance=joined([part.data.variance for part in parts], -2),
            window_names=tuple(order),
            windows=_ordered([part.data.windows for part in parts], places),
            shared_errors={
                name: joined([part.data.shared_errors[name] for part in parts], -2)
                for name in first.data.shared_errors
            },
        )
        return replace(
            first,
            data=data,
            offset=joined([part.offset for part in parts], -1),
            fields=joined([part.fields for part in parts], -1),
            complete=all(part.complete for part in parts),
        )


def _row(fields: np.ndarray, place: int) -> np.ndarray:
    return fields[..., place, :]


def _ordered(parts: Sequence[Sequence[object] | None], places: Sequence[int]) -> object:
    """All windows of some fits in another order; ``None`` where those of one are not known."""
    if any(part is None for part in parts):
        return None
    every = [window for part in parts for window in part or ()]
    return tuple(every[place] for place in places)
