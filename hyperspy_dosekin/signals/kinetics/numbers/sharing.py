# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pixels of a result share: numbers and notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.signals.kinetics.numbers.shared import SharedMaps

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.field.population import Population
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: A gain of frames below this is not worth a note.
_LEAST_GAIN = 0.001
#: Spread of the median of ln D½ above which a population itself is not determined.
DETERMINED = 0.25
SHARES = (
    "The pixels of a window share a population of {what}: what a pixel does not tell by itself "
    "comes from the others (result.population, result.shrinkage). It was learned from {pixels} "
    "pixels, which count as {independent} independent ones because neighbours are alike."
)
FIELD = (
    "Neighbours are alike over about {lengths} pixels in ln k and shape, but for interfaces; "
    "amplitudes and offsets are free."
)
ON_THE_RIDGE = (
    "{names}: the population itself is NOT determined. The pixels together leave its median D½ "
    "open, and with it that of every pixel."
)
NOTHING = " {percent} % of what the intervals of {names} stand for is that pixels share nothing."
TOGETHER = (
    "Windows of a pixel go together: {pairs}. What a window tells of a pixel is used in the others "
    "(result.population.between)."
)
GAIN = (
    "{names}: the mean over all pixels does not follow a decay as closely as the noise would let "
    "it. Frames are wrong by about {percent} % in all pixels alike, as the beam current of a frame "
    "is; how far that may move D½ is in every interval and in the flag. Divide each frame by its "
    "current or its zero-loss peak."
)
GROWING_NOISE = (
    "{names}: the noise is larger where the intensity is, and frames have weights to match. Give "
    "the variance if it is known."
)
JUMP = (
    "{names}: all pixels together show no more than a change between two frames, if any. "
    "D½ is determined only if it is near wherever between them the change may be."
)
STILL = (
    "{names}: nothing changes in {percent} % of the pixels. They are none of the population, and "
    "not determined. Give them another group, or a negative label, with groups=."
)
APART = "What a window tells of a pixel is not used in the others: they do not go together."

#: (value, lower, upper) by (window, group, quantity, quantity).
Correlations = dict[tuple[str, str, str, str], tuple[float, float, float]]


@dataclass(frozen=True)
class PopulationRow:
    """One quantity of the population of a window.

    Parameters
    ----------
    window, group
        Names; the group is empty where there are none.
    quantity
        A parameter of the law, ``"half_integrity_dose"``, ``"amplitude"`` or ``"offset"``.
    mean, mean_lower, mean_upper
        Mean over the pixels with its 95 % interval, in the unit of the maps; of k and D½ the
        median.
    spread, spread_lower, spread_upper
        Standard deviation over the pixels; of k and D½ that of their logarithm.
    """

    window: str
    group: str
    quantity: str
    mean: float
    mean_lower: float
    mean_upper: float
    spread: float
    spread_lower: float
    spread_upper: float


def shared_maps(numbers: KineticsNumbers) -> SharedMaps:
    """The maps of a result whose pixels share something.

    Raises
    ------
    AttributeError
        If they do not.
    """
    maps = numbers.maps
    if not isinstance(maps, SharedMaps):
        raise AttributeError(
            "the pixels of this result share nothing, so that there is no population and no "
            'shrinkage; fit with spatial="population" or spatial="field".'
        )
    return maps


def population_rows(numbers: KineticsNumbers) -> tuple[list[PopulationRow], Correlations]:
    """What the pixels of a result share, and correlations by (window, group, quantity, quantity).

    Raises
    ------
    AttributeError
        If they share nothing.
    """
    maps = shared_maps(numbers)
    names = maps.data.window_names
    rows: list[PopulationRow] = []
    correlations: Correlations = {}
    for (window, label), found in maps.summaries.items():
        if names[window] not in numbers.window_names:
            continue
        group = maps.group_names[label]
        for quantity, each in found.numbers.items():
            unit = numbers.data.scale if quantity == "half_integrity_dose" else 1.0
            ends = (each.mean, each.mean_lower, each.mean_upper)
            spreads = (each.spread, each.spread_lower, each.spread_upper)
            mean, lower, upper = (unit * value for value in ends)
            rows.append(PopulationRow(names[window], group, quantity, mean, lower, upper, *spreads))
        for pair, value in found.correlations.items():
            correlations[(names[window], group, *pair)] = value
    return rows, correlations


def between_windows(numbers: KineticsNumbers) -> Correlations:
    """Correlations over the pixels by (window, other window, group, quantity).

    Those of amplitudes and offsets are of what does not follow the parameters of the law.

    Raises
    ------
    AttributeError
        If the pixels share nothing.
    """
    maps = shared_maps(numbers)
    names = maps.data.window_names
    quantities = [parameter.name for parameter in maps.config.parameters.free]
    quantities += ["amplitude", "offset"]
    found: Correlations = {}
    for (v, w, label), pair in maps.pairs.items():
        if not {names[v], names[w]} <= set(numbers.window_names):
            continue
        reach = NormalDist().inv_cdf(0.975) * np.diag(pair.spread)
        for quantity, value, by in zip(quantities, np.diag(pair.block), reach, strict=False):
            ends = max(float(value - by), -1.0), min(float(value + by), 1.0)
            found[names[v], names[w], maps.group_names[label], quantity] = (float(value), *ends)
    return found


def _note_on_windows(numbers: KineticsNumbers, maps: SharedMaps) -> list[str]:
    if not maps.pairs:
        return []
    names = maps.data.window_names
    seen = {
        (names[v], names[w], maps.group_names[g]) for (v, w, g), x in maps.pairs.items() if x.seen
    }
    rate = maps.config.parameters.free[0].name
    pairs = []
    for (first, second, group, quantity), ends in between_windows(numbers).items():
        if (first, second, group) in seen and quantity == rate:
            of = f" of {group}" if group else ""
            value, lower, upper = ends
            text = f"{first} and {second}{of}, {rate} {value:.2f} [{lower:.2f}, {upper:.2f}]"
            pairs.append(text)
    return [TOGETHER.format(pairs="; ".join(pairs)) if pairs else APART]


def notes_on_sharing(numbers: KineticsNumbers) -> list[str]:
    """What has to be said of what pixels share; nothing where they share nothing."""
    if not numbers.maps.sharing:
        return []
    maps = shared_maps(numbers)
    populations = list(maps.populations.values())
    if not populations:
        return []
    some = populations[0]
    what = ", ".join(parameter.name for parameter in maps.config.parameters.free)
    what += " and amplitude" if some.layout.offset_known else ", amplitude and offset"
    pixels = _range([each.n_pixel for each in populations])
    independent = _range([round(each.n_effective) for each in populations])
    notes = [SHARES.format(what=what, pixels=pixels, independent=independent)]
    if maps.lengths:
        mean = [round(sum(each) / len(each)) for each in maps.lengths.values()]
        notes.append(FIELD.format(lengths=_range(mean)))
    notes += _note_on_windows(numbers, maps)
    notes += _notes_on_frames(maps, numbers.window_names)
    shown = _shown(maps, numbers.window_names)
    percent = {_called(maps, [key]): 100 * each.share_of_nothing for key, each in shown.items()}
    percent = {name: round(each) for name, each in percent.items() if each >= 0.5}
    rows = [row for row in population_rows(numbers)[0] if row.quantity == "half_integrity_dose"]
    named = {f"{row.window} {row.group}".strip(): row for row in rows}
    open_ones = [name for name, row in named.items() if name in percent or not _known(row)]
    if open_ones:
        note = ON_THE_RIDGE.format(names=", ".join(open_ones))
        if percent:
            shares = _range(list(percent.values()))
            note += NOTHING.format(percent=shares, names=", ".join(percent))
        notes.append(note)
    return notes


def _shown(maps: SharedMaps, wanted: Sequence[str]) -> dict[tuple[int, int], Population]:
    names = maps.data.window_names
    return {key: each for key, each in maps.populations.items() if names[key[0]] in wanted}


def _called(maps: SharedMaps, keys: Sequence[tuple[int, int]]) -> str:
    names = maps.data.window_names
    return ", ".join(f"{names[w]} {maps.group_names[group]}".strip() for w, group in keys)


def _notes_on_frames(maps: SharedMaps, wanted: Sequence[str]) -> list[str]:
    """What is wrong with frames."""
    shown = _shown(maps, wanted)

    # Where the series knows of errors of all pixels, these are theirs.
    known = bool(maps.data.shared_errors)
    wrong = [] if known else [key for key, each in shown.items() if each.gain > _LEAST_GAIN]
    growing = [key for key, each in shown.items() if each.scale.frame_noise]
    jumps = [key for key, each in shown.items() if each.jump is not None]
    notes = [JUMP.format(names=_called(maps, jumps))] if jumps else []
    still = {key: 100 * each.still.share for key, each in shown.items() if each.still}
    if still:
        percent = _range([round(each) for each in still.values()])
        notes.append(STILL.format(names=_called(maps, list(still)), percent=percent))
    if wrong:
        percent = f"{100 * max(shown[key].gain for key in wrong):.2g}"
        notes.append(GAIN.format(names=_called(maps, wrong), percent=percent))
    if growing:
        notes.append(GROWING_NOISE.format(names=_called(maps, growing)))
    return notes


def _known(row: PopulationRow) -> bool:
    """Whether half of the interval of ln D½ is below two of the spreads that count."""
    return math.log(row.mean_upper / row.mean_lower) / 4 <= DETERMINED


def _range(values: list) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"
