# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the law describes the data: maps, table and notes of the tests of the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.kinetics.adequacy.examination import TESTS
from hyperspy_dosekin.kinetics.adequacy.together import SIZE, failing, strained, together
from hyperspy_dosekin.signals.kinetics.numbers.examination import examined_field
from hyperspy_dosekin.signals.kinetics.options.law_names import SYMBOLS

if TYPE_CHECKING:
    from hyperspy_dosekin.lazy.arrays import Array
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

#: What each test looks at, and what a small p value says.
MEANINGS = {
    "chi2": ("χ²/ν", "residuals larger than the counting noise"),
    "serial": ("Durbin–Watson", "residuals that follow each other"),
    "largest": ("largest residual", "a frame that does not belong"),
    "start": ("first residual", "a decay that begins late, or exposure before the first frame"),
    "curvature": ("curvature left", "a curve that bends otherwise than the law"),
    "common": ("common to windows", "a gain of whole frames: thickness or beam current"),
}
DOUBTFUL = (
    "{names}: the law does NOT describe the data ({reasons}), so that D½ is doubtful however "
    "narrow its interval is. See check(), and compare_laws for other laws."
)
BY_CHANCE = (
    "The smallest p of the tests is {p:.2g}: of {number} tests one in {often:.0f} right fits has "
    "such a one by chance. A reason to look, not yet one to leave the law."
)
DOUBTFUL_MAP = (
    "In {share:.0f} % of the fitted pixels and windows the law does not describe the data; see "
    "adequate and check()."
)
SCATTER = (
    "Pixels and frames scatter more than their noise variance says, whatever the law: {names} "
    "times. The tests of fit count with that, and intervals take the noise from the residuals."
)
ALIKE = (
    " Windows of a frame scatter together (correlation up to {most:.2g}), as with a beam current "
    "or the area of a zero-loss peak that is another in every spectrum."
)
TOGETHER_WRONG = (
    "{names}: what the residuals of all pixels have in common is a curve, and no noise: together "
    "the pixels contradict the law, though each of them may agree with it, or processing drifts "
    "along the series. No pixel there is adequate. See compare_laws for other laws."
)
#: Scatter over what is claimed, and correlation of windows, that are worth a note.
_LARGE, _ALIKE = 1.1, 0.3
#: Chance of a p value in a right fit, above which it is said.
_OFTEN = 0.05
STRAINED = "a parameter at the end of its box, and residuals that follow each other"
TOGETHER = ("all together", f"below {SIZE:g} the law does not describe the data")
AT_BOUND = (
    "{names}: {parameter} is at the {end} end of its box, {value:g}; its interval ends there."
)
GAIN = (
    "The windows of a frame share a gain of {percent:.2g} % (standard deviation over the frames): "
    "normalise the frames by something that does not decay, such as the zero-loss peak."
)
CORRELATED = (
    "{names}: the residuals of neighbouring frames are correlated ({values}). The intervals allow "
    "for it as noise, but a wrong law looks the same: see compare_laws. If it is noise, as that of "
    "the beam current can be, correlated=True says so."
)
ASSUMES = (
    "D½ assumes that {windows}: no residual can show where a window ends. Give offset= if known."
)
STAYS = (
    "{names}: D½ assumes that the given offset holds at every dose. What grows on the specimen, or "
    "is lost from all windows, moves D½, and no residual need show it."
)
BEGINS = (
    "By the law a part was gone at the first frame: {shares}. What happens before it no residual "
    "can show: see compare_laws, or record frames near dose zero."
)
#: Share of a that is gone at the first frame, from which on it is said.
_GONE = 0.1


def field(numbers: KineticsNumbers, fields: Array, name: str) -> Any:
    """One of the fields, ``(…space…, window)``."""
    return examined_field(numbers.law, fields, name)


def _p_values(numbers: KineticsNumbers, fields: np.ndarray) -> np.ndarray:
    """P values ``(test, …space…, window)``."""
    return np.stack([field(numbers, fields, f"{name} p") for name in TESTS])


def reasons_of(numbers: KineticsNumbers, fields: np.ndarray, row: int) -> list[str]:
    """What the tests say that a window of a fit without space axes fails."""
    failed = failing(_p_values(numbers, fields))[:, row]
    reasons = [MEANINGS[name][1] for name, each in zip(TESTS, failed, strict=True) if each]
    bounds = [field(numbers, fields, f"{each.name} at bound") for each in numbers.law.parameters]
    if strained(field(numbers, fields, "correlation"), bounds)[row]:
        reasons.append(STRAINED)
    return reasons


def check_table(numbers: KineticsNumbers) -> PrettyTable:
    """Table of the tests, one row for each window and test."""
    fields = np.asarray(numbers.examination)
    space = bool(numbers.space_shape)
    headers = ["window", "test", f"pixels with p < {SIZE:g}" if space else "value"]
    table = PrettyTable([*headers, *([] if space else ["p"]), "a small p says"])
    table.align = "l"
    joint = together(_p_values(numbers, fields))
    for row, window in enumerate(numbers.window_names):
        for name in TESTS:
            label, meaning = MEANINGS[name]
            p = field(numbers, fields, f"{name} p")[..., row]
            tested = np.isfinite(p)
            if not tested.any():
                cells = ["–"] if space else ["–", "–"]
            elif space:
                cells = [f"{100 * np.mean(p[tested] < SIZE):.0f} %"]
            else:
                cells = [f"{field(numbers, fields, f'{name} statistic')[row]:.3g}", f"{p:.2g}"]
            table.add_row([window, label, *cells, meaning])
        p = joint[..., row]
        tested = np.isfinite(p)
        if space:
            cells = [f"{100 * np.mean(p[tested] < SIZE):.0f} %" if tested.any() else "–"]
        else:
            cells = ["", f"{p:.2g}" if tested else "–"]
        table.add_row([window, TOGETHER[0], *cells, TOGETHER[1]])
    return table


def _in_common(numbers: KineticsNumbers, fields: np.ndarray) -> list[str]:
    """What all pixels show of their noise and of the law."""
    names = numbers.window_names

    def of_windows(name: str, unknown: float) -> np.ndarray:
        # All pixels have the same; a series may have none.
        first = field(numbers, fields, name).reshape(-1, len(names))[:1]
        every = np.append(first, np.full((1, len(names)), unknown), axis=0)[0]
        return np.where(np.isfinite(every), every, unknown)

    size, alike = of_windows("scatter", 1.0), of_windows("scatter together", 0.0).max()
    large = [f"{n} {each:.2g}" for n, each in zip(names, size, strict=True) if each >= _LARGE]
    note = SCATTER.format(names=", ".join(large)) if large else ""
    note += ALIKE.format(most=alike) if alike >= _ALIKE else ""
    p_value = of_windows("all pixels p", 1.0)
    wrong = [name for name, p in zip(names, p_value, strict=True) if p < SIZE]
    notes = [TOGETHER_WRONG.format(names=", ".join(wrong))] if wrong else []
    return [*notes, note.strip()] if note else notes


def notes_on_adequacy(numbers: KineticsNumbers) -> list[str]:
    """What has to be said of the fit of the law."""
    fields = np.asarray(numbers.examination)
    adequate = field(numbers, fields, "adequate") == 1
    fitted = np.isfinite(field(numbers, fields, "freedom"))
    if numbers.space_shape:
        share = 100 * np.mean(~adequate[fitted]) if fitted.any() else 0.0
        doubtful = [DOUBTFUL_MAP.format(share=share)] if share >= 2 else []
        return doubtful + _in_common(numbers, fields)
    notes = []
    for row, window in enumerate(numbers.window_names):
        reasons = reasons_of(numbers, fields, row)
        if fitted[row] and reasons:
            notes.append(DOUBTFUL.format(names=window, reasons="; ".join(reasons)))
        elif fitted[row] and not adequate[row]:
            reason = "too few frames are left over to test it"
            notes.append(DOUBTFUL.format(names=window, reasons=reason))
    notes += _by_chance(numbers, fields)
    correlation = field(numbers, fields, "correlation")
    follows = correlation > 0
    if follows.any():
        names = ", ".join(n for n, f in zip(numbers.window_names, follows, strict=True) if f)
        values = ", ".join(f"about {value:g}" for value in np.unique(correlation[follows]))
        notes.append(CORRELATED.format(names=names, values=values))
    notes += _bounds(numbers, fields)
    gain = field(numbers, fields, "gain_spread")
    if np.nanmax(gain, initial=0.0) >= 0.01:
        notes.append(GAIN.format(percent=100 * float(np.nanmax(gain))))
    if numbers.has_intervals:
        notes += _assumed(numbers, numbers.map("identifiable") & adequate)
    return notes


def _assumed(numbers: KineticsNumbers, kept: np.ndarray) -> list[str]:
    """What the D½ of windows that are called determined takes for granted."""
    names = [name for name, good in zip(numbers.window_names, kept, strict=True) if good]
    if not names:
        return []
    amplitude, offset = numbers.map("amplitude")[kept], numbers.map("offset")[kept]
    if numbers.maps.offset is None:
        ends = [f"{name} ends at b = {b:.3g}" for name, b in zip(names, offset, strict=True)]
        notes = [ASSUMES.format(windows=", ".join(ends))]
    else:
        notes = [STAYS.format(names=", ".join(names))]
    gone = 1 - (np.asarray(numbers.data.values)[kept, 0] - offset) / amplitude
    shares = [f"{n} {100 * g:.0f} %" for n, g in zip(names, gone, strict=True) if g >= _GONE]
    return [*notes, BEGINS.format(shares=", ".join(shares))] if shares else notes


def _by_chance(numbers: KineticsNumbers, fields: np.ndarray) -> list[str]:
    """How often so many tests of a right fit have as small a p as the smallest one.

    Where a window is doubtful: its tests were judged together, those of all windows are more.
    """
    p = _p_values(numbers, fields)
    lowest, number = float(np.nanmin(p, initial=1.0)), int(np.isfinite(p).sum())
    chance = 1 - (1 - lowest) ** number
    if not ((together(p) < SIZE).any() and chance > _OFTEN):
        return []
    return [BY_CHANCE.format(p=lowest, number=number, often=1 / chance)]


def _bounds(numbers: KineticsNumbers, fields: np.ndarray) -> list[str]:
    notes = []
    for parameter in numbers.law.parameters:
        place = field(numbers, fields, f"{parameter.name} at bound")
        for sign, end, value in ((-1, "lower", parameter.lower), (1, "upper", parameter.upper)):
            at = [n for n, p in zip(numbers.window_names, place, strict=True) if p == sign]
            if at:
                symbol = SYMBOLS.get(parameter.name, parameter.name).split(" ")[0]
                notes.append(
                    AT_BOUND.format(names=", ".join(at), parameter=symbol, end=end, value=value)
                )
    return notes
