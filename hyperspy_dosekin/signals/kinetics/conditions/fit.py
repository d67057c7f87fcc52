# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several dose series under different conditions, fitted together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from hyperspy_dosekin.kinetics.laws.prior import DEFAULT_PRIOR, Prior
from hyperspy_dosekin.kinetics.model.config import ExactConfig
from hyperspy_dosekin.numerics.arguments import check_arguments, short
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.axes.noise import check_absolute
from hyperspy_dosekin.signals.kinetics.conditions.result import ConditionKinetics
from hyperspy_dosekin.signals.kinetics.conditions.values import (
    from_metadata,
    mean_pause,
    names_of,
    pauses_of,
    values_of,
)
from hyperspy_dosekin.signals.kinetics.data.several import (
    check_windows,
    common_unit,
    read_series,
)
from hyperspy_dosekin.signals.kinetics.options.offset import known_offset
from hyperspy_dosekin.signals.progress import progress_bars

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.conditions.regression import Draws
    from hyperspy_dosekin.kinetics.laws.contract import KineticLaw
    from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
    from hyperspy_dosekin.windows.definitions import WindowsLike


def fit_dose_conditions(
    series: Sequence[BaseSignal],
    *,
    conditions: Mapping[str, Sequence[object] | None],
    reference: Mapping[str, object] | None = None,
    law: str | KineticLaw = "first order",
    windows: WindowsLike | str | Sequence[str] | None = None,
    shape: str = "shared",
    exponent: float | None = None,
    offset: BaseSignal | npt.ArrayLike | None = None,
    offset_ratio: str = "each",
    nonnegative: bool | None = None,
    zero_error: float | None = None,
    noise: str = "floor",
    correlated: bool | None = None,
    prior: Prior | None = DEFAULT_PRIOR,
    dose_scale: float | None = None,
    names: Sequence[str] | None = None,
    n_draws: int = 4000,
    seed: int = 0,
    show_progressbar: bool | None = None,
) -> ConditionKinetics:
    r"""Fit dose series of different conditions together: what changes the rate, and by how much.

    In each window ``ln k`` of a series is the sum of the effects of its conditions and of what
    specimens of one condition differ by,

    .. math:: \ln k = \ln k_0 + \beta \ln\frac{J}{J_0}
              + \frac{E_a}{k_B}\left(\frac{1}{T_0} - \frac{1}{T}\right) + \dots + N(0, ω²).

    β = 0 says that the dose alone counts and not the dose rate. Amplitude, offset and noise are
    those of each series and window, and are integrated out.

    Parameters
    ----------
    series
        Two or more `DoseSeries`, or EELS spectra with a dose axis; the mean over space is taken.
    conditions
        A value for each series by name of the condition, such as ``{"dose_rate": [1, 5, 25],
        "temperature": [100, 300, 300], "atmosphere": ["vacuum", "water", "vacuum"]}``. The dose
        rate enters with a power, the temperature (in K) by an activation energy in eV, texts as
        factors, all other numbers as straight lines in ln k. ``None`` in the place of the values
        reads them from the metadata: the dose rate, the temperature of the stage, the beam energy,
        and anything else that lies by its name in ``Dose.conditions``,
        ``Acquisition_instrument.TEM.Stage``, ``Acquisition_instrument.TEM`` or ``Sample``. A text
        in their place says where else, such as ``"General.operator"``. Conditions that the law
        itself takes are read without being named.
    reference
        Values at which the conditions have no effect; by default their mean (geometric of a dose
        rate, harmonic of a temperature), or the first level.
    law
        Kinetic law of all series; one that scales with k, such as ``"first order"`` or
        ``"power law"``, or one that knows conditions itself, such as ``"reversible"`` (the dose
        rate) or a `UserLaw` with ``inputs=``. Those conditions have no effect beside what the law
        says.
    windows
        Windows of spectra, as for `EELSSpectrum.integrate_windows`; names of some of the windows of
        dose series.
    shape
        Whether the other parameters of the law, such as the exponent, are ``"shared"`` by all
        series of a window or belong to ``"each"``; D½ is then what is compared.
    exponent
        Known exponent of the power law.
    offset
        Known offset, one for all series or a sequence with one for each (a number, or one for each
        window).
    offset_ratio
        Whether the ratio of offset and amplitude is ``"shared"`` by all series of a window, which
        then differ in thickness or current only, or that of ``"each"``. A shared one makes weak
        decays much more certain; the result tests it.
    nonnegative, zero_error, noise, correlated
        As for `DoseSeries.fit_dose_pinn`.
    prior
        Prior of the exponent; its rate is not used. The level of all series, their effects and
        their spread have wide priors of their own, see the guide.
    dose_scale
        Dose that counts as 1; the geometric mean of the largest doses if not given.
    names
        Names of the series, for tables and plots; by default their titles, or "series 1" ….
    n_draws
        Draws from the posterior.
    seed
        Of the draws.
    show_progressbar
        ``None`` takes HyperSpy's preference.

    Returns
    -------
    ConditionKinetics
        Effects with intervals and tests, D½ of each series, predictions.

    Raises
    ------
    TypeError
        If a series is no signal.
    ValueError
        If conditions do not vary, do not fit the series or cannot be told apart, the series have no
        windows in common or doses in different units, or a window cannot be fitted.

    Examples
    --------
    >>> dose, random = 100.0 * np.arange(1, 10), np.random.default_rng(0)
    >>> series = []
    >>> for rate in (1, 1, 5, 5, 25, 25):
    ...     values = np.exp(-dose / 400 * rate**0.2) + random.normal(scale=0.01, size=9)
    ...     s = hs.signals.Signal1D(values[None], axes=[{"size": 1}, {"axis": dose}])
    ...     s.set_signal_type("DoseSeries")
    ...     series.append(s)
    >>> found = hyperspy_dosekin.fit_dose_conditions(
    ...     series, conditions={"dose_rate": [1, 1, 5, 5, 25, 25]}
    ... )
    >>> bool(found.effects.p[0] < 0.05)
    True
    """
    from hyperspy_dosekin.kinetics.conditions.effects import Condition, Design
    from hyperspy_dosekin.kinetics.conditions.fit import check_law_of_conditions, fit_window
    from hyperspy_dosekin.kinetics.joint.ratio_agreement import ratio_p_value, with_offset
    from hyperspy_dosekin.kinetics.laws.registry import kinetic_law

    check_arguments(fit_dose_conditions, locals())
    if seed < 0:
        raise ValueError(f"seed={seed} must not be negative.")
    given = list(series)
    if len(given) < 2:
        raise ValueError(f"{len(given)} series cannot be compared; give two or more.")
    if shape not in ("shared", "each"):
        raise ValueError(f"shape={shape!r} is not one of 'shared', 'each'.")
    chosen = kinetic_law(law)
    check_law_of_conditions(chosen)
    one_ratio = _is_shared_ratio(offset_ratio, shape, offset, nonnegative, chosen)
    titles = names_of(given, names)
    read, taken = values_of(given, conditions)
    for name in chosen.inputs:
        if name not in read:
            read[name], words = from_metadata(given, name)
            taken.append(words)
    if not read:
        raise ValueError(
            'conditions= must name at least one condition, such as {"dose_rate": [1, 5, 25]}.'
        )
    pauses = list(read.get("dark_time", ())) if "dark_time" in chosen.inputs else []
    if pauses:
        read["dark_time"] = [mean_pause(each) for each in pauses]
    if reference is not None and not isinstance(reference, Mapping):
        raise TypeError(f"reference={short(reference)} must be values by name of the condition.")
    references = dict(reference or {})
    unknown = sorted(set(references) - set(read))
    if unknown:
        raise ValueError(f"reference= has {unknown}, which are no conditions.")
    known = {
        name: Condition.of(name, each, references.get(name), must_vary=name not in chosen.inputs)
        for name, each in read.items()
    }
    inputs = tuple(known.pop(name) for name in chosen.inputs)
    design = Design(tuple(known.values()), len(given), len(inputs))
    config = ExactConfig(
        law=chosen,
        prior=prior,
        exponent=exponent,
        noise=noise,  # type: ignore[arg-type]
        correlated=correlated,
        nonnegative=False if one_ratio else nonnegative,
        zero_error=zero_error,
    )
    if not _are_names(windows):
        check_windows(given, windows)  # type: ignore[arg-type]
    data = _common_windows([read_series(each, windows) for each in given], windows)
    for title, each in zip(titles, data, strict=True):
        check_absolute(noise, each.variance, f"those of series {title!r}")
    unit = common_unit(dict(zip(titles, data, strict=True)))
    largest = np.array([each.dose[-1] for each in data])
    scale = math.exp(np.log(largest).mean()) if dose_scale is None else float(dose_scale)
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"dose_scale={dose_scale!r} must be positive and finite.")
    offsets = list(offset) if isinstance(offset, list | tuple) else [offset] * len(given)
    if len(offsets) != len(given):
        raise ValueError(
            f"offset has {len(offsets)} entries for {len(given)} series; give one for each, or one "
            "number for all."
        )
    n_window = len(data[0].window_names)
    problems = [replace(each.problem(shared=True), dose_scale=scale) for each in data]
    at_reference = {each.name: each.reference for each in inputs}
    configs = [
        replace(
            config,
            law=chosen.at(
                {
                    **{each.name: each.values[i] for each in inputs},
                    **({"dark_time": pauses_of(pauses[i], data[i], titles[i])} if pauses else {}),
                    "dose": data[i].dose,
                },
                at_reference,
                scale,
            ),
            offset=known_offset(each, (), n_window),
        )
        for i, each in enumerate(offsets)
    ]
    draws, p_values = [], []
    with torch_threads(1), progress_bars(show_progressbar) as progress:
        for place in range(n_window):
            if n_window > 1:
                progress("windows", place, n_window)
            one = [problem.windows([place]) for problem in problems]
            own = [
                each if each.offset is None else replace(each, offset=_only_offset(each, place))
                for each in configs
            ]
            wrapped = [with_offset(each) for each in own] if one_ratio else own
            found = fit_window(
                one, wrapped, design, shared=shape == "shared", number=n_draws, seed=seed
            )
            draws.append(found)
            if one_ratio:
                p_values.append(ratio_p_value(one, own, _likeliest(*found, config)))
        if n_window > 1:
            progress("windows", n_window, n_window)
    return ConditionKinetics(
        design=design,
        parameters=config.parameters,
        shared=shape == "shared",
        window_names=data[0].window_names,
        names=titles,
        dose_scale=scale,
        dose_unit=unit,
        largest_dose=tuple(largest.tolist()),
        draws=tuple(draw for draw, _ in draws),
        shapes=tuple(shapes[:-1] if one_ratio else shapes for _, shapes in draws),
        taken=tuple(taken),
        inputs=inputs,
        offset_known=all(each is not None for each in offsets),
        offset_angles=tuple(shapes[-1] for _, shapes in draws) if one_ratio else (),
        offset_p_values=tuple(p_values),
    )


def _is_shared_ratio(
    offset_ratio: str, shape: str, offset: Any, nonnegative: bool | None, law: KineticLaw
) -> bool:
    """Whether series have b/a in common, checked.

    Raises
    ------
    ValueError
        With the remedy.
    """
    if offset_ratio not in ("shared", "each"):
        raise ValueError(f"offset_ratio={offset_ratio!r} is not one of 'shared', 'each'.")
    if offset_ratio == "each":
        return False
    why = ""
    if shape != "shared":
        why = 'compares decays of one shape; leave shape="each" out'
    elif offset is not None:
        why = "finds the offsets, and offset= gives them; leave one of them out"
    elif nonnegative:
        why = "knows no bound of offsets, and nonnegative=True asks for one; leave it out"
    elif law.has_plateau and not law.inputs:
        why = f"cannot be told from the plateau of the law {law.name!r}; take one without a plateau"
    if why:
        raise ValueError(f'offset_ratio="shared" {why}.')
    return True


def _likeliest(
    draws: Draws, shapes: np.ndarray, config: ExactConfig
) -> tuple[tuple[str, float], ...]:
    """Medians of the parameters of the shape but the angle of the offset."""
    free = config.parameters.free[1:]
    values = np.median(shapes[:-1, draws.shape], axis=1)
    return tuple(zip((each.name for each in free), values.tolist(), strict=True))


def _only_offset(config: ExactConfig, place: int) -> np.ndarray:
    return np.asarray(config.offset).reshape(1, -1)[:, place : place + 1]


def _common_windows(
    data: Sequence[SeriesData], windows: WindowsLike | str | Sequence[str] | None
) -> list[SeriesData]:
    """The series with the windows that all of them have, in the order of the first."""
    common = [
        name for name in data[0].window_names if all(name in each.window_names for each in data[1:])
    ]
    if _are_names(windows):
        asked = [windows] if isinstance(windows, str) else list(windows)
        unknown = [name for name in asked if name not in common]
        if unknown:
            raise ValueError(f"windows {unknown} are not in all series, which share {common}.")
        common = asked
    if not common:
        raise ValueError(
            "the series have no window in common: "
            f"{'; '.join(', '.join(each.window_names) for each in data)}. Integrate the same "
            "windows in all of them."
        )
    left_out = sorted({name for each in data for name in each.window_names} - set(common))
    if left_out and windows is None:
        warnings.warn(
            f"windows {left_out} are not in all series and are left out.", UserWarning, stacklevel=3
        )
    return [each.select([each.window_names.index(name) for name in common]) for each in data]


def _are_names(windows: object) -> TypeGuard[str | list[str] | tuple[str, ...]]:
    return isinstance(windows, str) or (
        isinstance(windows, list | tuple) and all(isinstance(name, str) for name in windows)
    )
