# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a dose series and the options of a fit to a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.numerics.progress import Stop, never_stop
from hyperspy_dosekin.signals._progress import progress_bars
from hyperspy_dosekin.signals._series_data import SeriesData

if TYPE_CHECKING:
    from hyperspy_dosekin.signals.dose_kinetics import DoseKinetics
    from hyperspy_dosekin.signals.dose_series import DoseSeries

ESTIMATORS = ("pinn", "exact")
SPATIAL = ("auto", "mean", "pixel", "field")
PROTOCOLS = ("fast", "paper")


@dataclass(frozen=True)
class FitOptions:
    """The options of a fit, checked one by one; see `DoseSeries.fit_dose_pinn`."""

    estimator: str | None = None
    spatial: str = "auto"
    protocol: str = "paper"
    offset: Any = None
    exponent: float | None = None
    hierarchy: tuple[tuple[str, str], ...] = (("C–O", "C–C"),)
    seeds: tuple[int, ...] = (42, 59, 76, 93, 110)
    device: str = "auto"
    network: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.estimator is not None:
            _check_choice("estimator", self.estimator, ESTIMATORS)
        _check_choice("spatial", self.spatial, SPATIAL)
        _check_choice("protocol", self.protocol, PROTOCOLS)
        if self.spatial == "pixel" and self.estimator == "pinn":
            raise ValueError(
                'spatial="pixel" fits every pixel with estimator="exact"; the network fits the '
                'mean over space, spatial="mean".'
            )
        object.__setattr__(self, "hierarchy", tuple(tuple(pair) for pair in self.hierarchy or ()))
        object.__setattr__(self, "seeds", tuple(self.seeds))

    def resolved_spatial(self, space_shape: Sequence[int]) -> str:
        """What ``"auto"`` means for a series with these space axes."""
        if self.spatial != "auto":
            return self.spatial
        return "pixel" if space_shape and self.estimator != "pinn" else "mean"


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}.")


def fit_dose_series(
    series: DoseSeries,
    options: FitOptions,
    *,
    show_progressbar: bool | None = None,
    stop: Stop = never_stop,
) -> DoseKinetics:
    """Fit a dose series; the body of `DoseSeries.fit_dose_pinn`."""
    data = SeriesData.of(series)
    spatial = options.resolved_spatial(data.space_shape)
    if spatial == "field":
        raise NotImplementedError(
            'spatial="field", in which neighbouring pixels share information, is not there yet; '
            'use spatial="pixel" or spatial="mean".'
        )
    if spatial == "pixel":
        raise NotImplementedError(
            'spatial="pixel" needs the exact estimator, which is not there yet; use spatial="mean".'
        )
    if options.estimator == "exact":
        raise NotImplementedError(
            'estimator="exact" is not there yet; use estimator="pinn" with spatial="mean".'
        )
    return _fit_mean_network(data, options, show_progressbar, stop)


def _fit_mean_network(
    data: SeriesData, options: FitOptions, show_progressbar: bool | None, stop: Stop
) -> DoseKinetics:
    from hyperspy_dosekin.kinetics.network.fit import check_network_problem, fit_network
    from hyperspy_dosekin.signals.dose_kinetics import DoseKinetics

    config = network_config(options, len(data.window_names))
    data = data.averaged()
    problem = data.problem()
    check_network_problem(problem)
    with progress_bars(show_progressbar) as progress:
        network = fit_network(problem, config, device=options.device, progress=progress, stop=stop)
    return DoseKinetics.from_network(data, network, options)


def network_config(options: FitOptions, n_window: int) -> Any:
    """The network's configuration of a protocol, with the user's options on top."""
    from hyperspy_dosekin.kinetics.network.config import NetworkConfig

    if options.protocol == "fast":
        raise NotImplementedError('protocol="fast" is not there yet; use protocol="paper".')
    known = {entry.name for entry in fields(NetworkConfig)}
    unknown = set(options.network) - known
    if unknown:
        raise TypeError(
            f"fit_dose_pinn got the unknown options {sorted(unknown)}; options of the network "
            f"are {sorted(known)}."
        )
    return NetworkConfig(
        **{
            "seeds": options.seeds,
            "hierarchy": options.hierarchy,
            "offset": _offset_by_window(options.offset, n_window),
            "exponent": options.exponent,
            **options.network,
        }
    )


def _offset_by_window(offset: Any, n_window: int) -> tuple[float, ...] | None:
    if offset is None:
        return None
    values = np.asarray(offset, dtype=np.float64)
    if values.shape not in ((), (n_window,)) or not np.all(np.isfinite(values)):
        raise ValueError(
            f"offset of shape {values.shape} must be a finite number or one for each of the "
            f"{n_window} windows, in the unit of the data."
        )
    return tuple(np.broadcast_to(values, n_window).tolist())
