# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits in which pixels share something: a population, or with their neighbours a field."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.block import LEVEL
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.lazy.blocks import cpu_count, is_lazy, map_blocks
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import side_by_side, torch_threads
from hyperspy_dosekin.signals.kinetics.data.common_error import (
    CommonErrors,
    is_logarithmic,
    widened,
    widened_fields,
    within,
)
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.numbers.pixels import by_pixel, part_of
from hyperspy_dosekin.signals.kinetics.numbers.shared_record import (
    pairs_read,
    pairs_written,
    population_read,
    population_written,
)

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.block import SharedBlock
    from hyperspy_dosekin.kinetics.field.population import Population
    from hyperspy_dosekin.kinetics.field.summary import PopulationSummary
    from hyperspy_dosekin.kinetics.field.windows import Pair
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.lazy.arrays import Array

_logger = logging.getLogger(__name__)

#: Pixels that are worked on at a time.
PIXELS_AT_A_TIME = 1024


@dataclass(frozen=True, eq=False)
class SharedMaps(ExactMaps):
    """Fits of every pixel and window with what the pixels share.

    Parameters
    ----------
    known
        What is known of each pixel before its data, ``(…space…, n_known, window)``: the label of
        its group and, for a field, what its neighbours say.
    populations
        What the pixels share, by place of the window and label of the group.
    group_names
        Name of each group.
    spatial
        ``"population"`` or ``"field"``.
    lengths
        Distance in pixels over which neighbours are alike, of each kinetic field, by window and
        group.
    errors
        Errors that all pixels have in common; ``None`` for none.
    pairs
        How windows go together, by the places of two windows and the label of the group.
    """

    known: Any = None
    populations: Mapping[tuple[int, int], Population] = field(default_factory=dict)
    group_names: Mapping[int, str] = field(default_factory=dict)
    spatial: str = "population"
    lengths: Mapping[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)
    errors: CommonErrors | None = None
    pairs: Mapping[tuple[int, int, int], Pair] = field(default_factory=dict)

    @property
    def sharing(self) -> str:
        """What pixels share."""
        return self.spatial

    @property
    def labels(self) -> np.ndarray:
        """Label of the group of every pixel, ``(…space…)``."""
        return np.asarray(self.known[..., 0, 0]).astype(np.int64)

    @property
    def field_names(self) -> tuple[str, ...]:
        """What the fields hold, in their order."""
        from hyperspy_dosekin.kinetics.field.block import shared_fields

        return shared_fields(self.law)

    @cached_property
    def summaries(self) -> dict[tuple[int, int], PopulationSummary]:
        """What is known of each of the populations."""
        from hyperspy_dosekin.kinetics.field.summary import summary_of

        return {
            key: summary_of(population, self.config.parameters)
            for key, population in self.populations.items()
        }

    def block(self) -> SharedBlock:
        """The kernel of these pixels."""
        from hyperspy_dosekin.kinetics.field.block import SharedBlock

        return SharedBlock(
            self.populations,
            self.data.dose,
            tuple(self.data.window_names),
            self.config,
            self.data.dose_scale,
            self.pairs,
        )

    def _called(self, kernel: Callable[..., np.ndarray], output: str, sizes: dict[str, int]) -> Any:
        """Call a kernel of values, variance, offset and what is known, block by block."""
        return map_blocks(
            _in_parts,
            f"(w,d),(w,d),(w),(q,w)->({output})",
            self.data.values,
            self.data.variance,
            self.offset,
            self.known,
            output_sizes=sizes,
            method="fit_dose_pinn",
            kernel_of_all=kernel,
            eager_options={"workers": cpu_count()},
        )

    def with_fields(self, progress: Progress = no_progress, stop: Stop = never_stop) -> SharedMaps:
        """The same with its fields; lazy where the data are."""
        kernel, sizes = self.block().fit, {"f": len(self.field_names)}
        if is_lazy(self.data.values):
            return replace(self, fields=self._widened(self._called(kernel, "f,w", sizes)))
        watched = partial(kernel_with_progress, kernel=kernel, progress=progress, stop=stop)
        fields = self._widened(self._called(watched, "f,w", sizes))
        complete = self.complete and not stop()
        return replace(self, fields=fields, complete=complete)

    @property
    def _least_near(self) -> np.ndarray:
        """Least probability of a determined pixel, ``(n_group, n_window)``."""
        found = np.full((len(self.group_names), len(self.data.window_names)), np.inf)
        order = sorted(self.group_names)
        # A fit that was stopped has not learned them all.
        for (window, label), population in self.populations.items():
            found[order.index(label), window] = population.least_near
        return found

    def _widened(self, fields: Any) -> Any:
        """The fields with the errors that all pixels have in common."""
        if self.errors is None:
            return fields
        return map_blocks(
            widened_fields,
            "(f,w),(q,w)->(f,w)",
            fields,
            self.known,
            method="fit_dose_pinn",
            names=self.field_names,
            law=self.law,
            errors=self.errors,
            level=LEVEL,
            least_near=self._least_near,
        )

    def _interval(self, quantity: Quantity, level: float, method: str) -> tuple[Array, Array]:
        """An interval that is not in the fields; the profile is that of a pixel by itself."""
        if method == "profile":
            return super()._interval(quantity, level, method)
        name = quantity.name
        kernel = partial(self.block().interval, quantity=quantity, level=level)
        ends = self._called(kernel, "e,w,v", {"e": 2, "v": quantity.n_value})
        lower, upper = ends[..., 0, :, :], ends[..., 1, :, :]
        if self.errors is None:
            return lower, upper
        logarithmic = is_logarithmic(self.law, name)
        middle = (lower * upper) ** 0.5 if logarithmic else 0.5 * (lower + upper)
        estimate = self.field(name)[..., np.newaxis] if name in self.field_names else middle
        ends = map_blocks(
            _pair_widened,
            "(w,v),(w,v),(w,v),(w),(q,w)->(e,w,v)",
            lower,
            upper,
            estimate,
            self.field("amplitude"),
            self.known,
            output_sizes={"e": 2},
            method="fit_dose_pinn",
            law=self.law,
            name=name,
            errors=self.errors,
            shift=self.errors.shift(
                self.law,
                name,
                dose_level=quantity.dose_level or 0.5,
                normalised_dose=quantity.normalised_dose,
            ),
            level=level,
        )
        return ends[..., 0, :, :], ends[..., 1, :, :]

    def record(self) -> dict[str, object]:
        """What a file has to hold beside the arrays, of plain numbers and texts."""
        return {
            "spatial": self.spatial,
            "groups": {str(label): name for label, name in self.group_names.items()},
            "populations": [
                {
                    "window": window,
                    "group": label,
                    "length": self.lengths.get((window, label)),
                    **population_written(population),
                }
                for (window, label), population in self.populations.items()
            ],
            "errors": None if self.errors is None else self.errors.record(),
            "pairs": pairs_written(self.pairs),
        }

    def restored(self, record: Mapping[str, Any]) -> SharedMaps:
        """The same with what `record` has written."""
        entries = record["populations"]
        populations = {
            (each["window"], each["group"]): population_read(each, self.config.parameters)
            for each in entries
        }
        names = {int(label): name for label, name in record["groups"].items()}
        lengths = {
            (entry["window"], entry["group"]): tuple(np.atleast_1d(entry["length"]).tolist())
            for entry in entries
            if entry["length"] is not None
        }
        return replace(
            self,
            populations=populations,
            group_names=names,
            spatial=record["spatial"],
            lengths=lengths,
            errors=CommonErrors.read(record.get("errors")),
            pairs=pairs_read(record.get("pairs", [])),
        )


def _pair_widened(
    lower: np.ndarray,
    upper: np.ndarray,
    estimate: np.ndarray,
    amplitude: np.ndarray,
    known: np.ndarray,
    *,
    law: KineticLaw,
    name: str,
    errors: CommonErrors,
    shift: np.ndarray,
    level: float,
) -> np.ndarray:
    own = errors.of_pixels(shift, known[..., 0, :])
    if name == "intensity":
        # The error of a thick pixel is larger than that of the mean.
        mean = np.abs(errors.moved["amplitude"]).mean((0, 1))[..., None]
        mean, thick = errors.of_pixels(mean, known[..., 0, :]), np.abs(amplitude[..., None])
        own = own * np.where(mean > 0, thick / np.where(mean > 0, mean, 1.0), 1.0)
    ends = widened(lower, upper, estimate, own, level, logarithmic=is_logarithmic(law, name))
    return np.stack(within(ends, (lower, upper), law, name), axis=-3)


def _in_parts(
    *arrays: np.ndarray, kernel_of_all: Callable[..., np.ndarray], workers: int = 1
) -> np.ndarray:
    """Call the kernel on a part of the pixels at a time."""
    lead, flat = arrays[0].shape[:-2], by_pixel(*arrays)

    def of_part(start: int) -> np.ndarray:
        return kernel_of_all(*part_of(flat, slice(start, start + PIXELS_AT_A_TIME)))

    starts = range(0, max(math.prod(lead), 1), PIXELS_AT_A_TIME)
    with torch_threads(1):
        whole = np.concatenate(side_by_side(of_part, starts, workers))
    return whole.reshape(*lead, *whole.shape[1:])


def kernel_with_progress(
    *arrays: Array, kernel: Callable[..., np.ndarray], progress: Progress, stop: Stop
) -> np.ndarray:
    """Call a kernel, unless the fit has been stopped; then nothing is fitted."""
    if stop():
        _logger.warning("The fit was interrupted; pixels that were not fitted are NaN.")
        empty = [None if a is None else np.asarray(a) for a in arrays]
        empty[0] = np.full_like(np.asarray(arrays[0], dtype=float), np.nan)
        return kernel(*empty)
    progress("pixels", 0, 1)
    found = kernel(*arrays)
    progress("pixels", 1, 1)
    return found
