# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact estimator over all pixels of a series, eager or chunk by chunk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.block import (
    LEVEL,
    block_fields,
    fit_block,
    interval_block,
    offset_of,
    parameter_names,
)
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import ExactFit
from hyperspy_dosekin.kinetics.estimate.moved_frames import with_moved_frames
from hyperspy_dosekin.kinetics.laws.solution import streams
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.lazy.blocks import cpu_count, is_lazy, map_blocks
from hyperspy_dosekin.lazy.merging import merge_chunks
from hyperspy_dosekin.numerics.device import resolve_device
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.progress import dask_progress

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw

_logger = logging.getLogger(__name__)

#: Pixels that are fitted at a time: small blocks lose half of the time and more to the calls of
#: Torch, larger ones gain nothing.
PIXELS_AT_A_TIME = 8192
#: The same on a device other than the processor, which fills it.
PIXELS_ON_A_DEVICE = 2**18
#: The same with intervals, which take most of the time, so that progress shows.
PIXELS_WITH_INTERVALS = 1024
#: The same for laws that are integrated, which take longer.
PIXELS_OF_LAWS = 32
#: Lazy blocks of fewer pixels are joined, as long as so many are left for each core, or they are
#: smaller than this share.
_BLOCKS_PER_CORE, _SMALLEST_SHARE = 4, 8


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
    band_dose
        Normalised doses of an interval of a·C + b whose ends follow the other fields.
    notes
        What has to be said of the fit beside what follows from its numbers.
    """

    data: SeriesData
    config: ExactConfig
    offset: Any
    fields: Any
    complete: bool = True
    with_intervals: bool = True
    band_dose: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        data: SeriesData,
        config: ExactConfig,
        offset: Any = None,
        *,
        with_intervals: bool = True,
        band_dose: Sequence[float] = (),
        progress: Progress = no_progress,
        stop: Stop = never_stop,
    ) -> ExactMaps:
        """Fit all pixels; lazy data give lazy fields, of which nothing is computed."""
        maps = cls(data, config, offset, None, True, with_intervals, tuple(band_dose))
        kernel, count = maps._kernel(), len(maps.field_names) + 2 * len(maps.band_dose)
        step = maps._pixels_at_a_time()
        if is_lazy(data.values):
            data = _joined(data, step)
            maps = replace(maps, data=data)
            return replace(
                maps, fields=over_pixels(kernel, data, offset, "f,w", {"f": count}, step)
            )
        fields, complete = _fit_eagerly(kernel, count, step, data, offset, progress, stop)
        return replace(maps, fields=fields, complete=complete)

    def _kernel(self) -> Callable[..., np.ndarray]:
        """The function that fits a block."""
        return partial(
            fit_block,
            dose=self.data.dose,
            window_names=self.data.window_names,
            config=self.config,
            dose_scale=self.data.dose_scale,
            with_intervals=self.with_intervals,
            band_dose=self.band_dose,
        )

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
        problem = replace(self.data, shared_errors={}).problem(quiet=True)
        offset = offset_of(self.offset, len(self.data.window_names))
        error = self.config.dose_error.of_frames
        return with_moved_frames(problem, replace(self.config, dose_error=error, offset=offset))[0]

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
            A parameter of the law, ``"half_integrity_dose"``, ``"dose_at"`` or ``"integrity"``.
        level, method
            As for `DoseKinetics.interval`.
        dose_level, normalised_dose
            Integrity of ``"dose_at"``, and doses of ``"integrity"``.
        """
        with_fit = self.with_intervals and f"{name} lower" in self.field_names
        if with_fit and method == "posterior" and level == LEVEL:
            lower, upper = (self.field(f"{name} {end}") for end in ("lower", "upper"))
            return lower[..., np.newaxis], upper[..., np.newaxis]
        quantity = Quantity(name, dose_level if name == "dose_at" else None, normalised_dose)
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
        ends = over_pixels(kernel, self.data, self.offset, "e,w,v", sizes, PIXELS_WITH_INTERVALS)
        return ends[..., 0, :, :], ends[..., 1, :, :]

    def band(self, normalised_dose: Sequence[float]) -> tuple[Any, Any]:
        """Ends of the 95 % interval of a·C + b, ``(…space…, window, n_dose)`` each."""
        first, wanted = len(self.field_names), tuple(normalised_dose)
        fields = self.fields
        if wanted != self.band_dose:
            kernel = replace(self, band_dose=wanted)._kernel()
            sizes = {"f": first + 2 * len(wanted)}
            fields = over_pixels(
                kernel, self.data, self.offset, "f,w", sizes, PIXELS_WITH_INTERVALS
            )
        middle = first + len(wanted)
        ends = (slice(first, middle), slice(middle, middle + len(wanted)))
        lower, upper = (
            map_blocks(
                _rows, "(f,w)->(w,d)", fields, output_sizes={"d": len(wanted)},
                method="fit_dose_pinn", places=place,
            )
            for place in ends
        )  # fmt: skip
        return lower, upper

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


def _joined(data: SeriesData, wanted: int) -> SeriesData:
    """The same lazy series with small blocks of pixels joined, values and variance alike."""
    number = math.prod(data.space_shape)
    fair = -(-number // (_BLOCKS_PER_CORE * cpu_count()))
    wanted = min(wanted, max(fair, wanted // _SMALLEST_SHARE))
    values = merge_chunks(data.values, 2, wanted)
    variance = data.variance
    if is_lazy(variance):
        variance = merge_chunks(variance, 2, wanted)
    errors = {
        name: merge_chunks(error, 2, wanted) if is_lazy(error) else error
        for name, error in data.shared_errors.items()
    }
    return replace(data, values=values, variance=variance, shared_errors=errors)


def over_pixels(
    kernel: Callable[..., np.ndarray],
    data: SeriesData,
    offset: Any,
    output: str,
    sizes: dict[str, int],
    step: int,
    progress: Progress = no_progress,
) -> Any:
    """Call a kernel of values, variance and offset on whole blocks, without the absent ones.

    Parameters
    ----------
    kernel
        ``kernel(values, variance, offset, *shared errors)`` of some pixels, arrays or
        ``None``.
    data, offset
        The series, and its known offset.
    output, sizes
        Core dimensions of what the kernel returns, and the sizes of the new ones.
    step
        Pixels at a time.
    progress
        Told of pixels, where the series is in memory.

    Returns
    -------
    Lazy where the series is.
    """
    arrays, cores = [data.values], ["(w,d)"]
    if data.variance is not None:
        arrays, cores = [*arrays, data.variance], [*cores, "(w,d)"]
    if offset is not None:
        arrays, cores = [*arrays, offset], [*cores, "(w)"]
    for error in data.shared_errors.values():
        arrays, cores = [*arrays, error], [*cores, "(w,d)"]
    return map_blocks(
        _present,
        f"{','.join(cores)}->({output})",
        *arrays,
        output_sizes=sizes,
        method="fit_dose_pinn",
        kernel_of_all=kernel,
        has_variance=data.variance is not None,
        has_offset=offset is not None,
        step=step,
        eager_options={"progress": progress},
    )


def _present(
    *arrays: np.ndarray,
    kernel_of_all: Callable[..., np.ndarray],
    has_variance: bool,
    has_offset: bool,
    step: int,
    progress: Progress = no_progress,
) -> np.ndarray:
    """Call the kernel on a part of the block at a time, with what is there in its places.

    A block may hold so many pixels that the work arrays of the kernel would not fit in memory.
    """
    lead = arrays[0].shape[:-2]
    cores = [2] * (1 + has_variance) + [1] * has_offset
    cores += [2] * (len(arrays) - len(cores))
    flat = [
        np.broadcast_to(array, (*lead, *array.shape[-core:])).reshape(-1, *array.shape[-core:])
        for array, core in zip(arrays, cores, strict=True)
    ]
    number = len(flat[0])
    found: list[np.ndarray] = []
    # Chunks are worked on by the threads of dask, so each keeps to one of Torch; and the arrays
    # of a block are too small for more than one to pay.
    with torch_threads(1):
        for start in range(0, max(number, 1), step):
            if number > 1:
                progress("pixels", start, number)
            rest = [array[start : start + step] for array in flat]
            values = rest.pop(0)
            variance = rest.pop(0) if has_variance else None
            offset = rest.pop(0) if has_offset else None
            found.append(kernel_of_all(values, variance, offset, *rest))
    if number > 1:
        progress("pixels", number, number)
    whole = found[0] if len(found) == 1 else np.concatenate(found)
    return whole.reshape(*lead, *whole.shape[1:])


def _row(fields: np.ndarray, place: int) -> np.ndarray:
    return fields[..., place, :]


def _ordered(parts: Sequence[Sequence[Any] | None], places: Sequence[int]) -> Any:
    """All windows of some fits in another order; ``None`` where those of one are not known."""
    if any(part is None for part in parts):
        return None
    every = [window for part in parts for window in part or ()]
    return tuple(every[place] for place in places)


def _rows(fields: np.ndarray, places: slice) -> np.ndarray:
    return np.moveaxis(fields[..., places, :], -1, -2)


def _fit_eagerly(
    kernel: Callable[..., np.ndarray],
    n_field: int,
    step: int,
    data: SeriesData,
    offset: Any,
    progress: Progress,
    stop: Stop,
) -> tuple[np.ndarray, bool]:
    """Fit block after block, so that progress shows and Ctrl-C keeps what is there."""
    space, n_window = data.space_shape, len(data.window_names)
    core = data.values.shape[-2:]
    values = data.values.reshape(-1, *core)
    variance = None if data.variance is None else np.reshape(data.variance, (-1, *core))
    errors = [np.reshape(error, (-1, *core)) for error in data.shared_errors.values()]
    known = None
    if offset is not None:
        known = np.broadcast_to(offset, (*space, n_window)).reshape(-1, n_window)
    fields = np.full((len(values), n_field, n_window), np.nan)
    complete = True
    try:
        for start in range(0, len(values), step):
            # The bar of a single curve would not move.
            if len(values) > 1:
                progress("pixels", start, len(values))
            if stop():
                complete = False
                break
            part = slice(start, start + step)
            with torch_threads(1):
                fields[part] = kernel(
                    values[part],
                    None if variance is None else variance[part],
                    None if known is None else known[part],
                    *(error[part] for error in errors),
                )
    except KeyboardInterrupt:
        complete = False
    if complete and len(values) > 1:
        progress("pixels", len(values), len(values))
    if not complete:
        _logger.warning("The fit was interrupted; pixels that were not fitted are NaN.")
    return fields.reshape(*space, n_field, n_window), complete
