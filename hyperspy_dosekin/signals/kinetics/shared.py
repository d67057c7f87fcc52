# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits in which pixels share something: a population, or with their neighbours a field."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.block import LEVEL
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.posterior.quantities import Quantity
from hyperspy_dosekin.lazy.blocks import compute, is_lazy, map_blocks
from hyperspy_dosekin.lazy.overlapping import blocks_with_halo
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.kinetics.common_error import (
    is_logarithmic,
    shifts_of,
    widened,
    widened_fields,
)
from hyperspy_dosekin.signals.kinetics.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.curves import CommonScale, SharedCurves
    from hyperspy_dosekin.kinetics.field.population import Population
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

_logger = logging.getLogger(__name__)

#: Pixels that are worked on at a time.
PIXELS_AT_A_TIME = 2048
#: Pixels of a lazy series that are read to learn its population, at most about.
PIXELS_TO_LEARN_FROM = 4096
#: Pixels along each axis of the tiles of a field, and of their margins at most, by its axes.
TILE = {1: 2048, 2: 64, 3: 16}
HALO = {1: 64, 2: 16, 3: 6}
#: Pixels along each axis of the part of a map from which lengths are learned.
LEARNED_FROM = {1: 1024, 2: 48, 3: 14}
#: Largest length of a field as a share of the extent of the pixels.
LARGEST_LENGTH = 0.6
#: Label of pixels that are left out.
LEFT_OUT = -1


@dataclass(frozen=True, eq=False)
class Groups:
    """To which group each pixel belongs.

    Parameters
    ----------
    labels
        ``(…space…)``, integers; negative where a pixel is left out.
    names
        Name of each label that is there.
    """

    labels: np.ndarray
    names: Mapping[int, str]

    @classmethod
    def of(cls, groups: Any, space: Sequence[int]) -> Groups:
        """Read the option ``groups``.

        Parameters
        ----------
        groups
            ``None``, an image of integers, or a `ClassMap`.
        space
            Sizes of the space axes.

        Raises
        ------
        TypeError
            If the labels are no integers.
        ValueError
            If they have another shape, or no pixel is in a group.
        """
        if groups is None:
            return cls(np.zeros(tuple(space), dtype=np.int64), {0: ""})
        labels = np.asarray(getattr(groups, "data", groups))
        if labels.dtype.kind not in "iub":
            raise TypeError(
                f"groups of {labels.dtype} must be integer labels, one for each pixel; give a "
                "ClassMap or an image of integers."
            )
        if labels.shape != tuple(space):
            raise ValueError(
                f"groups of shape {labels.shape} do not fit the pixels {tuple(space)}; give one "
                "label for each pixel, in the order of the array."
            )
        labels = labels.astype(np.int64)
        known = [int(label) for label in np.unique(labels) if label >= 0]
        if not known:
            raise ValueError(
                "groups leave out all pixels (every label is negative); give those to be fitted "
                "a label of 0 or more."
            )
        named = tuple(getattr(groups, "names", ()) or ())
        names = {k: str(named[k]) if k < len(named) else str(k) for k in known}
        return cls(np.where(labels < 0, LEFT_OUT, labels), names)


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
        Distance in pixels over which neighbours are alike, by window and group, for a field.
    shifts
        What errors that all pixels have in common move, see `shifts_of`.
    """

    known: Any = None
    populations: Mapping[tuple[int, int], Population] = field(default_factory=dict)
    group_names: Mapping[int, str] = field(default_factory=dict)
    spatial: str = "population"
    lengths: Mapping[tuple[int, int], float] = field(default_factory=dict)
    shifts: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def sharing(self) -> str:
        """What pixels share."""
        return self.spatial

    @property
    def field_names(self) -> tuple[str, ...]:
        """What the fields hold, in their order."""
        from hyperspy_dosekin.kinetics.field.block import shared_fields

        return shared_fields(self.law)

    def _block(self) -> Any:
        from hyperspy_dosekin.kinetics.field.block import SharedBlock

        return SharedBlock(
            self.populations,
            self.data.dose,
            tuple(self.data.window_names),
            self.config,
            self.data.dose_scale,
        )

    def _called(self, kernel: Callable[..., np.ndarray], output: str, sizes: dict[str, int]) -> Any:
        """Call a kernel of values, variance, offset and what is known, block by block."""
        data = self.data
        arrays = {"values": (data.values, "(w,d)"), "known": (self.known, "(q,w)")}
        if data.variance is not None:
            arrays["variance"] = data.variance, "(w,d)"
        if self.offset is not None:
            arrays["offset"] = self.offset, "(w)"
        return map_blocks(
            _named,
            f"{','.join(core for _, core in arrays.values())}->({output})",
            *(array for array, _ in arrays.values()),
            output_sizes=sizes,
            method="fit_dose_pinn",
            kernel_of_all=kernel,
            names=tuple(arrays),
        )

    def with_fields(self, progress: Progress = no_progress, stop: Stop = never_stop) -> SharedMaps:
        """The same with its fields; lazy where the data are."""
        kernel = partial(self._block().fit, band_dose=self.band_dose)
        sizes = {"f": len(self.field_names) + 2 * len(self.band_dose)}
        if is_lazy(self.data.values):
            return replace(self, fields=self._widened(self._called(kernel, "f,w", sizes)))
        watched = partial(kernel_with_progress, kernel=kernel, progress=progress, stop=stop)
        fields = self._widened(self._called(watched, "f,w", sizes))
        complete = self.complete and not stop()
        return replace(self, fields=fields, complete=complete)

    def _widened(self, fields: Any) -> Any:
        """The fields with the errors that all pixels have in common."""
        if not self.shifts:
            return fields
        return map_blocks(
            widened_fields,
            "(f,w)->(f,w)",
            fields,
            method="fit_dose_pinn",
            names=self.field_names,
            law=self.law,
            shifts=self.shifts,
            level=LEVEL,
        )

    def interval(
        self,
        name: str,
        level: float,
        method: str,
        *,
        dose_level: float = 0.5,
        normalised_dose: tuple[float, ...] = (),
    ) -> tuple[Any, Any]:
        """Lower and upper ends; the profile is that of a pixel by itself."""
        stored = f"{name} lower" in self.field_names and level == LEVEL
        if method == "profile" or stored:
            return super().interval(
                name, level, method, dose_level=dose_level, normalised_dose=normalised_dose
            )
        quantity = Quantity(name, dose_level if name == "dose_at" else None, normalised_dose)
        kernel = partial(self._block().interval, quantity=quantity, level=level)
        ends = self._called(kernel, "e,w,v", {"e": 2, "v": quantity.n_value})
        lower, upper = ends[..., 0, :, :], ends[..., 1, :, :]
        shift = self.shifts.get("half_integrity_dose" if name == "dose_at" else name)
        if shift is None:
            return lower, upper
        logarithmic = is_logarithmic(self.law, name)
        middle = (lower * upper) ** 0.5 if logarithmic else 0.5 * (lower + upper)
        estimate = self.field(name)[..., np.newaxis] if name in self.field_names else middle
        ends = map_blocks(
            _pair_widened,
            "(w,v),(w,v),(w,v)->(e,w,v)",
            lower,
            upper,
            estimate,
            output_sizes={"e": 2},
            method="fit_dose_pinn",
            shift=shift[:, np.newaxis],
            level=level,
            logarithmic=logarithmic,
        )
        return ends[..., 0, :, :], ends[..., 1, :, :]

    def band(self, normalised_dose: Sequence[float]) -> tuple[Any, Any]:
        """Ends of the 95 % interval of a·C + b, ``(…space…, window, n_dose)`` each."""
        wanted = tuple(normalised_dose)
        maps = self
        if wanted != self.band_dose:
            maps = replace(self, band_dose=wanted).with_fields()
        ends = np.moveaxis(maps.fields[..., len(self.field_names) :, :], -2, -1)
        return ends[..., : len(wanted)], ends[..., len(wanted) :]

    def record(self) -> dict[str, Any]:
        """What a file has to hold beside the arrays, of plain numbers and texts."""
        return {
            "spatial": self.spatial,
            "groups": {str(label): name for label, name in self.group_names.items()},
            "populations": [
                {
                    "window": window,
                    "group": label,
                    "length": self.lengths.get((window, label)),
                    **_written(population),
                }
                for (window, label), population in self.populations.items()
            ],
            "shifts": {name: each.tolist() for name, each in self.shifts.items()},
        }

    def restored(self, record: Mapping[str, Any]) -> SharedMaps:
        """The same with what `record` has written."""
        populations = {
            (entry["window"], entry["group"]): _read(entry) for entry in record["populations"]
        }
        names = {int(label): name for label, name in record["groups"].items()}
        lengths = {
            (entry["window"], entry["group"]): entry["length"]
            for entry in record["populations"]
            if entry["length"] is not None
        }
        return replace(
            self,
            populations=populations,
            group_names=names,
            spatial=record["spatial"],
            lengths=lengths,
            shifts={name: np.asarray(each) for name, each in record.get("shifts", {}).items()},
        )


def _pair_widened(
    lower: np.ndarray, upper: np.ndarray, estimate: np.ndarray, **options: Any
) -> np.ndarray:
    return np.stack(widened(lower, upper, estimate, **options), axis=-3)


def _written(population: Population) -> dict[str, Any]:
    return {
        **{name: asdict(getattr(population, name)) for name in ("layout", "scale")},
        **{name: getattr(population, name).tolist() for name in ("vector", "covariance", "design")},
        **{name: getattr(population, name) for name in ("n_pixel", "n_effective")},
    }


def _read(entry: Mapping[str, Any]) -> Population:
    from hyperspy_dosekin.kinetics.field.curves import CommonScale
    from hyperspy_dosekin.kinetics.field.hyper import Layout
    from hyperspy_dosekin.kinetics.field.population import Population

    layout: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry["layout"].items()
    }
    vector, covariance, design = (
        np.asarray(entry[name], dtype=np.float64) for name in ("vector", "covariance", "design")
    )
    return Population(
        Layout(**layout),
        CommonScale(**entry["scale"]),
        vector,
        covariance,
        design,
        entry["n_pixel"],
        entry["n_effective"],
    )


def _named(
    *arrays: np.ndarray, kernel_of_all: Callable[..., np.ndarray], names: Sequence[str]
) -> np.ndarray:
    """Call the kernel on a part of the pixels at a time, with what is there in its places."""
    found = dict(zip(names, arrays, strict=True))
    lead = found["values"].shape[:-2]
    flat = {
        name: np.broadcast_to(a, (*lead, *a.shape[len(a.shape) - core :])).reshape(
            -1, *a.shape[len(a.shape) - core :]
        )
        for name, a in found.items()
        for core in [1 if name == "offset" else 2]
    }
    number = len(flat["values"])
    parts = []
    with torch_threads(1):
        for start in range(0, max(number, 1), PIXELS_AT_A_TIME):
            some = {name: a[start : start + PIXELS_AT_A_TIME] for name, a in flat.items()}
            parts.append(
                kernel_of_all(
                    some["values"], some.get("variance"), some.get("offset"), some["known"]
                )
            )
    whole = np.concatenate(parts)
    return whole.reshape(*lead, *whole.shape[1:])


def kernel_with_progress(
    *arrays: Any, kernel: Callable[..., np.ndarray], progress: Progress, stop: Stop
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


def fit_shared(
    data: SeriesData,
    config: ExactConfig,
    offset: Any,
    *,
    spatial: str,
    groups: Any = None,
    band_dose: Sequence[float] = (),
    progress: Progress = no_progress,
    stop: Stop = never_stop,
) -> SharedMaps:
    """Learn what the pixels share, and fit them all.

    The population is learned at once, also from lazy data, of which some pixels are read for
    that; what follows is lazy where the data are.

    Raises
    ------
    ValueError
        If there are too few pixels in a group.
    """
    found = Groups.of(groups, data.space_shape)
    labels = np.repeat(found.labels[..., np.newaxis, np.newaxis], len(data.window_names), axis=-1)
    maps = SharedMaps(
        data, config, offset, None, band_dose=tuple(band_dose), known=labels.astype(np.float64),
        group_names=found.names, spatial=spatial,
    )  # fmt: skip
    populations = learned(maps, found, progress, stop)
    shifts = {} if stop() else shifts_of(data, config, offset)
    maps = replace(maps, populations=populations, shifts=shifts, complete=not stop())
    if spatial == "field" and maps.complete:
        maps = with_neighbours(maps, found, progress, stop)
    return maps.with_fields(progress, stop)


def learned(
    maps: SharedMaps, groups: Groups, progress: Progress, stop: Stop
) -> dict[tuple[int, int], Population]:
    """The populations of all windows and groups."""
    from hyperspy_dosekin.kinetics.field.population import fit_population

    data, labels, places = _sample(maps, groups.labels)
    found: dict[tuple[int, int], Population] = {}
    wanted = [(w, label) for w in range(len(data.window_names)) for label in groups.names]
    with torch_threads(1):
        for step, (window, label) in enumerate(wanted):
            progress("population", step, len(wanted))
            if stop():
                break
            chosen = labels == label
            try:
                curves = window_curves(maps, data, window, chosen)
                noise = maps.config.noise if data.variance is not None else "relative"
                found[window, label] = fit_population(
                    curves, places[chosen.ravel()][curves.alive], _NOISE[noise]
                )
            except ValueError as error:
                name = groups.names[label]
                where = f" of group {name!r}" if name else ""
                raise ValueError(f"window {data.window_names[window]!r}{where}: {error}") from error
        else:
            progress("population", len(wanted), len(wanted))
    return found


def with_neighbours(maps: SharedMaps, groups: Groups, progress: Progress, stop: Stop) -> SharedMaps:
    """The same with what neighbours say of every pixel; lazy where the data are."""
    lengths: dict[tuple[int, int], Any] = {}
    for step, key in enumerate(maps.populations):
        progress("lengths", step, len(maps.populations))
        if stop():
            return replace(maps, complete=False)
        with torch_threads(1):
            lengths[key] = learned_lengths(maps, groups.labels, *key)
    progress("lengths", len(lengths), max(len(lengths), 1))
    data, n_space = maps.data, groups.labels.ndim
    arrays: dict[str, Any] = {"values": data.values, "labels": groups.labels[..., None, None]}
    if data.variance is not None:
        arrays["variance"] = data.variance
    if maps.offset is not None:
        shape = (*data.space_shape, len(data.window_names))
        arrays["offset"] = np.broadcast_to(maps.offset, shape)[..., None]
    kernel = partial(
        _neighbours, names=tuple(arrays), block=maps._block(), lengths=lengths, n_space=n_space
    )
    mean = {key: float(np.mean(each.best)) for key, each in lengths.items()}
    longest = max((max(each.best) for each in lengths.values()), default=0.0)
    lazy = is_lazy(data.values)
    tile = TILE[min(n_space, 3)]
    if not lazy and max(data.space_shape) <= tile + 2 * HALO[min(n_space, 3)]:
        progress("fields", 0, 1)
        known = kernel(*arrays.values())
        progress("fields", 1, 1)
        return replace(maps, known=known, lengths=mean)
    halo = min(max(int(np.ceil(longest)), 4), HALO[min(n_space, 3)])
    d = len(maps.config.parameters.free)
    designs = len(next(iter(maps.populations.values())).design)
    core = (1 + designs * (d + d * (d + 1) // 2), len(data.window_names))
    known = blocks_with_halo(
        kernel, *arrays.values(), n_space=n_space, halo=halo, core=core, tile=tile
    )
    return replace(maps, known=known if lazy else known.compute(), lengths=mean)


def _neighbours(
    *arrays: np.ndarray, names: Sequence[str], block: Any, lengths: Any, n_space: int
) -> np.ndarray:
    found = dict(zip(names, arrays, strict=True))
    offset = found.get("offset")
    with torch_threads(1):
        return block.neighbours(
            found["values"],
            found.get("variance"),
            None if offset is None else offset[..., 0],
            found["labels"][..., 0, 0],
            lengths=lengths,
        )


def learned_lengths(maps: SharedMaps, labels: np.ndarray, window: int, label: int) -> Any:
    """Over how many pixels neighbours of a group are alike, from a part of the map."""
    from hyperspy_dosekin.kinetics.field.fields import find_lengths
    from hyperspy_dosekin.kinetics.field.smooth import Bonds

    tile = LEARNED_FROM[min(labels.ndim, 3)]
    chosen = labels == label
    # The part with the most pixels of the group.
    parts = [range(0, size, tile) for size in labels.shape]
    corners = np.stack(np.meshgrid(*parts, indexing="ij"), -1).reshape(-1, labels.ndim)
    part = max(
        (tuple(slice(c, c + tile) for c in corner) for corner in corners),
        key=lambda each: int(chosen[each].sum()),
    )
    data = maps.data
    values, variance = data.values[part], data.variance
    variance = None if variance is None else variance[part]
    if is_lazy(values) or is_lazy(variance):
        values, variance = compute(values, variance)
    small = replace(maps, data=replace(data, values=values, variance=variance))
    if maps.offset is not None:
        every = np.broadcast_to(maps.offset, (*data.space_shape, len(data.window_names)))
        small = replace(small, offset=every[part])
    population = maps.populations[window, label]
    curves = window_curves(small, small.data, window, chosen[part], population.scale)
    places = np.argwhere(chosen[part])[curves.alive]
    extent = float(np.ptp(places, axis=0).max()) + 1
    return find_lengths(curves, population.shared, Bonds.of(places), LARGEST_LENGTH * extent)[0]


_NOISE = {"relative": "free", "absolute": "given", "floor": "floor"}


def window_curves(
    maps: SharedMaps,
    data: SeriesData,
    window: int,
    chosen: np.ndarray,
    scale: CommonScale | None = None,
) -> SharedCurves:
    """Curves of one window of some pixels."""
    from hyperspy_dosekin.kinetics.field.curves import SharedCurves

    flat = (-1, 1, data.dose.size)
    variance = None
    if data.variance is not None:
        variance = np.asarray(data.variance[..., window, :][chosen]).reshape(flat)
    problem = DoseProblem(
        data.dose,
        np.asarray(data.values[..., window, :][chosen]).reshape(flat),
        (data.window_names[window],),
        variance,
        data.dose_scale,
    )
    offset = None
    if maps.offset is not None:
        every = np.broadcast_to(maps.offset, (*maps.data.space_shape, len(data.window_names)))
        if every.shape[:-1] != data.space_shape:
            every = every[_strides(maps)]
        offset = every[..., window][chosen].reshape(-1, 1)
    return SharedCurves.of(problem, replace(maps.config, offset=offset, hierarchy=()), scale)


def _strides(maps: SharedMaps) -> tuple[slice, ...]:
    """Every so manieth pixel along each axis, for lazy data."""
    shape = maps.data.space_shape
    ratio = np.prod(shape) / PIXELS_TO_LEARN_FROM
    step = max(int(np.ceil(max(ratio, 1.0) ** (1 / len(shape)))), 1)
    return (slice(None, None, step),) * len(shape)


def _sample(maps: SharedMaps, labels: np.ndarray) -> tuple[SeriesData, np.ndarray, np.ndarray]:
    """Data to learn from, in memory, their labels, and where they are in pixels."""
    data = maps.data
    places = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), -1)
    if is_lazy(data.values) or is_lazy(data.variance):
        some = _strides(maps)
        values, variance = compute(
            data.values[some], None if data.variance is None else data.variance[some]
        )
        data = replace(data, values=values, variance=variance)
        labels, places = labels[some], places[some]
    return data, labels, places.reshape(-1, places.shape[-1])
