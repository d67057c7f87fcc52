# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be said beside the numbers of a kinetics result, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hyperspy_dosekin.signals.kinetics.law_names import SYMBOLS, equation, is_power_law

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperspy_dosekin.signals.kinetics.result import DoseKinetics

LAW = "Kinetic law: {name}{equation}, φ = Φ/Φ_max, Φ_max = {dose_max:.4g} e⁻/Å²."
LABEL = "Window names are labels of fixed energy ranges, not assignments of bonds."
INCOMPLETE = "The fit was interrupted: these are the numbers it had by then."
LAZY = "Nothing has been computed yet: call compute() on the result, or on one of its maps."
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
NOT_EXAMINED = "Whether the data determine D½ was not examined (intervals=False)."
MIXED = (
    "{names}: mixed response (a < 0). The window grows while C falls, so C is a monotonic "
    "coordinate there, not a bond population."
)
NOT_REACHED = (
    "{names}: D½ is not reached in the measured range, {low:.4g} to {high:.4g} e⁻/Å²; the number "
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
ORIGIN = (
    "The exposure before the first frame is not recorded. If the specimen had received Φ₀, its D½ "
    "is (1 − (p − 1) k Φ₀/Φ_max) times the one given; set it with set_dose_axis(pre_exposure=)."
)
ORIGIN_OF_LAWS = (
    "The exposure before the first frame is not recorded. If the specimen had received some, C was "
    "1 earlier and the parameters are others; set it with set_dose_axis(pre_exposure=)."
)
MAPS = "Cells: median [5 %, 95 %] over pixels, which is their variety and not their uncertainty."


def notes_of(result: DoseKinetics) -> list[str]:
    """All the notes that apply."""
    notes = [] if result.complete else [INCOMPLETE]
    label = [LABEL] if has_energy_windows(result) else []
    if result.is_lazy:
        return [*notes, LAZY, *label]
    notes += _notes_on_maps(result) if result.space_shape else _notes_on_windows(result)
    if not result.has_intervals:
        notes.append(NOT_EXAMINED)
    if "pre_exposure" not in result.dose_metadata and result.dose[0] > 0:
        notes.append(ORIGIN if is_power_law(result.kinetic_law) else ORIGIN_OF_LAWS)
    text = equation(result.kinetic_law)
    text = f": {text}" if text else ""
    law = LAW.format(name=result.law, equation=text.rstrip("."), dose_max=result.dose_max)
    return [*notes, law, *label]


def has_energy_windows(result: DoseKinetics) -> bool:
    """Whether the windows are ranges of energy, and not spots or lines of other signals."""
    from hyperspy_dosekin.windows.definitions import LOW_LOSS_WINDOWS

    known = "window_ranges" in result.dose_metadata
    return known or not set(LOW_LOSS_WINDOWS).isdisjoint(result.window_names)


def _prior_text(result: DoseKinetics) -> str:
    """What was assumed of the parameters before the data."""
    prior = result.options.as_prior()
    if prior is None:
        return NO_PRIOR
    from hyperspy_dosekin.kinetics.model.coupling import known_before

    texts = []
    for parameter in result.kinetic_law.parameters:
        known = known_before(parameter, prior)
        box = (SYMBOLS.get(parameter.name, parameter.name).split(" ")[0], parameter.lower)
        scale = " (in its logarithm)" if parameter.logarithmic else ""
        text = PRIORS["" if known is None else parameter.name]
        texts.append(text.format(known, *box, parameter.upper, scale))
    return ", with priors " + " and ".join(texts)


def _notes_on_parameters(result: DoseKinetics) -> list[str]:
    """Parameters of other laws of which the data say nothing."""
    if is_power_law(result.kinetic_law):
        return []
    from hyperspy_dosekin.kinetics.posterior.law_intervals import is_determined

    notes, prior = [], result.options.as_prior()
    for parameter in result.kinetic_law.parameters:
        lower, upper = (end.data for end in result.interval(parameter.name))
        unknown = ~is_determined(parameter, prior, lower, upper) & np.isfinite(lower)
        if unknown.any():
            free = parameter.name == "plateau" and result.options.offset is None
            notes.append(
                UNKNOWN.format(
                    names=_named(result.window_names, unknown),
                    parameter=SYMBOLS.get(parameter.name, parameter.name).split(" ")[0],
                    plateau=PLATEAU if free else "",
                )
            )
    return notes


def _notes_on_windows(result: DoseKinetics) -> list[str]:
    notes = []
    nowhere = np.isnan(result.half_integrity_dose.data) & ~result.not_fitted.data
    never = nowhere
    if result.has_intervals:
        notes.append(INTERVAL.format(prior=_prior_text(result)))
        never = nowhere & np.isinf(result.interval("half_integrity_dose")[0].data)
        undetermined = _named(result.window_names, ~result.identifiable.data & ~never)
        notes += [UNDETERMINED.format(names=undetermined)] if undetermined else []
        notes += _notes_on_parameters(result)
    if result.has_network and result.has_intervals:
        notes += result.certificate.warnings()
    mixed = _named(result.window_names, result.amplitude.data < 0)
    notes += [MIXED.format(names=mixed)] if mixed else []
    if never.any():
        notes.append(NEVER.format(names=_named(result.window_names, never)))
    outside = _named(result.window_names, ~result.reached.data & ~nowhere)
    if outside:
        low, high = result.dose[0], result.dose_max
        notes.append(NOT_REACHED.format(names=outside, low=low, high=high))
    if result.optimiser_spread:
        notes.append(SPREAD.format(number=len(result.estimate.labels)))
    return notes


def _notes_on_maps(result: DoseKinetics) -> list[str]:
    notes = [MAPS]
    fitted = ~result.not_fitted.data
    if result.has_intervals and fitted.any():
        share = 100 * result.identifiable.data[fitted].mean()
        notes += [UNDETERMINED_MAP.format(share=share)] if share < 99.5 else []
    space = tuple(range(1, fitted.ndim))
    with np.errstate(invalid="ignore"):
        growing = (result.amplitude.data < 0).sum(axis=space) > 0.5 * fitted.sum(axis=space)
    mixed = _named(result.window_names, growing)
    return [*notes, *([MIXED.format(names=mixed)] if mixed else [])]


def _named(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(name for name, flag in zip(names, chosen, strict=True) if flag)
