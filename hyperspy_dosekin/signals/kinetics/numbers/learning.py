# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn what the pixels of a series share: populations, and how far neighbours are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

_Key = tuple[int, int]
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
    from hyperspy_dosekin.kinetics.field.flag import PIXELS
    from hyperspy_dosekin.kinetics.field.population import fit_population, subset

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

    with torch_threads(1):
        found, complete = _in_steps("population", population, wanted, progress, stop)
        if not complete:
            return replace(maps, complete=False, populations=found)
        gains = {key: each.gain for key, each in found.items()}
        errors = CommonErrors.of(maps.data, maps.config, maps.offset, groups, gains)
        maps = replace(maps, populations=found, errors=errors)
        for label in groups.names if maps.spatial == "population" else ():
            chosen = labels == label
            some = subset(int(chosen.sum()), PIXELS)
            known = np.full((some.size, 1, len(data.window_names)), label)
            where = places[chosen.ravel()][some]
            maps = _together(maps, label, _of_pixels(maps, data, chosen, some), known, where)
        progress("population", len(wanted), len(wanted))
    return maps


def _in_steps(
    what: str,
    function: Callable[[_Key], Any],
    keys: Sequence[_Key],
    progress: Progress,
    stop: Stop,
) -> tuple[dict[_Key, Any], bool]:
    """What a function finds of windows and groups, side by side, and whether that is all."""
    found: dict[_Key, Any] = {}
    for step in range(0, len(keys), cpu_count()):
        progress(what, step, len(keys))
        if stop():
            return found, False
        some = keys[step : step + cpu_count()]
        found |= zip(some, side_by_side(function, some, cpu_count()), strict=True)
    return found, True


def _together(
    maps: SharedMaps, label: int, arrays: _Arrays, known: np.ndarray, places: np.ndarray
) -> SharedMaps:
    """The same with how the windows of a group go together, and the flags of its pixels.

    They are learned from some of the pixels, of which the other arguments are.
    """
    from hyperspy_dosekin.kinetics.field.flag import with_flag

    common = np.zeros(len(maps.data.window_names))
    if common.size > 1:
        pairs = maps.block().find_pairs(*arrays, known, places)
        maps = replace(maps, pairs={**maps.pairs, **pairs})
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
    learn = partial(learned_lengths, maps, groups.labels)
    with torch_threads(1):
        lengths, complete = _in_steps("lengths", learn, list(maps.populations), progress, stop)
    if not complete:
        return replace(maps, complete=False)
    progress("lengths", len(lengths), max(len(lengths), 1))
    repeats = {key: each.repeats for key, each in lengths.items()}
    heard = {key: replace(each, repeats=repeats[key]) for key, each in maps.populations.items()}
    maps = replace(maps, populations=heard)
    data, n_space = maps.data, groups.labels.ndim
    offset = _offset_of_pixels(maps)
    offset = None if offset is None else offset[..., None]
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
            maps = _together(maps, label, arrays, known, np.argwhere(chosen)[some])
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
    every = _offset_of_pixels(maps)
    offset = None if every is None else every[part]
    return replace(maps, data=_in_memory(maps.data, part), offset=offset)


def _in_memory(data: SeriesData, part: tuple[slice, ...]) -> SeriesData:
    """Values and variances of a part of the pixels, in memory."""
    variance = None if data.variance is None else data.variance[part]
    values, variance = compute(data.values[part], variance)
    return replace(data, values=values, variance=variance)


def _offset_of_pixels(maps: SharedMaps) -> Any:
    """Known offset of every pixel and window, or ``None``."""
    if maps.offset is None:
        return None
    return np.broadcast_to(maps.offset, (*maps.data.space_shape, len(maps.data.window_names)))


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
    offset = _offset_of_pixels(maps)
    if offset is not None:
        if offset.shape[:-1] != data.space_shape:
            offset = offset[strides(maps.data.space_shape)]
        offset = offset[chosen][some]
    return np.asarray(data.values[chosen])[some], variance, offset


def _sample(maps: SharedMaps, labels: np.ndarray) -> tuple[SeriesData, np.ndarray, np.ndarray]:
    """Data to learn from, in memory, their labels, and where they are in pixels."""
    data = maps.data
    places = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), -1)
    if is_lazy(data.values) or is_lazy(data.variance):
        some = strides(data.space_shape)
        data, labels, places = _in_memory(data, some), labels[some], places[some]
    return data, labels, places.reshape(-1, places.shape[-1])
