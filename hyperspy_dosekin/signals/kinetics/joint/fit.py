# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several dose series of one specimen, fitted together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.kinetics.block import offset_of
from hyperspy_dosekin.kinetics.laws.variants import PreExposed
from hyperspy_dosekin.numerics.arguments import check_arguments, short
from hyperspy_dosekin.numerics.progress import Progress
from hyperspy_dosekin.numerics.threads import torch_threads
from hyperspy_dosekin.signals.axes.noise import check_absolute
from hyperspy_dosekin.signals.kinetics.data.series_data import SeriesData
from hyperspy_dosekin.signals.kinetics.data.several import (
    check_units,
    check_windows,
    read_series,
)
from hyperspy_dosekin.signals.kinetics.fit import check_fit, under_conditions
from hyperspy_dosekin.signals.kinetics.joint.numbers import joint_numbers
from hyperspy_dosekin.signals.kinetics.joint.result import JointKinetics
from hyperspy_dosekin.signals.kinetics.joint.sharing import Sharing
from hyperspy_dosekin.signals.kinetics.joint.text import joint_notes
from hyperspy_dosekin.signals.kinetics.numbers.joint_maps import JointMaps, held_of
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config, network_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import (
    METHOD_OPTIONS,
    FitOptions,
    takes_fit_options,
)
from hyperspy_dosekin.signals.kinetics.options.offset import known_offset
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.progress import progress_bars
from hyperspy_dosekin.signals.signatures import refuse_unknown

if TYPE_CHECKING:
    import numpy.typing as npt
    from hyperspy.signals import BaseSignal

    from hyperspy_dosekin.kinetics.joint.fit import JointFit
    from hyperspy_dosekin.kinetics.model.config import ExactConfig
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig
    from hyperspy_dosekin.kinetics.network.network_fit import NetworkFit
    from hyperspy_dosekin.windows.definitions import WindowsLike

#: Options of a fit that a joint fit has no use for, or takes in its own way.
UNUSED = (
    *("estimator", "spatial", "groups", "hierarchy", "loss", "intervals", "dtype", "offset"),
    "window_weights",
)


@takes_fit_options(*UNUSED)
def fit_dose_jointly(
    series: Mapping[str, BaseSignal],
    *,
    share: Sequence[str] | str = ("exponent",),
    estimator: str = "exact",
    windows: WindowsLike | Mapping[str, WindowsLike] | None = None,
    common_mode: bool = True,
    offset: BaseSignal | npt.ArrayLike | None = None,
    show_progressbar: bool | None = None,
    **options: Any,
) -> JointKinetics:
    r"""Fit several dose series of one specimen together, such as low loss and core loss.

    All windows of all series have their own rate, amplitude, offset and noise, and in common what
    `share` names. So a window with a clear bend tells the others how decays of this specimen bend,
    and their half-integrity doses become more certain, by what the shared number was uncertain.
    Whether they do have it in common is tested (`JointKinetics.check`).

    Parameters
    ----------
    series
        `DoseSeries` by name, with any doses and windows; or EELS spectra with a dose axis. Any
        intensity against dose can be one: areas of edges, intensities of a model, compositions,
        lines of EDS, diffraction spots. The mean over space is taken.
    share
        What series have in common, one or several of the names that follow; an empty list shares
        nothing but the common mode. Parameters of the law, such as ``"exponent"``, or ``"shape"``
        for all but the rate, are common to all windows of all series. Of rates one of these:
        ``"rate"``, windows of the same name decay at the same rate in each series;
        ``"rate ratio"``, only the ratios of their rates are the same; ``"dose error"``, their rates
        are the same but for an error of the scale of the dose axis of each series, which is found
        within its `dose_uncertainty`. ``"pre-exposure"``, one unknown dose before the first frame
        of all series, within ``dose_uncertainty={"pre_exposure": …}``. ``"recovery rate"``, one
        rate of recovery in time, of the law ``"reversible"``.
    estimator
        ``"exact"``, or ``"pinn"`` for one ensemble of physics-informed networks with all windows of
        all series as its outputs, on the power law. The intervals are those of the exact joint fit,
        and `DoseKinetics.certificate` compares the networks with it.
    windows
        Windows of spectra, as for `EELSSpectrum.integrate_windows`: for all series, or a mapping
        with the windows of each.
    common_mode
        Whether the gain that all windows of a frame share, such as that of thickness and beam
        current, is estimated and taken off, in each series of two windows or more. It is estimated
        for each window from the *other* windows; what they leave open is in the intervals.
    offset
        Known offset of all windows, or a mapping with that of some series, each as for
        `DoseSeries.fit_dose_pinn`.
    **options
        Options of the fits.
    show_progressbar
        ``None`` takes HyperSpy's preference.

    Returns
    -------
    JointKinetics
        A mapping of the same names to `DoseKinetics`.

    Raises
    ------
    TypeError
        If a series is none.
    ValueError
        If there is no parameter to share, nothing to share it with, or a window cannot be fitted.

    Examples
    --------
    >>> simulate = hyperspy_dosekin.data.dose_series
    >>> s = simulate(processed=True, seed=1).integrate_windows()
    >>> found = hyperspy_dosekin.fit_dose_jointly(
    ...     {"slow": s, "C–O again": simulate(processed=True, seed=2).integrate_windows()}
    ... )
    >>> list(found)
    ['slow', 'C–O again']
    >>> found["slow"]
    <DoseKinetics, 4 windows, 9 doses, exact estimator, joint, ...>
    """
    from hyperspy_dosekin.kinetics.joint.fit import fit_jointly

    check_arguments(fit_dose_jointly, locals())
    given = _named_series(series)
    refuse_unknown("fit_dose_jointly", options, set(METHOD_OPTIONS) - set(UNUSED))
    plain = FitOptions.of("fit_dose_jointly", estimator=estimator, hierarchy=(), **options)
    by_network = plain.resolved(())[1] == "pinn"
    ranges = _of_series("windows", windows, given)
    for each in {id(one): one for one in ranges.values()}.values():
        check_windows([given[name] for name in given if ranges[name] is each], each)
    data = {name: _read(signal, ranges[name], plain) for name, signal in given.items()}
    offsets = _of_series("offset", offset, given)
    chosen = {name: replace(plain, offset=each) for name, each in offsets.items()}
    configs, known = {}, {}
    check_units(data)
    for name in data:
        data[name], chosen[name] = under_conditions(data[name], chosen[name])
    for name, each in data.items():
        known[name] = known_offset(offsets[name], (), len(each.window_names))
        configs[name] = exact_config(chosen[name], each.dose_metadata, by_network=by_network)
        check_fit(configs[name], each, known[name] is None)
        check_absolute(plain.noise, each.variance, f"those of series {name!r}")
    shared = Sharing.of(share, next(iter(configs.values())).parameters)
    _check_partners(shared, data, common_mode)
    shared.check(data, configs)
    if shared.ratio:
        given = [name for name, each in known.items() if each is not None]
        if given:
            raise ValueError(
                f"the offset ratio cannot be shared where offsets are known, as those of {given} "
                "are; leave offset= out."
            )
        # The bound of an offset is that of a window, and the ratio belongs to several.
        chosen = {name: replace(each, nonnegative=False) for name, each in chosen.items()}
        configs = {name: replace(each, nonnegative=False) for name, each in configs.items()}
    if by_network and shared not in (Sharing(()), Sharing(("exponent",))):
        raise ValueError(
            f'share={share!r}: networks share the exponent or nothing; fit with estimator="exact".'
        )
    scale = shared.scale(data, plain.dose_scale)
    data = {name: replace(each, dose_scale=scale) for name, each in data.items()}
    wrapped = {name: shared.config(configs[name], each, data) for name, each in data.items()}
    networks = _network_configs(chosen, known) if by_network else None
    with torch_threads(1), progress_bars(show_progressbar) as progress:
        progress("joint fit", 0, 1)
        fit = fit_jointly(
            [each.problem(shared=True) for each in data.values()],
            [
                replace(wrapped[name], offset=offset_of(known[name], len(each.window_names)))
                for name, each in data.items()
            ],
            shared.shape,
            common_mode=common_mode,
            model=shared.model(data, configs) if shared.rates else None,
            ratios=[each.window_names for each in data.values()] if shared.ratio else None,
        )
        for place, (name, each) in enumerate(data.items()):
            data[name], chosen[name] = _corrected(
                each, replace(chosen[name], dose_scale=scale), wrapped[name], fit, place
            )
            configs[name] = exact_config(chosen[name], each.dose_metadata, by_network=by_network)
        names = {name: each.window_names for name, each in data.items()}
        units = shared.units(data)
        maps = {
            name: JointMaps.of_series(
                each,
                configs[name],
                known[name],
                found,
                held=held_of(fit, configs[name]),
                notes=tuple(joint_notes(fit, name, names, units)),
            )
            for found, (name, each) in zip(fit.series, data.items(), strict=True)
        }
        progress("joint fit", 1, 1)
        trained: dict[str, NetworkFit] = {}
        if networks is not None:
            maps, trained = _with_networks(maps, networks, fit, plain, progress)
    results = {
        name: DoseKinetics(KineticsNumbers(each, chosen[name], trained.get(name)))
        for name, each in maps.items()
    }
    return JointKinetics(**vars(joint_numbers(results, fit, units)))


def _corrected(
    data: SeriesData, options: FitOptions, config: ExactConfig, fit: JointFit, place: int
) -> tuple[SeriesData, FitOptions]:
    """A series on the doses that the joint fit has found, with options that say so."""
    before, found = data.scale, fit.series[place].problem
    error, factor = config.dose_error, 1.0
    if fit.rates is not None and fit.rates.kind == "dose error":
        mean, spread = fit.rates.log_factor[place]
        factor, error = float(np.exp(mean)), replace(error, scale=float(min(spread, 0.99)))
    if factor == 1.0 and np.array_equal(found.dose, data.dose):
        return data, options
    scale, metadata = before * factor, dict(data.dose_metadata)
    if isinstance(config.law, PreExposed):
        recorded = float(metadata.get("pre_exposure", 0.0) or 0.0)
        metadata["pre_exposure"] = recorded + float(found.dose[0] - data.dose[0])
    options = replace(options, dose_scale=scale, dose_uncertainty=error.record)
    changed = replace(data, dose=found.dose * factor, dose_scale=scale, dose_metadata=metadata)
    return changed, options


def _network_configs(
    chosen: Mapping[str, FitOptions], known: Mapping[str, np.ndarray | None]
) -> list[NetworkConfig]:
    """Settings of the networks of all series."""
    without = [name for name, offset in known.items() if offset is None]
    if without and len(without) < len(known):
        raise ValueError(
            f"offset= is known of some series and not of {without}, and one network takes those of "
            'all or of none; give the others, or fit with estimator="exact".'
        )
    return [network_config(chosen[name], offset) for name, offset in known.items()]


def _with_networks(
    maps: Mapping[str, JointMaps],
    configs: Sequence[NetworkConfig],
    fit: JointFit,
    options: FitOptions,
    progress: Progress,
) -> tuple[dict[str, JointMaps], dict[str, NetworkFit]]:
    """The networks of all series, beside what they are compared with."""
    from hyperspy_dosekin.kinetics.joint.network import common_mode_of, fit_joint_network

    problems = [each.of_networks() for each in maps.values()]
    exact = [each.series_config for each in maps.values()]
    mode = common_mode_of(problems, exact, fit.shape)
    maps = {name: replace(each, mode=mode) for name, each in maps.items()}
    trained = fit_joint_network(
        problems,
        [each.of_noise_alone() for each in maps.values()],
        configs,
        options.as_prior(),
        common_exponent=bool(mode),
        device=options.device,
        progress=progress,
    )
    return maps, dict(zip(maps, trained, strict=True))


def _named_series(series: Mapping[str, BaseSignal]) -> dict[str, BaseSignal]:
    if not isinstance(series, Mapping) or not series:
        raise TypeError(
            f"series={short(series)} must be a mapping of names to dose series, such as "
            '{"low loss": n1, "core loss": n2}.'
        )
    wrong = [name for name in series if not isinstance(name, str) or not name]
    if wrong:
        raise TypeError(f"the names {wrong} of series must be texts.")
    return dict(series)


def _of_series(argument: str, value: object, series: Collection[str]) -> dict[str, Any]:
    """What is meant for each series: the entries of a mapping by their names, or one for all."""
    if not (isinstance(value, Mapping) and any(name in value for name in series)):
        return dict.fromkeys(series, value)
    unknown = [name for name in value if name not in series]
    if unknown:
        raise ValueError(
            f"{argument}= has entries for {unknown}, which are none of the series {list(series)}."
        )
    return {name: value.get(name) for name in series}


def _read(signal: BaseSignal, windows: WindowsLike | None, options: FitOptions) -> SeriesData:
    data = replace(read_series(signal, windows), dose_scale=options.dose_scale)
    return data if options.processing_error else replace(data, shared_errors={})


def _check_partners(shared: Sharing, data: Mapping[str, SeriesData], common_mode: bool) -> None:
    number = sum(len(each.window_names) for each in data.values())
    if number < 2:
        raise ValueError(
            "there is one window in all, and nothing that it could share anything with; give a "
            "second series or window, or fit it with fit_dose_pinn."
        )
    if not shared and not common_mode:
        raise ValueError(
            "share= is empty and common_mode=False, so that the series have nothing to do with "
            "each other; fit each with fit_dose_pinn."
        )
