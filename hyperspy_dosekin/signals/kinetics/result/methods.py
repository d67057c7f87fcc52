# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A paragraph for the methods section of a paper, true for one fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import Prior
from hyperspy_dosekin.kinetics.posterior.parts import is_correlated
from hyperspy_dosekin.signals.axes.processed import processing_words
from hyperspy_dosekin.signals.kinetics.options.law_names import KNOWN_EXPONENTS, equation

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
    from hyperspy_dosekin.signals.kinetics.options.fit_options import FitOptions

_Sentence = Callable[["KineticsNumbers", "FitOptions"], str]


def methods_text(numbers: KineticsNumbers) -> str:
    """The paragraph; see `DoseKinetics.methods_text`."""
    options = numbers.options
    told = set(options.network)
    sentences = [_data(numbers), _processing(numbers), _exposure(numbers), _law(numbers)]
    for names, sentence in _SENTENCES:
        told |= names
        sentences.append(sentence(numbers, options))
    rest = {name: value for name, value in options.given().items() if name not in told}
    if rest:
        # Whatever is added to the options is told until it has a sentence of its own.
        listed = "; ".join(f"{name} = {_shown(value)}" for name, value in rest.items())
        sentences.append(f"Further options: {listed}.")
    sentences.append(_software(numbers))
    return " ".join(sentence for sentence in sentences if sentence)


def _data(numbers: KineticsNumbers) -> str:
    if numbers.windows is None:
        windows = ", ".join(numbers.window_names)
        what = f"{numbers.data.quantity} of {windows}"
    else:
        unit = numbers.data.dose_metadata.get("window_units") or "eV"
        windows = ", ".join(
            f"{each.name} {each.left:g}–{each.right:g} {unit}" for each in numbers.windows
        )
        what = f"Areas of spectra in fixed windows ({windows})"
    shape = numbers.space_shape
    where = f"in each of {' × '.join(map(str, shape))} pixels" if shape else "of one series"
    low, high = (f"{numbers.dose[end]:.4g}" for end in (0, -1))
    fluence = "fluences" if numbers.dose_unit == "e⁻/Å²" else "doses"
    span = f"{numbers.dose.size} cumulative {fluence} from {low} to {high}".rstrip()
    return f"{what} {where} were fitted at {span} {numbers.dose_unit}".rstrip() + "."


def _processing(numbers: KineticsNumbers) -> str:
    if words := processing_words(numbers.data.processing):
        return words
    if numbers.windows is None:
        return ""
    return "How the spectra were processed before is not recorded."


def _exposure(numbers: KineticsNumbers) -> str:
    """Where the doses come from, what was exposed before, and how well both are known."""
    record = numbers.data.dose_metadata
    parts = []
    if record.get("source") in _SOURCES:
        parts.append(f"The dose was computed from {_SOURCES[record['source']]}")
        parts[-1] += f" and counted at the {record.get('at', 'end')} of each frame{_rates(record)}."
    if taken := record.get("taken"):
        listed = "; ".join(f"{name} = {words}" for name, words in taken.items())
        parts.append(f"From the file were taken {listed}.")
    if "pre_exposure" not in record:
        parts.append("An exposure before the first frame is not recorded.")
    elif record["pre_exposure"]:
        before = f"{float(record['pre_exposure']):.4g} {numbers.dose_unit}".rstrip()
        parts.append(f"It includes {before} before the first frame.")
    if error := numbers.maps.config.dose_error:
        parts.append(f"Uncertainty of the doses (one standard deviation): {error.text}.")
    if "map" in record and numbers.space_shape:
        parts.append("Doses of pixels follow the relative dose of each pixel.")
    return " ".join(parts)


def _rates(record: Mapping[str, Any]) -> str:
    """Dose rate, time of a frame and exposed area, in parentheses."""
    parts = [
        f"{_span(record[name])} {unit}"
        for name, unit in (("dose_rate", "e⁻/Å²/s"), ("frame_time", "s a frame"))
        if name in record
    ]
    if "area" in record:
        parts.append(f"{float(record['area']):.4g} nm² exposed")
    return f" ({', '.join(parts)})" if parts else ""


def _span(values: Any) -> str:
    low, high = (f"{float(each):.4g}" for each in (np.min(values), np.max(values)))
    return low if low == high else f"{low} to {high}"


def _law(numbers: KineticsNumbers) -> str:
    text = equation(numbers.law).rstrip(".")
    law = numbers.law.name + (f" ({text})" if text else "")
    unit = f"{numbers.dose_scale:.4g} {numbers.dose_unit}".rstrip()
    return (
        f"Each intensity was described as a C + b with the latent integrity C, C(0) = 1, of the "
        f"law {law}, where φ is the dose divided by {unit}."
    )


def _readout(numbers: KineticsNumbers, options: FitOptions) -> str:
    exponent, parts = options.exponent, []
    if isinstance(exponent, str):
        parts.append("One exponent p was fitted for all windows of a pixel.")
    elif exponent is not None:
        parts.append(f"The exponent was held at p = {exponent:g}.")
    elif numbers.law.name in KNOWN_EXPONENTS:
        parts.append(f"Its exponent is {KNOWN_EXPONENTS[numbers.law.name]:g}.")
    if options.offset is None:
        parts.append("The amplitude a and the offset b were fitted.")
    else:
        parts.append("The offset b was known beforehand and the amplitude a was fitted.")
    if options.nonnegative:
        bound = "Intensities were bounded from below: b ≥ 0, and a + b ≥ 0 where a window grows"
        if options.zero_error is not None:
            bound += f", up to an error of the zero of {options.zero_error:g}"
        parts.append(f"{bound}.")
    return " ".join(parts)


def _estimator(numbers: KineticsNumbers, options: FitOptions) -> str:
    if numbers.network is None:
        text = "The parameters maximise the posterior (exact estimator"
        text += ", single precision)." if options.dtype == "float32" else ")."
    else:
        config = numbers.network.config
        count = len(numbers.estimate.labels)
        text = (
            f"The integrity was represented by {count} physics-informed neural network"
            f"{'s' if count > 1 else ''} (seeds {', '.join(map(str, config.seeds))}; "
        )
        text += (
            f"protocol {options.protocol!r}"
            if numbers.field_network is None
            else "of dose and the kinetic fields at the pixel"
        )
        if options.network:
            text += "; " + ", ".join(f"{key} = {_shown(v)}" for key, v in options.network.items())
        text += "), and numbers are means over them."
    if options.loss is not None:
        text += f" Outlying frames had less weight ({options.loss} loss)."
    return text


def _noise(numbers: KineticsNumbers, options: FitOptions) -> str:
    if numbers.data.variance is None:
        text = "All frames had the same weight, and the noise was estimated from the residuals."
    else:
        text = {
            "relative": "Frames were weighted by their noise variance, whose size was estimated "
            "from the residuals.",
            "absolute": "The noise variance of the frames was taken as it is.",
            "floor": "The noise was estimated from the residuals, but not below the noise variance "
            "of the frames.",
        }.get(options.noise, f"Noise: {options.noise}.")
    if options.correlated:
        text += " Noise of neighbouring frames was allowed to be correlated."
    elif is_correlated(numbers.maps.config, numbers.dose.size) and not numbers.network:
        text += " For this long series noise of neighbouring frames was allowed to be correlated."
    return text


def _errors(numbers: KineticsNumbers, options: FitOptions) -> str:
    """Errors that frames share: of the processing, and of the doses."""
    parts, shared = [], numbers.maps.data.shared_errors
    if shared and options.processing_error:
        parts.append(f"Errors that all frames share are in the intervals ({', '.join(shared)}).")
    elif shared:
        parts.append("Errors of the processing that all frames share are not in the intervals.")
    given = options.dose_uncertainty
    given = numbers.data.dose_metadata.get("uncertainty") if given is None else given
    if isinstance(given, Mapping):
        listed = ", ".join(f"{name} {float(value):g}" for name, value in given.items())
        parts.append(f"Standard deviations of the doses were taken into account ({listed}).")
    elif given:
        parts.append(f"The scale of the doses is known to {100 * float(given):g} % (one sd).")
    else:
        parts.append("The doses were taken as exact.")
    return " ".join(parts)


def _neighbours(numbers: KineticsNumbers, options: FitOptions) -> str:
    if not numbers.space_shape or options.spatial not in ("population", "field"):
        return ""
    text = "Pixels share a population whose distribution was learned from them"
    if options.spatial == "field":
        text += ", and neighbours are alike but for interfaces"
    if options.groups is not None:
        text += ", phase by phase"
    return f"{text}."


def _prior(numbers: KineticsNumbers, options: FitOptions) -> str:
    prior = options.prior
    if not isinstance(prior, Prior):
        text = "No prior was assumed beyond the bounds of the parameters."
    else:
        names = {each.name for each in numbers.law.parameters}
        parts = []
        if "rate" in names:
            mean, sd = prior.log_rate
            parts.append(f"ln k ~ N({mean:g}, {sd:g}²)")
        if "exponent" in names and options.exponent is None:
            mean, sd = prior.exponent
            parts.append(f"p ~ N({mean:g}, {sd:g}²)")
        text = f"Priors: {', '.join(parts)}." if parts else ""
    present = [
        f"{fast} faster than {slow}"
        for fast, slow in options.hierarchy
        if {fast, slow} <= set(numbers.maps.data.window_names)
    ]
    if present:
        text += f" A soft prior held {' and '.join(present)}, nine to one."
    return text.strip()


def _intervals(numbers: KineticsNumbers, options: FitOptions) -> str:
    if not options.intervals:
        return "Intervals were not computed, and whether the data determine D½ was not examined."
    from hyperspy_dosekin.kinetics.identifiability import (
        LARGEST_SHARE_OF_PRIOR,
        LEAST_NEAR,
        SHARED_NEAR,
        SHARED_RIGHT,
    )
    from hyperspy_dosekin.kinetics.posterior.ends import NEAR

    if numbers.maps.sharing:
        counts = (
            "D½ counts as determined in as many pixels as possible such that at least "
            f"{100 * SHARED_RIGHT:g} % of them are expected within {SHARED_NEAR:g} of the estimate "
            "in ln D½."
        )
    else:
        counts = (
            f"D½ counts as determined where at least {100 * LEAST_NEAR:g} % of the posterior of "
            f"ln D½ lie within {NEAR:g} of the estimate and its standard deviation is at most "
            f"{LARGEST_SHARE_OF_PRIOR:g} of that before the data."
        )
    text = f"Intervals are 95 % intervals of the posterior. {counts}"
    if numbers.is_lazy:
        return text
    flags = np.asarray(numbers.map("identifiable"))
    if numbers.space_shape:
        fitted = ~np.asarray(numbers.map("not_fitted"))
        share = 100 * flags[fitted].mean() if fitted.any() else 0.0
        return f"{text} That held for {share:.0f} % of pixels and windows."
    names = [name for name, flag in zip(numbers.window_names, flags, strict=True) if flag]
    return f"{text} That held for {', '.join(names) if names else 'no window'}."


def _software(numbers: KineticsNumbers) -> str:
    names = ("hyperspy_dosekin", "hyperspy", "exspy", "torch")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cited = "kinetic model" if numbers.network is None else "kinetic model and networks"
    return f"Software: {versions} ({cited}: arXiv:2605.01697)."


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(each)}" for key, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(_shown, value)) + ")"
    if isinstance(value, np.ndarray):
        return f"an array of the shape {value.shape}"
    return f"{value:g}" if isinstance(value, float) else str(value)


#: What doses are computed from, by the name in their record.
_SOURCES = {
    "dose_rate": "the dose rate",
    "beam_current": "the beam current and area",
    "LiveKinetics": "the dose rate",
}
#: Each sentence with the options that it tells.
_SENTENCES: tuple[tuple[set[str], _Sentence], ...] = (
    ({"law", "exponent", "offset", "nonnegative", "zero_error"}, _readout),
    ({"spatial", "groups"}, _neighbours),
    ({"processing_error", "dose_uncertainty"}, _errors),
    (
        {"estimator", "dose_scale", "protocol", "seeds", "loss", "dtype", "device", "network"},
        _estimator,
    ),
    ({"noise", "correlated"}, _noise),
    ({"prior", "hierarchy"}, _prior),
    ({"intervals", "dose_uncertainty"}, _intervals),
)
