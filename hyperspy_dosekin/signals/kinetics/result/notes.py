# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be said beside the numbers of a kinetics result, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.kinetics.block import LEVEL
from hyperspy_dosekin.kinetics.laws.prior import HIERARCHY_FREE, HIERARCHY_WIDTH
from hyperspy_dosekin.kinetics.model.parameters import is_determined, known_before
from hyperspy_dosekin.lazy.blocks import is_lazy
from hyperspy_dosekin.signals.axes.shared_error import DRIFT_SHARE
from hyperspy_dosekin.signals.kinetics.data.recorded import TAKEN
from hyperspy_dosekin.signals.kinetics.numbers.absorbed import fluence_note
from hyperspy_dosekin.signals.kinetics.numbers.adequacy import notes_on_adequacy
from hyperspy_dosekin.signals.kinetics.numbers.joint_maps import COMMON_MODE
from hyperspy_dosekin.signals.kinetics.numbers.sharing import notes_on_sharing
from hyperspy_dosekin.signals.kinetics.options.law_names import (
    SYMBOLS,
    equation,
    is_power_law,
    scale_symbol,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers

LAW = "Kinetic law: {name}{equation}, φ = Φ/{symbol}, {symbol} = {scale}."
LABEL = "Window names are labels of fixed energy ranges, not assignments of bonds."
INCOMPLETE = "The fit was interrupted: these are the numbers it had by then."
LAZY = "Nothing has been computed yet: take result.compute(), or compute() one of its maps."
INTERVAL = "Brackets: 95 % intervals of the posterior of the kinetic law{prior}."
PRIORS = {
    "rate": "ln k ~ N({0[0]:g}, {0[1]:g}²)",
    "exponent": "p ~ N({0[0]:g}, {0[1]:g}²)",
    "": "{1} uniform in {2:g} to {3:g}{4}",
}
NO_PRIOR = ", without priors inside the box of the estimator"
UNDETERMINED = (
    "{names}: the data do NOT determine D½. A known offset (offset=, for instance of a fully "
    "damaged specimen), more dose, or frames near dose zero would."
)
UNDETERMINED_MAP = (
    "D½ is determined in {share:.0f} % of the fitted pixels and windows only: mask maps of D½ with "
    "identifiable. A known offset (offset=), more dose or binned pixels would determine more."
)
BOUNDED = (
    "{names}b ≥ 0 was assumed, and a + b ≥ 0 where a window grows, because intensities are not "
    "negative. For differences of intensities pass nonnegative=False."
)
FASTER = (
    "k of {faster} was assumed to be larger than that of {slower}, nine to one, which no spectrum "
    "need obey. {where}hierarchy=() assumes nothing."
)
AGAINST = "The data contradict it, and it was let go. "
AGAINST_SOME = "In {share:.2g} % of the pixels the data contradict it, and it was let go there. "
NOT_EXAMINED = "Whether the data determine D½ was not examined (intervals=False)."
MIXED = (
    "{names}: mixed response (a < 0). The window grows while C falls, so C is a monotonic "
    "coordinate there, not a bond population."
)
SIGN = "{names}: the data do NOT determine whether the window falls or grows (the sign of a)."
NOT_REACHED = (
    "{names}: D½ is not reached in the measured range, {low:.4g} to {high}; the number "
    "is an extrapolation of the law."
)
NEVER = (
    "{names}: under the fitted law C does not fall to ½ within ten thousand times the measured "
    "dose, so that there is no D½."
)
UNKNOWN = (
    "{names}: the data do NOT determine {parameter}; its interval is nearly what was assumed "
    "before them.{plateau}"
)
PLATEAU = " With a free offset nothing can: a plateau and an offset look alike. Give offset=."
SPREAD = (
    "The optimiser spread is the standard deviation over {number} networks. It is no uncertainty: "
    "networks can agree on a number that the data do not determine."
)
SHARED = "The intervals hold, beside noise, what may be wrong with all frames: {errors}.{remedy}"
#: Change of t/λ that is said.
_MATERIAL = 0.05
MATERIAL = (
    "t/λ {moves} by {change:.2g} from the first to the last frame. Where that is material that is "
    "lost or deposited (mass loss, contamination), all windows follow it, and D½ is that of the "
    "amount as well: divide areas by those of a window that no bond takes part in."
)
LEAVES_OUT = " processing_error=False leaves it out."
#: What an error that frames share is called, by its name.
SHARED_NAMES = {
    "normalisation": "a drift of the normalisation, up to that of the share of the zero-loss peak "
    "in the spectrum (normalise=False has none in the areas, which then need a constant current)",
    COMMON_MODE: "what the other windows leave open of the gain of each frame",
    "zero-loss model": "what is left of the zero-loss peak, the same in all frames",
    "zero-loss drift": "what some frames have left of it more than others, as seen beside the peak",
}
ORIGIN = (
    "The exposure before the first frame is not recorded. If the specimen had received Φ₀, its D½ "
    "is (1 − (p − 1) k Φ₀/{symbol}) times the one given; set it with set_dose_axis(pre_exposure=)."
)
ORIGIN_OF_LAWS = (
    "The exposure before the first frame is not recorded. If the specimen had received some, C was "
    "1 earlier and the parameters are others; set it with set_dose_axis(pre_exposure=)."
)
RECOVERY = "At the dose rate J = {rate:.4g} per second the recovery rate r = {values} per second."
NETWORKS = (
    "The numbers are means over networks C(x, y, φ) with the rate law as residual. Intervals and "
    "flags are those of the exact field, which the certificate compares the networks with."
)
DOSES = (
    "Uncertainty of the doses (one standard deviation): {text}; it is in the intervals of doses."
)
MAPS = "Cells: median [5 %, 95 %] over pixels, which is their variety and not their uncertainty."


def notes_of(numbers: KineticsNumbers) -> list[str]:
    """All the notes that apply."""
    notes = [] if numbers.complete else [INCOMPLETE]
    label = [LABEL] if numbers.windows is not None else []
    if numbers.is_lazy:
        return [*notes, LAZY, *label]
    notes += _notes_on_maps(numbers) if numbers.space_shape else _notes_on_windows(numbers)
    notes += numbers.maps.notes
    notes += _notes_on_bound(numbers)
    notes += _notes_on_hierarchy(numbers)
    notes += notes_on_adequacy(numbers)
    if not numbers.has_intervals:
        notes.append(NOT_EXAMINED)
    elif numbers.data.shared_errors:
        # Errors of one origin are numbered.
        kinds = (name.rstrip(" 0123456789") for name in numbers.data.shared_errors)
        names = dict.fromkeys(SHARED_NAMES.get(kind, kind) for kind in kinds)
        remedy = "" if set(names) == {SHARED_NAMES[COMMON_MODE]} else LEAVES_OUT
        notes.append(SHARED.format(errors="; ".join(names), remedy=remedy))
        notes += _note_on_material(numbers)
    error = numbers.maps.config.dose_error
    notes += [DOSES.format(text=error.text)] if error and numbers.has_intervals else []
    if "pre_exposure" not in numbers.data.dose_metadata and numbers.dose[0] > 0:
        text = ORIGIN if is_power_law(numbers.law) else ORIGIN_OF_LAWS
        notes.append(text.format(symbol=scale_symbol(numbers.options.dose_scale)))
    return [*notes, law_note(numbers), *fluence_note(numbers), *label]


def _note_on_material(numbers: KineticsNumbers) -> list[str]:
    """That the thickness changes with dose, as far as the error of the normalisation shows it."""
    error = numbers.data.shared_errors.get("normalisation")
    if error is None or is_lazy(error) or is_lazy(numbers.data.values):
        return []
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.asarray(error)[..., [0, -1]] / np.asarray(numbers.data.values)[..., [0, -1]]
    relative = np.where(np.isfinite(relative), relative, 0.0)
    change = float(np.median(relative[..., 1] - relative[..., 0])) / DRIFT_SHARE
    if not abs(change) > _MATERIAL:
        return []
    return [MATERIAL.format(moves="rises" if change > 0 else "falls", change=abs(change))]


def law_note(numbers: KineticsNumbers) -> str:
    """What was fitted, and the unit of the normalised dose."""
    text = equation(numbers.law)
    taken = ", ".join(numbers.data.dose_metadata.get(TAKEN, ()))
    text = f"{f': {text}'.rstrip('.') if text else ''}{f'; with {taken}' if taken else ''}"
    return LAW.format(
        name=numbers.law.name,
        equation=text,
        symbol=scale_symbol(numbers.options.dose_scale),
        scale=f"{numbers.dose_scale:.4g} {numbers.dose_unit}".rstrip(),
    )


def not_reached(names: str, numbers: KineticsNumbers) -> str:
    """That D½ lies beyond the measured doses."""
    high = f"{numbers.dose_max:.4g} {numbers.dose_unit}".rstrip()
    return NOT_REACHED.format(names=names, low=numbers.dose[0], high=high)


def _prior_text(numbers: KineticsNumbers) -> str:
    """What was assumed of the parameters before the data."""
    prior = numbers.options.as_prior()
    if prior is None:
        return NO_PRIOR
    texts = []
    for parameter in numbers.law.parameters:
        known = known_before(parameter, prior)
        box = (SYMBOLS.get(parameter.name, parameter.name).split(" ")[0], parameter.lower)
        scale = " (in its logarithm)" if parameter.logarithmic else ""
        text = PRIORS["" if known is None else parameter.name]
        texts.append(text.format(known, *box, parameter.upper, scale))
    return ", with priors " + " and ".join(texts)


def _notes_on_parameters(numbers: KineticsNumbers) -> list[str]:
    """Parameters of other laws of which the data say nothing."""
    if is_power_law(numbers.law):
        return []
    notes, prior = [], numbers.options.as_prior()
    for parameter in numbers.law.parameters:
        lower, upper = numbers.interval(parameter.name)
        unknown = ~is_determined(parameter, prior, lower, upper) & np.isfinite(lower)
        if unknown.any():
            free = parameter.name == "plateau" and numbers.options.offset is None
            notes.append(
                UNKNOWN.format(
                    names=_named(numbers.window_names, unknown),
                    parameter=SYMBOLS.get(parameter.name, parameter.name).split(" ")[0],
                    plateau=PLATEAU if free else "",
                )
            )
    return notes


def _notes_on_hierarchy(numbers: KineticsNumbers) -> list[str]:
    """That some windows were taken to degrade faster than others."""
    names = numbers.window_names
    config = numbers.maps.config
    pairs = config.pairs(names)
    notes = []
    for fast, slow in pairs:
        where = ""
        if config.exponent != "shared":
            with np.errstate(invalid="ignore", divide="ignore"):
                ahead = np.log(numbers.map("rate")[slow] / numbers.map("rate")[fast])
            share = (ahead > HIERARCHY_FREE * HIERARCHY_WIDTH).mean()
            where = AGAINST if share == 1 else AGAINST_SOME.format(share=100 * share)
            where = where if share else ""
        notes.append(FASTER.format(faster=names[fast], slower=names[slow], where=where))
    return notes


def _notes_on_bound(numbers: KineticsNumbers) -> list[str]:
    """That intensities were taken to be not negative."""
    config = numbers.maps.config
    if numbers.space_shape:
        # Where the values may be intensities; pixels of a population only where it was asked for.
        assumed = config.nonnegative if numbers.maps.sharing else config.nonnegative is not False
        return [BOUNDED.format(names="")] if assumed and numbers.maps.offset is None else []
    bounded = numbers.bounded()
    names = "" if bounded.all() else f"{_named(numbers.window_names, bounded)}: "
    return [BOUNDED.format(names=names)] if bounded.any() else []


def _notes_on_windows(numbers: KineticsNumbers) -> list[str]:
    notes = []
    # No dose helps a window that was not fitted.
    unfitted = numbers.map("not_fitted")
    nowhere = np.isnan(numbers.map("half_integrity_dose")) & ~unfitted
    never = nowhere
    if numbers.has_intervals:
        notes.append(INTERVAL.format(prior=_prior_text(numbers)))
        never = nowhere & np.isinf(numbers.interval("half_integrity_dose")[0])
        unknown = ~numbers.map("identifiable") & ~never & ~unfitted
        undetermined = _named(numbers.window_names, unknown)
        notes += [UNDETERMINED.format(names=undetermined)] if undetermined else []
        notes += _notes_on_parameters(numbers)
    rate = numbers.data.dose_rate
    if numbers.law.needs_dose_rate and rate is not None:
        recovery = numbers.map("recovery") * numbers.map("rate_per_dose") * rate
        values = zip(numbers.window_names, recovery, strict=True)
        text = "; ".join(f"{name}: {value:.3g}" for name, value in values)
        notes.append(RECOVERY.format(rate=rate, values=text))
    if numbers.network is not None and numbers.has_intervals:
        notes += numbers.certificate().warnings()
    sure, growth = 0.5 + 0.5 * LEVEL, numbers.growth
    for text, chosen in (
        (MIXED, growth > sure),
        (SIGN, (growth <= sure) & (growth >= 1 - sure)),
    ):
        names = _named(numbers.window_names, chosen)
        notes += [text.format(names=names)] if names else []
    if never.any():
        notes.append(NEVER.format(names=_named(numbers.window_names, never)))
    outside = _named(numbers.window_names, ~numbers.map("reached") & ~nowhere & ~unfitted)
    if outside:
        notes.append(not_reached(outside, numbers))
    if numbers.spread_of_maps:
        notes.append(SPREAD.format(number=len(numbers.estimate.labels)))
    return notes


def _notes_on_maps(numbers: KineticsNumbers) -> list[str]:
    notes = [MAPS]
    fitted = ~numbers.map("not_fitted")
    if numbers.has_intervals and fitted.any():
        share = 100 * numbers.map("identifiable")[fitted].mean()
        notes += [UNDETERMINED_MAP.format(share=share)] if share < 99.5 else []
    space = tuple(range(1, fitted.ndim))
    with np.errstate(invalid="ignore"):
        growing = (numbers.map("amplitude") < 0).sum(axis=space) > 0.5 * fitted.sum(axis=space)
    mixed = _named(numbers.window_names, growing)
    notes += notes_on_sharing(numbers)
    if numbers.field_network is not None:
        notes += [NETWORKS, *numbers.certificate().warnings()]
    if numbers.spread_of_maps:
        notes.append(SPREAD.format(number=len(numbers.estimate.labels)))
    return [*notes, *([MIXED.format(names=mixed)] if mixed else [])]


def _named(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(name for name, flag in zip(names, chosen, strict=True) if flag)
