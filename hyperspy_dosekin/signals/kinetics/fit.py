# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a dose series and the options of a fit to a result."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from hyperspy_dosekin.numerics.progress import Progress, Stop, never_stop
from hyperspy_dosekin.signals.axes.noise import check_absolute
from hyperspy_dosekin.signals.chunk_advice import advise_on_chunks
from hyperspy_dosekin.signals.kinetics.data.recorded import TAKEN, law_under, words_of
from hyperspy_dosekin.signals.kinetics.data.series_data import (
    Series,
    SeriesData,
    check_dose_rate,
)
from hyperspy_dosekin.signals.kinetics.numbers.kinetics_numbers import KineticsNumbers
from hyperspy_dosekin.signals.kinetics.numbers.maps import ExactMaps
from hyperspy_dosekin.signals.kinetics.options.configs import exact_config, network_config
from hyperspy_dosekin.signals.kinetics.options.fit_options import SHARED, FitOptions
from hyperspy_dosekin.signals.kinetics.options.offset import known_offset
from hyperspy_dosekin.signals.kinetics.result.result import DoseKinetics
from hyperspy_dosekin.signals.progress import progress_bars

if TYPE_CHECKING:
    from hyperspy_dosekin.kinetics.model.config import ExactConfig


def fit_dose_series(
    series: Series,
    options: FitOptions,
    *,
    show_progressbar: bool | None = None,
    stop: Stop = never_stop,
    report: Progress | None = None,
) -> DoseKinetics:
    """Fit a dose series; the body of `DoseSeries.fit_dose_pinn`.

    `report` is told of the progress instead of a bar, where it is given.
    """
    advise_on_chunks(series, "fit_dose_pinn", whole="dose")
    return fit_series_data(
        SeriesData.of(series), options, show_progressbar=show_progressbar, stop=stop, report=report
    )


def fit_series_data(
    data: SeriesData,
    options: FitOptions,
    *,
    show_progressbar: bool | None = None,
    stop: Stop = never_stop,
    report: Progress | None = None,
) -> DoseKinetics:
    """Fit a series that has been read; see `fit_dose_series`."""
    check_absolute(options.noise, data.variance)
    data, options = under_conditions(replace(data, dose_scale=options.dose_scale), options)
    spatial, estimator = options.resolved(data.space_shape)
    config = exact_config(options, data.dose_metadata, by_network=estimator == "pinn")
    if spatial in SHARED and options.nonnegative is None:
        # All pixels would have to be bounded; those that share a population are not unasked.
        config = replace(config, nonnegative=False)
    prior = options.as_prior()
    if not options.processing_error:
        data = replace(data, shared_errors={})
    if spatial in SHARED and not data.space_shape:
        raise ValueError(
            f'spatial={spatial!r} needs space axes, and this series has none; use spatial="mean".'
        )
    space = () if spatial == "mean" else data.space_shape
    options.check_windows(data.window_names)
    offset = known_offset(options.offset, space, len(data.window_names))
    check_fit(config, data, offset is None)
    network = network_config(options, offset) if estimator == "pinn" else None
    if spatial in SHARED and network is not None:
        # Training needs all data at hand.
        data = data.computed()
    if spatial == "mean":
        data = data.averaged()
        problem = data.problem()
        if network is not None:
            from hyperspy_dosekin.kinetics.network.fit import check_network_problem, fit_network

            check_network_problem(problem, network)
    with progress_bars(show_progressbar) if report is None else nullcontext(report) as progress:
        if spatial in SHARED:
            # What pixels share takes as long to import as a fit of one curve takes.
            from hyperspy_dosekin.signals.kinetics.numbers.learning import fit_shared

            shared = fit_shared(
                data,
                config,
                offset,
                spatial=spatial,
                groups=options.groups,
                progress=progress,
                stop=stop,
            )
            nets = None
            if network is not None:
                from hyperspy_dosekin.signals.kinetics.numbers.field_networks import (
                    fit_field_networks,
                )

                nets = fit_field_networks(shared, network, options.device, progress, stop)
            return DoseKinetics(KineticsNumbers(shared, options, nets))
        maps = ExactMaps.fit(
            data,
            config,
            offset,
            with_intervals=options.intervals,
            progress=progress,
            stop=stop,
        )
        if network is None:
            return DoseKinetics(KineticsNumbers(maps, options))
        exact = maps.of_noise_alone()
        fitted = fit_network(
            maps.of_networks(),
            network,
            start=exact if network.warm_start else None,
            prior=prior if network.warm_start else None,
            device=options.device,
            progress=progress,
            stop=stop,
        )
    return DoseKinetics(KineticsNumbers(maps, options, fitted))


def under_conditions(data: SeriesData, options: FitOptions) -> tuple[SeriesData, FitOptions]:
    """Give a law the conditions that it takes of the metadata, and note what was taken."""
    law = options.kinetic_law
    if not law.lacking:
        return data, options
    taken = words_of(law, data.conditions)
    options = replace(options, law=law_under(law, data.conditions, data.scale))
    return replace(data, dose_metadata={**data.dose_metadata, TAKEN: taken}), options


def check_fit(config: ExactConfig, data: SeriesData, offset_free: bool) -> None:
    """Raise before any long work if a law cannot be fitted."""
    import torch

    from hyperspy_dosekin.kinetics.curves.preparation import check_doses
    from hyperspy_dosekin.kinetics.laws.solution import check_law

    parameters = config.parameters
    check_dose_rate(parameters.law, data)
    names = [parameter.name for parameter in parameters.free]
    check_doses(data.dose, names, offset_free=offset_free)
    check_law(parameters.law, torch.as_tensor(data.dose / data.scale))
