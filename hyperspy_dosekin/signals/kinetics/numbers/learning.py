# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn what the pixels of a series share: populations, and how far neighbours are alike."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.lazy.blocks import compute, cpu_count, is_lazy
from hyperspy_dosekin.lazy.overlapping import blocks_with_halo
from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop, no_progress
from hyperspy_dosekin.numerics.threads import side_by_side, torch_threads
from hyperspy_dosekin.signals.kinetics.data.common_error import CommonErrors
from hyperspy_dosekin.signals.kinetics.data.groups import Groups
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.numbers.pixels import strides
from hyperspy_dosekin.signals.kinetics.numbers.shared import SharedMaps

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.block import SharedBlock
    from hyperspy_dosekin.kinetics.field.curves import CommonScale, SharedCurves
    from hyperspy_dosekin.kinetics.field.population import Population
    from hyperspy_dosekin.kinetics.model.config import ExactConfig

_Arrays = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]

#: Pixels along each axis of the tiles of a field, and of their margins at most, by its axes.
TILE = {1: 2048, 2: 64, 3: 16}
HALO = {1: 64, 2: 16, 3: 6}
#: Pixels along each axis of the part of a map from which lengths are learned.
LEARNED_FROM = {1: 1024, 2: 48, 3: 14}
#: Largest length of a field as a share of the extent of the pixels.
LARGEST_LENGTH = 0.6


def fit_shared(
    data: SeriesData,
    config: ExactConfig,
    offset: Any,
    *,
    spatial: str,
    groups: Any = None,
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
        data, config, offset, None, known=labels.astype(np.float64), group_names=found.names,
        spatial=spatial,
    )  # fmt: skip
    maps = learned(maps, found, progress, stop)
    maps = replace(maps, complete=maps.complete and not stop())
    if spatial == "field" and maps.complete:
        maps = with_neighbours(maps, found, progress, stop)
    return maps.with_fields(progress, stop)


def learned(maps: SharedMaps, groups: Groups, progress: Progress, stop: Stop) -> SharedMaps:
    """The same with the populations of all windows and groups, and how windows go together."""
    from hyperspy_dosekin.kinetics.field.population import fit_population

    data, labels, places = _sample(maps, groups.labels)
    wanted = [(w, label) for w in range(len(data.window_names)) for label in groups.names]
    noise = _NOISE[maps.config.noise if data.variance is not None else "relative"]

    def population(key: tuple[int, int]) -> Population:
        window, label = key
        chosen = labels == label
        try:
            curves = window_curves(maps, data, window, chosen)
            return fit_population(curves, places[chosen.ravel()][curves.alive], noise)
        except ValueError as error:
            name = groups.names[label]
            where = f" of group {name!r}" if name else ""
            raise ValueError(f"window {data.window_names[window]!r}{where}: {error}") from error

    found: dict[tuple[int, int], Population] = {}
    with torch_threads(1):
        for step in range(0, len(wanted), cpu_count()):
            progress("population", step, len(wanted))
            if stop():
                return replace(maps, complete=False, populations=found)
            some = wanted[step : step + cpu_count()]
            found |= zip(some, side_by_side(population, some, cpu_count()), strict=True)
        gains = {key: each.gain for key, each in found.items()}
        errors = CommonErrors.of(maps.data, maps.config, maps.offset, groups, gains)
        maps = replace(maps, populations=found, errors=errors)
        for label in groups.names:
            maps = _together(maps, data, label, labels == label, places)
        progress("population", len(wanted), len(wanted))
    return maps


def _together(
    maps: SharedMaps, data: SeriesData, label: int, chosen: np.ndarray, places: np.ndarray
) -> SharedMaps:
    """The same with how the windows of a group go together, and with the flags of its pixels."""
    from hyperspy_dosekin.kinetics.field.flag import PIXELS
    from hyperspy_dosekin.kinetics.field.population import subset

    some = subset(int(chosen.sum()), PIXELS)
    arrays = _of_pixels(maps, data, chosen, some)
    known = np.full((some.size, 1, len(data.window_names)), label)
    if maps.spatial == "population" and len(data.window_names) > 1:
        where = places[chosen.ravel()][some]
        pairs = maps.block().find_pairs(*arrays, known, where)
        maps = replace(maps, pairs={**maps.pairs, **pairs})
    return maps if maps.spatial == "field" else _flagged(maps, label, arrays, known)


def _flagged(maps: SharedMaps, label: int, arrays: _Arrays, known: np.ndarray) -> SharedMaps:
    """The same with the flags of the pixels of a group, learned from some of them."""
    from hyperspy_dosekin.kinetics.field.flag import with_flag

    common = np.zeros(len(maps.data.window_names))
    if maps.errors is not None:
        of_groups = maps.errors.shift(maps.law, "half_integrity_dose")[..., 0]
        common = of_groups[sorted(maps.group_names).index(label)]
    populations = dict(maps.populations)
    for window, _, posterior in maps.block().posteriors(*arrays, known):
        flagged = with_flag(populations[window, label], posterior, float(common[window]))
        populations[window, label] = flagged
    return replace(maps, populations=populations)


def with_neighbours(maps: SharedMaps, groups: Groups, progress: Progress, stop: Stop) -> SharedMaps:
    """The same with what neighbours say of every pixel; lazy where the data are."""
    lengths: dict[tuple[int, int], Any] = {}
    keys = list(maps.populations)
    for step in range(0, len(keys), cpu_count()):
        progress("lengths", step, len(keys))
        if stop():
            return replace(maps, complete=False)
        some = keys[step : step + cpu_count()]
        with torch_threads(1):
            learn = partial(learned_lengths, maps, groups.labels)
            lengths |= zip(some, side_by_side(learn, some, cpu_count()), strict=True)
    progress("lengths", len(lengths), max(len(lengths), 1))
    repeats = {key: each.repeats for key, each in lengths.items()}
    heard = {key: replace(each, repeats=repeats[key]) for key, each in maps.populations.items()}
    maps = replace(maps, populations=heard)
    data, n_space = maps.data, groups.labels.ndim
    offset = None
    if maps.offset is not None:
        offset = np.broadcast_to(maps.offset, (*data.space_shape, len(data.window_names)))
        offset = offset[..., None]
    arrays = (data.values, data.variance, offset, groups.labels[..., None, None])
    kernel = partial(_neighbours, block=maps.block(), lengths=lengths)
    best = {key: each.best for key, each in lengths.items()}
    longest = max((max(each.best) for each in lengths.values()), default=0.0)
    lazy = is_lazy(data.values)
    tile = TILE[min(n_space, 3)]
    if not lazy and max(data.space_shape) <= tile + 2 * HALO[min(n_space, 3)]:
        progress("fields", 0, 1)
        known = kernel(*arrays, workers=cpu_count())
        progress("fields", 1, 1)
        return _with_known(replace(maps, known=known, lengths=best), groups)
    halo = min(max(int(np.ceil(longest)), 4), HALO[min(n_space, 3)])
    d = len(maps.config.parameters.free)
    designs = len(next(iter(maps.populations.values())).design)
    core = (1 + designs * (d + d * (d + 1) // 2), len(data.window_names))
    known = blocks_with_halo(kernel, *arrays, n_space=n_space, halo=halo, core=core, tile=tile)
    known = known if lazy else known.compute()
    return _with_known(replace(maps, known=known, lengths=best), groups)


def _with_known(maps: SharedMaps, groups: Groups) -> SharedMaps:
    """The same with how windows go together beside what neighbours say, and with the flags."""
    from hyperspy_dosekin.kinetics.field.flag import PIXELS
    from hyperspy_dosekin.kinetics.field.population import subset

    for label in groups.names:
        chosen = groups.labels == label
        part = _most_of(chosen)
        known = maps.known[part]
        small = _only(maps, part)
        if is_lazy(known):
            (known,) = compute(known)
        chosen = chosen[part]
        some = subset(int(chosen.sum()), PIXELS)
        arrays = _of_pixels(small, small.data, chosen, some)
        known = np.asarray(known)[chosen][some]
        with torch_threads(1):
            if len(maps.data.window_names) > 1:
                pairs = maps.block().find_pairs(*arrays, known, np.argwhere(chosen)[some])
                maps = replace(maps, pairs={**maps.pairs, **pairs})
            maps = _flagged(maps, label, arrays, known)
    return maps


def _neighbours(
    values: np.ndarray,
    variance: np.ndarray | None,
    offset: np.ndarray | None,
    labels: np.ndarray,
    *,
    block: SharedBlock,
    lengths: Any,
    workers: int = 1,
) -> np.ndarray:
    offset = None if offset is None else offset[..., 0]
    with torch_threads(1):
        return block.neighbours(
            values, variance, offset, labels[..., 0, 0], lengths=lengths, workers=workers
        )


def learned_lengths(maps: SharedMaps, labels: np.ndarray, key: tuple[int, int]) -> Any:
    """Over how many pixels neighbours of a group are alike, from a part of the map."""
    from hyperspy_dosekin.kinetics.field.lengths import find_lengths
    from hyperspy_dosekin.kinetics.field.smooth import Bonds
    from hyperspy_dosekin.kinetics.field.still import moving

    window, label = key
    chosen = labels == label
    part = _most_of(chosen)
    small, chosen = _only(maps, part), chosen[part]
    population = maps.populations[window, label]
    curves = window_curves(small, small.data, window, chosen, population.scale)
    some = moving(population.still, curves)
    curves = curves.select(some) if some.size else curves
    places = np.argwhere(chosen)[curves.alive]
    extent = float(np.ptp(places, axis=0).max()) + 1
    bonds = Bonds.of(places)
    largest = LARGEST_LENGTH * extent
    return find_lengths(curves, population.shared, bonds, places, largest)[0]


def _most_of(chosen: np.ndarray) -> tuple[slice, ...]:
    """The part of a map with the most of some pixels."""
    tile = LEARNED_FROM[min(chosen.ndim, 3)]
    parts = [range(0, size, tile) for size in chosen.shape]
    corners = np.stack(np.meshgrid(*parts, indexing="ij"), -1).reshape(-1, chosen.ndim)
    return max(
        (tuple(slice(c, c + tile) for c in corner) for corner in corners),
        key=lambda each: int(chosen[each].sum()),
    )


def _only(maps: SharedMaps, part: tuple[slice, ...]) -> SharedMaps:
    """A part of the pixels, with their data in memory."""
    data = maps.data
    values, variance = data.values[part], data.variance
    variance = None if variance is None else variance[part]
    if is_lazy(values) or is_lazy(variance):
        values, variance = compute(values, variance)
    small = replace(maps, data=replace(data, values=values, variance=variance))
    if maps.offset is not None:
        every = np.broadcast_to(maps.offset, (*data.space_shape, len(data.window_names)))
        small = replace(small, offset=every[part])
    return small


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

    values, variance, offset = (
        None if each is None else each[:, [window]] for each in _of_pixels(maps, data, chosen)
    )
    assert values is not None
    names = (data.window_names[window],)
    problem = DoseProblem(data.dose, values, names, variance, data.dose_scale)
    return SharedCurves.of(problem, replace(maps.config, offset=offset, hierarchy=()), scale)


def _of_pixels(
    maps: SharedMaps, data: SeriesData, chosen: np.ndarray, some: np.ndarray | slice = slice(None)
) -> _Arrays:
    """Values and variances ``(n, n_window, n_dose)``, and offsets, of some of chosen pixels."""
    variance = None if data.variance is None else np.asarray(data.variance[chosen])[some]
    offset = None
    if maps.offset is not None:
        every = np.broadcast_to(maps.offset, (*maps.data.space_shape, len(data.window_names)))
        if every.shape[:-1] != data.space_shape:
            every = every[strides(maps.data.space_shape)]
        offset = every[chosen][some]
    return np.asarray(data.values[chosen])[some], variance, offset


def _sample(maps: SharedMaps, labels: np.ndarray) -> tuple[SeriesData, np.ndarray, np.ndarray]:
    """Data to learn from, in memory, their labels, and where they are in pixels."""
    data = maps.data
    places = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), -1)
    if is_lazy(data.values) or is_lazy(data.variance):
        some = strides(data.space_shape)
        values, variance = compute(
            data.values[some], None if data.variance is None else data.variance[some]
        )
        data = replace(data, values=values, variance=variance)
        labels, places = labels[some], places[some]
    return data, labels, places.reshape(-1, places.shape[-1])
