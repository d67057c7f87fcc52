# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables, notes and texts of the kinetics of whole spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from prettytable import PrettyTable

from hyperspy_dosekin.kinetics.spectra.number import LEVEL
from hyperspy_dosekin.kinetics.spectra.summary import nodes_are_enough
from hyperspy_dosekin.numerics.units import with_unit
from hyperspy_dosekin.signals.axes.processed import processing_words
from hyperspy_dosekin.signals.kinetics.options.law_names import equation, header
from hyperspy_dosekin.signals.kinetics.result.frame import dose_units
from hyperspy_dosekin.signals.kinetics.result.notes import INTERVAL, ORIGIN_OF_LAWS
from hyperspy_dosekin.signals.kinetics.result.table import interval_text, number
from hyperspy_dosekin.signals.kinetics.spectra.numbers import SpectraNumbers
from hyperspy_dosekin.signals.results import as_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame


NOT_SPECIES = (
    "Components are what changes at one rate. They are neither species nor bonds: what changes at "
    "the same rate is one component, whatever it is, and a component is negative where the "
    "spectrum grows."
)
LAW = "Kinetic law of every component: {name}{equation}, φ = Φ/{scale}."
RESIDUE = (
    "How much of the decaying part belongs to the residue is as little known as D½: the bands of "
    "both move together. A known residue (residue=) or nonnegative=True says more."
)
UNDETERMINED = (
    "{names}: the data do NOT determine D½. A known residue (residue=), more dose, or frames near "
    "dose zero would."
)
NOT_REACHED = "{names}: D½ lies beyond the measured doses; it is an extrapolation of the law."
INADEQUATE = (
    "The law does not describe the spectra (p = {p:.2g}): integrities of another form fit better. "
    "Compare other laws, another n_components, a narrower energy_range, or give frame_error= where "
    "the intensity of frames varies."
)
NUMBER = "Number of components: {number}, {how}."
MORE_SEEN = (
    "The test sees {seen} components, and {number} were fitted: what is left is in the residual."
)
FEWER_SEEN = "The test sees {seen} components only, and {number} were fitted."
ALIKE = "D½ of components lie within each other's intervals: their spectra are hardly told apart."
CORRELATED = (
    "Noise of neighbouring channels is correlated: {channels} channels count as {worth:.0f}."
)
SCALED = "The noise is {ratio:.3g} times that of the variance that was given; its own size is used."
FRAMES = "{number} frames without values were left out."
CHANNELS = "{number} channels with gaps were left out; spectra are NaN there."
PIXELS = "Spectra are the mean of {number} pixels: one kinetics for all of them."
DOSES_DIFFER = "Pixels have received different doses; the kinetics are those of the mean."
FRAME_ERROR = "The intensity of each frame may be wrong by {error:.3g} % (frame_error=)."
DRIFT = "A drift of the normalisation is in the intervals; processing_error=False leaves it out."
DOSE_SCALE = "Intervals of doses hold the uncertainty of the dose scale, {percent:.3g} %."
DOSE_FRAMES = (
    "The uncertainty of the doses of single frames (metadata.Dose.uncertainty) is NOT in the "
    "intervals."
)
COARSE = (
    "Few nodes carry the posterior ({number:.0f}): the intervals are coarse and nothing is called "
    "determined. Fewer n_components or a narrower energy_range would help."
)
BOUNDED = "The residue was taken to be not negative, nor the first spectrum where it grows."


def _law_names(result: SpectraNumbers) -> list[str]:
    return [parameter.name for parameter in result.fit.parameters.each.law.parameters]


def spectra_table(result: SpectraNumbers) -> PrettyTable:
    """One row for each component."""
    scale = result.fit.problem.dose_scale
    names = _law_names(result)
    columns = ["component", *(header(name, scale) for name in names)]
    table = PrettyTable([*columns, with_unit("D½", result.dose_unit), "D½ determined"])
    table.align = "r"
    known = result.flags["identifiable"]
    for place in range(result.n_components):
        cells = [str(place + 1)]
        for name in (*names, "half_integrity_dose"):
            lower, upper = result.interval_values(name)
            span = interval_text(lower[place], upper[place])
            cells.append(f"{number(result.values[name][place])} {span}")
        flag = "yes" if known[place] else "no"
        if known[place] and not result.adequate:
            flag = "doubtful"
        table.add_row([*cells, flag])
    return table


def notes_on_spectra(result: SpectraNumbers) -> list[str]:
    """What has to be said beside the numbers, in plain words."""
    fit, origin = result.fit, result.origin
    law = fit.parameters.each.law
    said = equation(law)
    unit = f" {result.dose_unit}" if result.dose_unit else ""
    notes = [
        NOT_SPECIES,
        LAW.format(
            name=law.name,
            equation=f", {said}" if said else "",
            scale=f"{result.dose_scale:.4g}{unit}",
        ),
    ]
    given = fit.config.prior
    prior = ", without priors inside the box of its parameters"
    if given is not None:
        prior = f", with priors ln k ~ N({given.log_rate[0]:g}, {given.log_rate[1]:g}²)"
        if "exponent" in [p.name for p in fit.parameters.each.free]:
            prior += f" and p ~ N({given.exponent[0]:g}, {given.exponent[1]:g}²)"
    notes.append(INTERVAL.format(prior=prior))
    seen = sum(test.p <= LEVEL for test in fit.tests)
    if fit.config.n_component is None:
        last = fit.tests[-1]
        how = f"by a test against noise alone (one more: p = {last.p:.2g})"
        if last.p <= LEVEL:
            how = "the most that are looked for; there may be more"
        notes.append(NUMBER.format(number=result.n_components, how=how))
    elif seen > result.n_components:
        notes.append(MORE_SEEN.format(seen=seen, number=result.n_components))
    elif seen < result.n_components:
        notes.append(FEWER_SEEN.format(seen=seen, number=result.n_components))
    known, reached = result.flags["identifiable"], result.flags["reached"]
    if not known.all():
        notes.append(UNDETERMINED.format(names=_named(result.component_names, ~known)))
        if fit.config.residue:
            notes.append(RESIDUE)
    if not reached.all():
        notes.append(NOT_REACHED.format(names=_named(result.component_names, ~reached)))
    if not result.adequate:
        notes.append(INADEQUATE.format(p=result.fit_p))
    if result.n_components > 1 and _alike(result):
        notes.append(ALIKE)
    inflation = fit.spectra.inflation[0]
    channels = fit.spectra.n_channel
    if inflation > 1.2:
        notes.append(CORRELATED.format(channels=channels, worth=channels / inflation))
    if fit.problem.variance is not None and not 0.5 < fit.spectra.scale < 2:
        notes.append(SCALED.format(ratio=fit.spectra.scale))
    if not nodes_are_enough(fit):
        notes.append(COARSE.format(number=fit.effective))
    if fit.config.nonnegative:
        notes.append(BOUNDED)
    missing = int((~origin.used).sum())
    for applies, text in (
        (not origin.exposure_known and result.dose[0] > 0, ORIGIN_OF_LAWS),
        (origin.left_out, FRAMES.format(number=origin.left_out)),
        (missing, CHANNELS.format(number=missing)),
        (origin.pixels > 1, PIXELS.format(number=origin.pixels)),
        (origin.doses_differ, DOSES_DIFFER),
        (origin.frame_error, FRAME_ERROR.format(error=100 * origin.frame_error)),
        (origin.drifts, DRIFT),
        (origin.dose_error.scale, DOSE_SCALE.format(percent=100 * origin.dose_error.scale)),
        (origin.dose_error.moves_frames, DOSE_FRAMES),
    ):
        if applies:
            notes.append(text)
    return notes


def spectra_frame(result: SpectraNumbers, level: float) -> DataFrame:
    """One row for each component; see `DoseSpectra.to_dataframe`."""
    columns: dict[str, object] = {"component": np.arange(result.n_components) + 1}
    for name, values in result.values.items():
        columns[name] = values
        lower, upper = result.interval_values(name, level)
        columns[f"{name}_lower"], columns[f"{name}_upper"] = lower, upper
    columns["identifiable"] = result.flags["identifiable"]
    columns["reached"] = result.flags["reached"]
    columns["adequate"] = result.adequate
    columns |= {
        "level": level,
        "law": result.fit.parameters.each.law.name,
        "dose_unit": result.dose_unit,
    }
    return as_frame(columns, units=dose_units(result.dose_unit, result.dose_scale))


def spectra_methods(result: SpectraNumbers) -> str:
    """The paragraph; see `DoseSpectra.methods_text`."""
    fit, origin = result.fit, result.origin
    law = fit.parameters.each.law
    unit = f" {result.dose_unit}" if result.dose_unit else ""
    energy_unit = origin.energy_axis.get("units") or ""
    energy = origin.energy
    said = equation(law)
    number_of = f"{result.n_components} component{'s' if result.n_components > 1 else ''}"
    parts = [
        f"Spectra of {result.dose.size} frames up to {result.dose[-1]:.4g}{unit} were fitted in "
        f"{fit.spectra.n_channel} channels from {energy[0]:.4g} to {energy[-1]:.4g} {energy_unit} "
        "by global analysis with variable projection (hyperspy_dosekin): each is the sum of "
        f"{number_of}, a spectrum times the integrity of the kinetic law {law.name}"
        f"{f' ({said})' if said else ''}"
        f"{', and a residue that does not change' if fit.config.residue else ''}."
    ]
    if words := processing_words(origin.processing):
        parts.append(words)
    if fit.config.n_component is None:
        parts.append(
            "The number of components is that of the singular values above noise (p < 0.01)."
        )
    parts.append(
        "Spectra were weighted by their noise and taken as draws of a normal distribution for the "
        "likelihood of the rates; intervals are central ones of the posterior, those of spectra "
        "hold kinetics and noise."
    )
    if origin.frame_error:
        parts.append(f"An error of {100 * origin.frame_error:.3g} % of each frame was allowed for.")
    return " ".join(parts)


def _named(names: Sequence[str], where: np.ndarray) -> str:
    return ", ".join(name for name, chosen in zip(names, where, strict=True) if chosen)


def _alike(result: SpectraNumbers) -> bool:
    """Whether the half-integrity dose of a component lies in the interval of its neighbour."""
    half = result.values["half_integrity_dose"]
    lower, upper = result.interval_values("half_integrity_dose")
    return bool(((half[:-1] >= lower[1:]) | (half[1:] <= upper[:-1])).any())
